"""Bring every store to this release's shape. `python -m app.migrate`, before the new code starts."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from app.connections import mysql
from app.migrations import initial
from app.settings import BULK_DEADLINE

_log = logging.getLogger("app.migrate")


@dataclass(frozen=True)
class Step:
    """A migration: the revision it leads to, and its function."""

    revision: str
    upgrade: Callable[[], None]


STEPS = (Step(initial.REVISION, initial.upgrade),)


def current_revision() -> str | None:
    """Return the database's recorded revision, or None for a database that was never migrated."""
    with mysql(BULK_DEADLINE) as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"
        )
        cursor.execute("SELECT version_num FROM alembic_version")
        row = cursor.fetchone()
    return None if row is None else str(row["version_num"])


def migrate() -> None:
    """Run the steps that come after the current revision, and move the revision after each.

    Raises:
        LookupError: The database is at a revision that this release does not know.
    """
    revisions = [step.revision for step in STEPS]
    current = current_revision()
    if current is not None and current not in revisions:
        raise LookupError(f"revision: expected one of {', '.join(revisions)}, observed {current}")
    done = 0 if current is None else revisions.index(current) + 1
    for step in STEPS[done:]:
        _log.info("running upgrade %s -> %s", current_revision(), step.revision)
        step.upgrade()
        with mysql(BULK_DEADLINE) as cursor:
            cursor.execute("DELETE FROM alembic_version")
            cursor.execute("INSERT INTO alembic_version (version_num) VALUES (%s)", (step.revision,))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    migrate()
    _log.info("migration finished")
