"""The command `rollproof`: the command line of `rollback_actions`, from any folder."""

from __future__ import annotations

import os
import sys

from rollproof import SUITE
from rollproof.beginning import interruptible


def main() -> int:
    """Run the command line with the suite's own modules, whatever else is installed."""
    return interruptible(_run)


def _run() -> int:
    sys.path.insert(0, str(SUITE))
    from fixtures.home import TYPED  # noqa: PLC0415 - found from here on

    os.environ[TYPED] = "1"  # before the import: it makes the help of the groups
    from rollback_actions.__main__ import main as run  # noqa: PLC0415

    return run()


if __name__ == "__main__":
    raise SystemExit(main())
