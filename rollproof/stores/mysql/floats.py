"""FLOAT values that a dump would change: the server writes them with six digits, and holds more.

A dump says 1234570 where the table holds 1234567.875. So the exact values are kept in a file next to it, as
statements that find their row by its primary key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pymysql.cursors import SSCursor

from rollproof.errors import ActionFailed
from rollproof.reading import open_regular
from rollproof.stores.mysql.connection import Session, quoted, rows
from rollproof.system.files import create_file

_COLUMNS = (
    "SELECT table_schema, table_name, column_name FROM information_schema.columns"
    " JOIN information_schema.tables USING (table_schema, table_name)"
    " WHERE data_type = 'float' AND COALESCE(generation_expression, '') = '' AND table_type = 'BASE TABLE'"
    " AND table_schema IN %s ORDER BY 1, 2, ordinal_position"
)
_KEY = (
    "SELECT column_name, data_type FROM information_schema.key_column_usage"
    " JOIN information_schema.columns USING (table_schema, table_name, column_name)"
    " WHERE constraint_name = 'PRIMARY' AND table_schema = %s AND table_name = %s"
    " ORDER BY key_column_usage.ordinal_position"
)
_SELF_UPDATING = (
    "SELECT column_name FROM information_schema.columns"
    " WHERE extra LIKE '%%on update%%' AND table_schema = %s AND table_name = %s"
)
_UPDATE_TRIGGERS = (
    "SELECT COUNT(*) FROM information_schema.triggers"
    " WHERE event_manipulation = 'UPDATE' AND event_object_schema = %s AND event_object_table = %s"
)
# An update cannot find its row by keys of these types.
_INEXACT_KEYS = frozenset({"float", "double", "bit"})


@dataclass(frozen=True, slots=True)
class _Column:
    database: str
    table: str
    name: str

    @property
    def source(self) -> str:
        return f"{quoted(self.database)}.{quoted(self.table)}"

    @property
    def changed_by_a_dump(self) -> str:
        column = quoted(self.name)
        return f"FROM {self.source} WHERE {column} + 0.0E0 <> CAST(CAST({column} AS CHAR) AS FLOAT) + 0.0E0"

    def key(self, connection: Session) -> list[str] | None:
        """Return the primary key's columns, or None where an update cannot find its row, or does more."""
        place = (self.database, self.table)
        key = {str(name): str(kind) for name, kind in rows(connection, _KEY, place)}
        ((triggers,),) = rows(connection, _UPDATE_TRIGGERS, place)
        return None if not key or triggers or _INEXACT_KEYS & {*key.values()} else list(key)


def write_floats(connection: Session, databases: Sequence[str], path: Path) -> tuple[int, list[str]]:
    """Write a statement line for each value that a dump changes.

    Returns the number of these values, and the columns with values that could not be put back.
    """
    count = 0
    left_out = []
    with create_file(path) as stream:
        for found in rows(connection, _COLUMNS, [tuple(databases)]):
            column = _Column(*map(str, found))
            ((affected,),) = rows(connection, f"SELECT COUNT(*) {column.changed_by_a_dump}")
            if not affected:
                continue
            key = column.key(connection)
            if key is None:
                left_out.append(f"{column.source}.{quoted(column.name)}")
                continue
            for statement in _statements(connection, column, key):
                stream.write(statement.encode() + b"\n")
                count += 1
    return count, left_out


def put_floats_back(connection: Session, path: Path) -> None:
    """Run the statements of `path`; each must change exactly one row."""
    rows(connection, "START TRANSACTION")
    with open_regular(path) as stream, closing(connection.cursor()) as cursor:
        for line in stream:
            changed = cursor.execute(line.decode())
            if changed != 1:
                raise ActionFailed(
                    what="exact value of a FLOAT column",
                    expected="one row to give it to",
                    observed=f"{changed} rows",
                    source=str(path),
                    hint="the store is between old and new: stop what writes to it, and restore again",
                )
    rows(connection, "COMMIT")


def _statements(connection: Session, column: _Column, key: Sequence[str]) -> Iterator[str]:
    names = [quoted(name) for name in key]
    kept = "".join(
        f", {quoted(name)} = {quoted(name)}"
        for (name,) in rows(connection, _SELF_UPDATING, (column.database, column.table))
    )
    query = (
        f"SELECT {quoted(column.name)} + 0.0E0, {', '.join(names)} {column.changed_by_a_dump}"
        f" ORDER BY {', '.join(names)}"
    )
    with closing(connection.cursor(SSCursor)) as cursor:  # one row at a time
        cursor.execute(query)
        for value, *values in cursor:
            where = " AND ".join(
                f"{name} = {cursor.mogrify('%s', [part])}" for name, part in zip(names, values, strict=True)
            )
            yield f"UPDATE {column.source} SET {quoted(column.name)} = {value:.17e}{kept} WHERE {where}"  # noqa: S608
