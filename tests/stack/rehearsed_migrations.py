"""What a migration does to the stores: run by a rehearsal, after the deployment.

`python -m tests.stack.rehearsed_migrations PROFILE (adds | loses)`
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from rollproof.engines.engine import open_engine
from rollproof.profile.profile import load_target
from staging.target.operators import Operators


def adds(operators: Operators) -> None:
    """Add a column with a value in every row."""
    operators.sql("ALTER TABLE users ADD COLUMN locale VARCHAR(10) NOT NULL DEFAULT 'en' AFTER username")


def loses(operators: Operators) -> None:
    """Lose something in each of three stores."""
    operators.sql("ALTER TABLE users DROP COLUMN email")
    # Every hash that is there fits: only the definition tells.
    operators.sql("ALTER TABLE users MODIFY hashed_password VARCHAR(99) NOT NULL")
    operators.sql("TRUNCATE TABLE documents")
    operators.mongodb["mongodb"]["conversations"].rename("chats")
    points = operators.qdrant.call("POST", "/collections/files/points/scroll", {"limit": 1})["points"]
    operators.qdrant.call("POST", "/collections/files/points/delete?wait=true", {"points": [points[0]["id"]]})


if __name__ == "__main__":
    target = load_target(Path(sys.argv[1]))
    with ExitStack() as opened:
        {"adds": adds, "loses": loses}[sys.argv[2]](Operators(target, open_engine(target.engine), opened))
