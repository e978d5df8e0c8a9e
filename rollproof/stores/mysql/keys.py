"""The key columns that cut a table into parts, and the SQL conditions for bounds between parts.

A bound is a JSON object of key columns and their values: ``{"id": "5000"}``. Texts are their stored bytes in
hexadecimal: the server compares them by the column's collation, and a conversion might lose bytes. The part
between two bounds holds the rows from the first bound on and before the second. Comparing is left to the
server: every row falls into exactly one part, whatever the order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from rollproof.stores.mysql.columns import Column
from rollproof.stores.mysql.connection import quoted, rows, server

# The columns of each unique index, the primary key first. A prefix of a text and an expression are no key.
# A disabled index cannot be walked.
_UNIQUE = (
    "SELECT index_name, column_name, sub_part FROM information_schema.statistics"
    " WHERE non_unique = 0 AND index_type = 'BTREE' AND {on} AND table_schema = %s AND table_name = %s"
    " ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index"
)
_TEXTS = frozenset({"char", "varchar", "binary", "varbinary"})
_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "year"})
_NUMBERS = _INTEGERS | {"decimal"}
_QUOTED = frozenset({"date", "datetime", "timestamp", "time", "uuid", "inet4", "inet6"})
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_BYTES = re.compile(r"(?:[0-9A-F]{2})*")
_PLAIN = re.compile(r"[-0-9a-f:. ]*")


@dataclass(frozen=True, slots=True)
class Key:
    """The unique index that identifies a row, and its leading columns that make up bounds.

    Bounds end before an ENUM, which the server orders by number and compares as text, and before a FLOAT,
    whose text is inexact. `index` is None if no column or index is usable.
    """

    index: str | None
    columns: tuple[Column, ...]
    bounds: tuple[Column, ...]

    @property
    def forced(self) -> str:
        """Return the hint that makes the server walk the index."""
        return f" FORCE INDEX ({quoted(self.index)})" if self.index else ""

    @property
    def order(self) -> str:
        """Return a bound's columns as a list for ORDER BY."""
        return ", ".join(column.sql for column in self.bounds)

    @property
    def selected(self) -> str:
        """Return the expressions to select for `bound`."""
        return ", ".join(
            f"HEX({column.sql})" if column.type in _TEXTS else f"CAST({column.sql} AS CHAR)"
            for column in self.bounds
        )

    @property
    def shown(self) -> str:
        """Return the expressions that show the key columns to people; bytes in hexadecimal."""
        return ", ".join(
            f"CONVERT({column.sql} USING utf8mb4)"
            if column.charset
            else f"HEX({column.sql})"
            if column.type in _TEXTS
            else f"CAST({column.sql} + 0 AS CHAR)"
            if column.type == "bit"
            else f"CAST({column.sql} AS CHAR)"
            for column in self.columns
        )

    def bound(self, values: Sequence[str]) -> str:
        """Return the bound at `values`, which `selected` gave."""
        names = [column.name for column in self.bounds]
        return json.dumps(dict(zip(names, map(str, values), strict=True)), ensure_ascii=False)

    def width(self, first: str, end: str) -> int | None:
        """Return the most keys between two bounds, or None if unknown; known for a single integer column."""
        if not first or not end or [column.type in _INTEGERS for column in self.bounds] != [True]:
            return None
        (low,), (high,) = json.loads(first).values(), json.loads(end).values()
        return int(high) - int(low)


def read_key(connection: Connection[Cursor], database: str, table: str, columns: Sequence[Column]) -> Key:
    """Return a table's key: the primary key, else a unique index without NULL, else an empty key."""
    flavour, _ = server(connection)
    query = _UNIQUE.format(on="is_visible = 'YES'" if flavour == "mysql" else "ignored = 'NO'")
    by_name = {column.name: column for column in columns}
    indexes: dict[str, list[Column | None]] = {}
    for index, name, part in rows(connection, query, [database, table]):
        column = by_name.get(name) if name is not None and part is None else None
        indexes.setdefault(str(index), []).append(None if column is None or column.nullable else column)
    for index, found in indexes.items():
        whole = [column for column in found if column is not None]
        if len(whole) == len(found):
            usable = next((at for at, one in enumerate(whole) if not _comparable(one)), len(whole))
            return Key(index if usable else None, tuple(whole), tuple(whole[:usable]))
    return Key(None, (), ())


def between(columns: Mapping[str, Column], first: str, end: str, *, after: bool = False) -> str:
    """Return the condition for rows from the bound `first` on and before `end`; "" is no bound.

    Args:
        columns: The table's columns, by name.
        first: The bound at which the rows begin.
        end: The bound before which the rows end.
        after: Leave out the row at `first` itself.

    Raises:
        ValueError: a bound does not fit these columns.
    """
    conditions = []
    if first:
        conditions.append(_beyond(_literals(columns, first), ">", last=">" if after else ">="))
    if end:
        conditions.append(_beyond(_literals(columns, end), "<", last="<"))
    return " AND ".join(conditions) or "TRUE"


def _beyond(literals: Sequence[tuple[str, str]], operator: str, *, last: str) -> str:
    """Return the condition for rows beyond a bound: beyond in one column, and equal in all before it."""
    if len(literals) == 1:
        ((name, value),) = literals
        return f"{name} {last} {value}"
    choices = []
    for at, (name, value) in enumerate(literals):
        equal = [f"{one} = {other}" for one, other in literals[:at]]
        choices.append(
            " AND ".join([*equal, f"{name} {last if at == len(literals) - 1 else operator} {value}"])
        )
    name, value = literals[0]
    # Redundant, but it tells the server where in the index to begin.
    return f"{name} {operator}= {value} AND ({' OR '.join(f'({choice})' for choice in choices)})"


def _literals(columns: Mapping[str, Column], bound: str) -> list[tuple[str, str]]:
    values = json.loads(bound)
    if not isinstance(values, dict) or not values:
        raise ValueError("no bound of key columns")
    pairs = []
    for name, value in values.items():
        column = columns.get(name)
        if column is None or column.nullable or not _comparable(column):
            raise ValueError(f"no key column {name}")
        pairs.append((column.sql, _literal(column, str(value))))
    return pairs


def _literal(column: Column, value: str) -> str:
    if column.type in _NUMBERS:
        pattern, text = _NUMBER, value
    elif column.type not in _TEXTS:
        pattern, text = _PLAIN, f"'{value}'"
    elif column.charset:
        pattern, text = _BYTES, f"_{column.charset} x'{value}' COLLATE {column.collation}"
    else:
        pattern, text = _BYTES, f"x'{value}'"
    if not pattern.fullmatch(value):
        raise ValueError(f"no value of column {column.name}")
    return text


def _comparable(column: Column) -> bool:
    return column.type in _TEXTS or column.type in _NUMBERS or column.type in _QUOTED
