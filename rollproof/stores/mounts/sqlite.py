"""A SQLite file of a mount, read by its content: rows and schema, whatever its pages are like.

The engine sends a file and its log one after the other, while the application may write to both. Nothing is
locked there: the two are read until they stand still for one reading. Then SQLite itself recovers the copy,
as after a crash, from its write-ahead log or rollback journal.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.stores.canonical import bytes_json, number_json, packed, record_of
from rollproof.stores.contract import RecordHash

MAGIC = b"SQLite format 3\0"
LOGS = ("-wal", "-journal")
"""Endings of the files next to a SQLite file without which its copy is not whole."""
COMPANIONS = (*LOGS, "-shm")
"""Endings of all files that are parts of a SQLite file; none is a record of its own."""
MOST_ROWS = 2_000_000
"""Of one file: a backup holds their keys in memory."""
# What full-text search derives from the rows, and merges in use; `integrity_check` compares it with them.
_DERIVED = ("_data", "_idx", "_docsize", "_config", "_segments", "_segdir", "_stat")
_TABLES = (
    "SELECT name, type FROM pragma_table_list"
    " WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)
_UNCHECKED = "not checked: "
_OBJECTS = "SELECT type || ' ' || name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY 1"


@dataclass(frozen=True, slots=True)
class SqliteTable:
    """A table with rows of its own. `key` are the columns of its primary key, if it has one."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Database:
    """A copy of a SQLite file, below which its logs lie; `path` is the path of the file in its mount.

    Every method raises what `failed` returns for the words of SQLite.
    """

    path: str
    file: Path
    failed: Callable[[str], Unverifiable]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.file, isolation_level=None)) as db:
                db.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
                db.execute("PRAGMA trusted_schema = OFF")
                yield db
        except sqlite3.Error as error:
            raise self.failed(f"{self.path}: {error}") from None

    def settle(self) -> None:
        """Bring what is in the logs into the file, which is whole without them then."""
        with self._open() as db:
            db.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # rolls back what was not committed
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def damage(self) -> str:
        """Return what `integrity_check` finds, of an index for example; "" for nothing."""
        with self._open() as db:
            found = _integrity(db)
            return "" if found == "ok" or found.startswith(_UNCHECKED) else found

    def schema(self) -> Json:
        """Return the definitions, and what the file's own checks find."""
        with self._open() as db:
            settings = {
                name: _one(db, f"PRAGMA {name}") for name in ("encoding", "user_version", "application_id")
            }
            return {
                **settings,
                "definitions": dict(db.execute(_OBJECTS).fetchall()),
                "integrity_check": _integrity(db),
                "foreign_key_check": _foreign_keys(db),
            }

    def count(self, chosen: Callable[[str], bool]) -> int:
        """Return the number of rows of the `chosen` tables."""
        with self._open() as db:
            return self._count(db, self._tables(db, chosen))

    def rows(
        self, chosen: Callable[[str], bool], excluded: Callable[[str], frozenset[str]]
    ) -> Iterator[tuple[RecordHash, Mapping[str, Any]]]:
        """Yield each row of the `chosen` tables, without the columns `excluded` of its table in its hash.

        Its key is ``PATH#TABLE KEY``. A row without a primary key has its hash for a key: to vacuum a file
        may number such rows again.
        """
        with self._open() as db:
            tables = self._tables(db, chosen)
            if (rows := self._count(db, tables)) > MOST_ROWS:
                raise self.failed(f"{self.path}: {rows:,} rows, of {MOST_ROWS:,} at most")
            for table in tables:
                columns = ", ".join(map(_quoted, table.columns))
                # A covering index may be damaged: the rows are read from the table itself.
                found = db.execute(f"SELECT {columns} FROM {_quoted(table.name)} NOT INDEXED")
                left_out = excluded(table.name)
                for values in found:
                    row = dict(zip(table.columns, values, strict=True))
                    yield self._record(table, row, left_out), row

    def _record(self, table: SqliteTable, row: dict[str, Any], left_out: frozenset[str]) -> RecordHash:
        key = [row[name] for name in table.key]
        identity = packed([_name(self.path), _name(table.name), *map(_exact, key)])
        fields = {n: _exact(one) for n, one in row.items() if n not in left_out and n not in table.key}
        place = f"{shown_value(self.path)}#{table.name}"
        shown = ", ".join(str(shown_value(one)) for one in key)
        record = record_of(f"{place} {shown}", identity, fields)
        return record if table.key else replace(record, key=f"{place} {record.hash:015x}")

    def _tables(self, db: sqlite3.Connection, chosen: Callable[[str], bool]) -> list[SqliteTable]:
        found = []
        for name, kind in sorted(db.execute(_TABLES).fetchall()):
            if kind == "table" or (kind == "shadow" and not name.endswith(_DERIVED)):
                about = db.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)).fetchall()
                key = sorted((place, column) for column, place in about if place)
                found.append(
                    SqliteTable(name, tuple(n for n, _ in about), tuple(column for _, column in key))
                )
        return [table for table in found if chosen(table.name)]

    def _count(self, db: sqlite3.Connection, tables: list[SqliteTable]) -> int:
        return sum(_one(db, f"SELECT count(*) FROM {_quoted(table.name)} NOT INDEXED") for table in tables)


def log_length(log: IO[bytes]) -> int:
    """Return the length of the part of a write-ahead log that counts.

    A log is begun again in its own file: what an earlier round left behind has other salts in its frames. See
    https://www.sqlite.org/fileformat2.html#walformat.
    """
    head = log.read(32)
    frame, salts, length = 24 + int.from_bytes(head[8:12], "big"), head[16:24], len(head)
    while (start := log.read(frame)) and start[8:16] == salts:
        length += len(start)
    return length


def _one(db: sqlite3.Connection, question: str) -> Any:  # noqa: ANN401 - what SQLite has there
    return db.execute(question).fetchone()[0]


def _integrity(db: sqlite3.Connection) -> str:
    """Return ``ok``, or what is wrong; a collation that only the application has cannot be checked."""
    try:
        return "; ".join(str(line) for (line,) in db.execute("PRAGMA integrity_check(10)"))
    except sqlite3.OperationalError as error:
        return f"{_UNCHECKED}{error}"


def _foreign_keys(db: sqlite3.Connection) -> Json:
    """Return each table with rows that name a missing row, and the table where that is missing."""
    try:
        found = db.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.OperationalError as error:
        return f"{_UNCHECKED}{error}"
    return [*sorted({f"{table} -> {parent}" for table, _, parent, _ in found})]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _name(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _exact(value: object) -> bytes | None:
    """Return a value as SQLite stores it, unambiguously: 1, 1.0, '1' and x'31' differ."""
    match value:
        case int():
            return b"i%d" % value
        case float():
            return b"r" + struct.pack(">d", value)
        case str():
            return b"t" + _name(value)
        case bytes():
            return b"b" + value
    return None


def shown_value(value: Any) -> Json:  # noqa: ANN401 - what SQLite has there
    """Return a value for people."""
    match value:
        case float():
            return number_json(value)
        case bytes():
            return bytes_json(value)
        case str():
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    found: Json = value
    return found
