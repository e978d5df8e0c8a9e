# ruff: noqa: INP001 -- the package is release 1's: this file is laid upon it
"""Bring every store to this release's shape: `python -m app.migrate`, by the entry point, at each start.

The database's migrations are in no repository. Alembic generates one here whenever the models have changed,
under a random id, and keeps it in a volume. The database and that volume belong together.
"""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from app.migrations import initial

_SCRIPTS = Path(__file__).parents[1] / "migrations"
_log = logging.getLogger("app.migrate")


def migrate() -> None:
    """Generate a migration if the models differ from the database, run it, and create what else is missing.

    Raises:
        alembic.util.CommandError: The database is at another revision than the newest of the volume.
    """
    configuration = Config()
    configuration.set_main_option("script_location", str(_SCRIPTS))
    command.revision(configuration, message="models", autogenerate=True)
    command.upgrade(configuration, "head")
    initial.upgrade()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    migrate()
    _log.info("migration finished")
