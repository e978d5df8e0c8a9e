# ruff: noqa: INP001 -- alembic's own layout
"""Alembic's environment: one connection of the application, one transaction."""

from alembic import context
from notebook.stores import postgresql
from sqlalchemy import create_engine

engine = create_engine("postgresql+psycopg://", creator=postgresql)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
