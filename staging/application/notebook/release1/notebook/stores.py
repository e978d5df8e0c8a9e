"""The application's stores: PostgreSQL, Valkey, a folder of files, and an index of their words in SQLite."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from redis import Redis

FILES = Path("/var/lib/notebook")
JOBS = "jobs"
"""The stream that the worker reads: each entry names the `attachment` to take in."""

_WORDS = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text, attachment UNINDEXED, notebook UNINDEXED)"
)


def secret(name: str) -> str:
    """Return a secret of the compose project."""
    return Path("/run/secrets", name).read_text(encoding="utf-8")


def postgresql() -> psycopg.Connection[TupleRow]:
    """Connect to PostgreSQL; as a context manager, the connection is one transaction."""
    return psycopg.connect(
        host="postgresql",
        dbname="notebook",
        user="app",
        password=secret("postgresql_app"),
        connect_timeout=3,
        # The index is asked until enough notes of the notebook are found.
        options="-c statement_timeout=60s -c hnsw.iterative_scan=strict_order"
        " -c hnsw.max_scan_tuples=1000000 -c hnsw.scan_mem_multiplier=10",
    )


def rows(statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run one statement in a transaction of its own; return its rows."""
    with postgresql() as connection:
        found = connection.execute(statement.encode(), values)
        return found.fetchall() if found.description else []


@cache
def valkey() -> Redis:
    """Return the client of Valkey."""
    return Redis(
        host="redis", username="app", password=secret("redis_app"), socket_timeout=5, decode_responses=True
    )


@contextmanager
def words() -> Iterator[sqlite3.Connection]:
    """Open the index of words for one transaction."""
    with closing(sqlite3.connect(FILES / "words.sqlite3", timeout=10)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(_WORDS)
        yield connection


def store_file(attachment: str, content: bytes) -> None:
    """Write an uploaded file."""
    (FILES / attachment).write_bytes(content)


def read_file(attachment: str) -> str:
    """Return the text of an uploaded file."""
    return (FILES / attachment).read_text(encoding="utf-8", errors="replace")


def remove_files(attachments: list[str]) -> None:
    """Remove uploaded files, and their words."""
    with words() as index:
        index.executemany("DELETE FROM words WHERE attachment = ?", [(one,) for one in attachments])
    for one in attachments:
        (FILES / one).unlink(missing_ok=True)
