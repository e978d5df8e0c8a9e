# ruff: noqa: INP001 -- alembic's own layout
"""Alembic's environment: the application's database, and its models."""

from collections.abc import Iterable
from typing import Any

from alembic import context
from alembic.operations.ops import MigrationScript
from app.models import Base
from app.settings import settings
from sqlalchemy import URL, create_engine


def _changes_only(_context: Any, _revision: Any, directives: list[MigrationScript]) -> None:  # noqa: ANN401 -- alembic's
    """Generate no migration that would change nothing."""
    script: Iterable[MigrationScript] = directives
    if all(one.upgrade_ops is not None and one.upgrade_ops.is_empty() for one in script):
        directives.clear()


def _migrate() -> None:
    here = settings()
    engine = create_engine(
        URL.create(
            "mysql+pymysql",
            here.mysql_user,
            here.mysql_app.get_secret_value(),
            here.mysql_host,
            here.mysql_port,
            here.mysql_database,
        )
    )
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            process_revision_directives=_changes_only,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


_migrate()
