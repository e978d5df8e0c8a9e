"""Rows of MySQL and MariaDB: read whole for an export, inserted again bit for bit, and deleted by key.

A value travels as JSON: a number, a text, or ``{"base64": …}`` with the stored bytes of a binary, or of a
text that is not UTF-8, next to the ``text`` that people read.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymysql.cursors import SSCursor

from rollproof.collection import Json
from rollproof.errors import ActionFailed
from rollproof.reading import open_regular
from rollproof.stores.canonical import bytes_json, text_json
from rollproof.stores.mysql.connection import MysqlSession, escaped_percents, quoted, quoted_table, rows
from rollproof.stores.mysql.schema import tables_of
from rollproof.stores.mysql.table import Column
from rollproof.stores.tables import Schemas
from rollproof.system.files import create_file

# An update cannot find its row by keys of these types.
_INEXACT_KEYS = frozenset({"float", "double", "bit"})


def write_floats(connection: MysqlSession, schemas: Schemas, path: Path) -> list[str]:
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


def put_floats_back(connection: MysqlSession, path: Path) -> None:
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
    connection: MysqlSession, name: str, column: str, key: Sequence[str], own: Sequence[str]
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


# A table may hold zero dates, dates such as 30 February, and 0 in AUTO_INCREMENT columns. All other values
# that do not fit are refused: an inserted row must equal the exported row.
_STRICT = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"
# An ENUM may hold an invalid value with number 0, which only a session without strict mode can write.
_LENIENT = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"
# Types that are read as numbers or decimals, and the type to cast them to, or "" for no cast.
_NUMBERS = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "year"), ""),
    "decimal": "CHAR",
    "bit": "UNSIGNED",
}
_FLOATS = frozenset({"float", "double"})
_BYTES = frozenset(
    {
        "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector",
        "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
        "geomcollection", "geometrycollection",
    }
)  # fmt: skip
_UTF8 = frozenset({"utf8", "utf8mb3", "utf8mb4", "ascii"})


@dataclass(frozen=True, slots=True)
class _Cell:
    """A column's `selected` expressions, and the value to travel; the first expression is not None then."""

    selected: tuple[str, ...]
    value: Callable[..., Json] = lambda found: found


class RowReader:
    """Reads one table's rows. Columns that the server generates are left out."""

    def __init__(self, columns: Sequence[Column]) -> None:
        """Prepare for a table with these columns."""
        self._cells = {column.name: _cell(column) for column in columns if not column.generated}

    @property
    def selected(self) -> list[str]:
        """Return the expressions to select for `read`."""
        return [value for cell in self._cells.values() for value in cell.selected]

    def read(self, values: Sequence[Any]) -> dict[str, Json]:
        """Return a row as people read it, and as `insert` takes it."""
        row: dict[str, Json] = {}
        start = 0
        for name, cell in self._cells.items():
            own = values[start : start + len(cell.selected)]
            start += len(cell.selected)
            row[name] = None if own[0] is None else cell.value(*own)
        return row


def prepare(connection: MysqlSession, lock_seconds: float) -> None:
    """Set the session for `insert`.

    With checks on, REPLACE could cascade and delete the rows that refer to the replaced row. The time zone is
    that in which TIMESTAMP values were read.
    """
    settings = "time_zone = '+00:00', foreign_key_checks = 0, unique_checks = 1"
    rows(connection, f"SET {settings}, innodb_lock_wait_timeout = {max(1, int(lock_seconds))}")


def insert(
    connection: MysqlSession,
    collection: str,
    columns: Mapping[str, Column],
    row: Mapping[str, Any],
    *,
    replace: bool,
) -> None:
    """Insert `row`, or `replace` each row with the same unique key.

    Raises:
        KeyError: the table has no such column. `MySQLError`: the server refuses the row.
    """
    places, values = _bound(columns, row)
    lenient = any(columns[name].type == "enum" and value == 0 for name, value in row.items())
    rows(connection, "SET sql_mode = %s", [_LENIENT if lenient else _STRICT])
    names = escaped_percents(", ".join(columns[name].sql for name in row))
    into = f"{'REPLACE' if replace else 'INSERT'} INTO {escaped_percents(quoted_table(collection))}"
    rows(connection, f"{into} ({names}) VALUES ({', '.join(places)})", values)


def delete(connection: MysqlSession, collection: str, key: Sequence[Column], row: Mapping[str, Any]) -> None:
    """Delete the row whose `key`, the columns of a unique index, has the values of `row`."""
    columns = {column.name: column for column in key}
    places, values = _bound(columns, {name: row[name] for name in columns})
    names = escaped_percents(", ".join(column.sql for column in key))
    rows_of = f"FROM {escaped_percents(quoted_table(collection))} WHERE ({names}) = ({', '.join(places)})"
    rows(connection, f"DELETE {rows_of}", values)


def _bound(columns: Mapping[str, Column], row: Mapping[str, Any]) -> tuple[list[str], list[object]]:
    """Return a statement's places for the values of `row`, and the values that go there."""
    places: list[str] = []
    values: list[object] = []
    for name, value in row.items():
        charset = columns[name].charset
        if isinstance(value, dict):
            places.append(f"CONVERT(_binary %s USING {charset})" if charset else "_binary %s")
            values.append(b64decode(value["base64"]))
        else:
            places.append("%s")
            values.append(value)
    return places, values


def _cell(column: Column) -> _Cell:
    in_utf8 = f"CONVERT({column.sql} USING utf8mb4)"
    if column.type in ("enum", "set"):
        number = f"CAST({column.sql} AS UNSIGNED)"
        return _Cell((number, in_utf8), _choice if column.type == "enum" else _choices)
    stored = f"CAST({column.sql} AS BINARY)"
    if column.charset in _UTF8:
        return _Cell((stored,), text_json)
    if column.charset:
        return _Cell(
            (stored, in_utf8), lambda content, text: {"text": text, "base64": b64encode(content).decode()}
        )
    if column.type in _BYTES:
        return _Cell((stored,), bytes_json)
    return _Cell((_plain(column),))


def _plain(column: Column) -> str:
    if column.type in _FLOATS:
        # A FLOAT reads as six digits; converted to DOUBLE, it keeps all its digits.
        return column.double
    # In CHAR dates and times, and MariaDB's types such as addresses, which it accepts in the form it returns.
    read_as = _NUMBERS.get(column.type, "" if column.type == "json" else "CHAR")
    return f"CAST({column.sql} AS {read_as})" if read_as else column.sql


def _choice(number: int, text: str) -> Json:
    # By its text: in the rolled-back table, another value may have the number. An invalid value has number 0.
    return text if number else 0


def _choices(number: int, text: str) -> Json:
    # A SET member that is an empty text shows only in the number.
    return text if text and len(text.split(",")) == number.bit_count() else number
