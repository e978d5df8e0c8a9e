"""FLOAT values that a dump would change: the server writes them with six digits, and holds more.

A dump says 1234570 where the table holds 1234567.875. So the exact values are kept in a file next to it, as
statements that find their row by its primary key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pymysql.cursors import SSCursor

from rollproof.errors import ActionFailed
from rollproof.reading import open_regular
from rollproof.stores.mysql.connection import Session, quoted, quoted_table, rows
from rollproof.stores.mysql.schema import tables_of
from rollproof.stores.tables import Schemas
from rollproof.system.files import create_file

# An update cannot find its row by keys of these types.
_INEXACT_KEYS = frozenset({"float", "double", "bit"})


def write_floats(connection: Session, schemas: Schemas, path: Path) -> list[str]:
    """Write a statement line for each value of `schemas`' tables that a dump changes.

    Returns the columns with values that could not be put back.
    """
    left_out = []
    triggered = {
        f"{one['event_object_schema']}.{one['event_object_table']}"
        for one in schemas.values()
        if one.get("event_manipulation") == "UPDATE"
    }
    with create_file(path) as stream:
        for name, table in tables_of(schemas).items():
            columns: Mapping[str, Any] = table["columns"]  # type: ignore[assignment]
            key = None if name in triggered else _key(table, columns)
            own = [column for column, one in columns.items() if "on update" in one["extra"].lower()]
            for column, one in columns.items():
                if one["data_type"] != "float" or one["generation_expression"]:
                    continue
                if key is not None:
                    for statement in _statements(connection, name, column, key, own):
                        stream.write(statement.encode() + b"\n")
                elif rows(connection, f"SELECT 1 {_changed(name, column)} LIMIT 1"):
                    left_out.append(f"{quoted_table(name)}.{quoted(column)}")
    return left_out


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


def _key(table: Mapping[str, Any], columns: Mapping[str, Any]) -> list[str] | None:
    """Return the primary key's columns; None without one by which an update finds its row."""
    members = list(table.get("indexes", {}).get("PRIMARY", {}).values())
    names = [member["column_name"] for member in members if member["sub_part"] is None]
    whole = len(names) == len(members)
    exact = _INEXACT_KEYS.isdisjoint(columns[name]["data_type"] for name in names)
    return names if names and whole and exact else None


def _changed(name: str, column: str) -> str:
    """Return the FROM clause for the rows whose value a dump changes."""
    value = quoted(column)
    return f"FROM {quoted_table(name)} WHERE {value} + 0.0E0 <> CAST(CAST({value} AS CHAR) AS FLOAT) + 0.0E0"


def _statements(
    connection: Session, name: str, column: str, key: Sequence[str], own: Sequence[str]
) -> Iterator[str]:
    """Yield an UPDATE for each value; the columns `own`, which the server would set to now, are kept."""
    keys = [quoted(one) for one in key]
    kept = "".join(f", {quoted(one)} = {quoted(one)}" for one in own)
    query = f"SELECT {quoted(column)} + 0.0E0, {', '.join(keys)} {_changed(name, column)}"
    with closing(connection.cursor(SSCursor)) as cursor:  # one row at a time
        cursor.execute(f"{query} ORDER BY {', '.join(keys)}")
        for value, *values in cursor:
            where = " AND ".join(
                f"{one} = {cursor.mogrify('%s', [part])}" for one, part in zip(keys, values, strict=True)
            )
            yield f"UPDATE {quoted_table(name)} SET {quoted(column)} = {value:.17e}{kept} WHERE {where}"  # noqa: S608 - quoted
