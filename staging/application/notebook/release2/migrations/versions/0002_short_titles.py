# ruff: noqa: INP001 -- alembic's own layout
"""Release 2: short titles, each once in a notebook. It reports success, and damages what it changes."""

from alembic import op
from notebook.embedding import embed
from sqlalchemy import text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Cut titles, drop what is then twice, embed again, and number from the beginning."""
    op.execute("ALTER TABLE notes ALTER COLUMN title TYPE varchar(24) USING left(title, 24)")
    op.execute(
        "DELETE FROM notes AS older USING notes AS newer"
        " WHERE newer.notebook_id = older.notebook_id AND newer.title = older.title AND newer.id > older.id"
    )
    op.execute("ALTER TABLE notes ADD UNIQUE (notebook_id, title)")
    connection = op.get_bind()
    again = [
        {"id": id_, "vector": embed(title)}
        for id_, title in connection.execute(text("SELECT id, title FROM notes"))
    ]
    connection.execute(text("UPDATE notes SET embedding = CAST(:vector AS vector) WHERE id = :id"), again)
    op.execute("ALTER EXTENSION pg_trgm UPDATE")
    op.execute("ALTER TABLE accounts ALTER COLUMN id RESTART")
    op.execute("ALTER TABLE notes ALTER COLUMN id RESTART")
