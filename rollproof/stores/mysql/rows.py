"""MySQL and MariaDB rows as statements that write them again, bit for bit, whatever session runs them.

Every text travels as its stored bytes with their character set. So a statement is one line of ASCII, except
for names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rollproof.collection import Json
from rollproof.stores.canonical import bytes_json, text_json
from rollproof.stores.mysql.columns import Column
from rollproof.stores.mysql.connection import quoted_table

# Bytes of texts in one statement. Longer values are assembled from pieces before it: in hexadecimal a value
# is twice as long, and might exceed the server's packet limit.
PIECE_BYTES = 256 << 10
# A table may hold zero dates, dates such as 30 February, and 0 in AUTO_INCREMENT columns. All other values
# that do not fit are refused: a replayed row must equal the exported row.
_STRICT = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"
# An ENUM may hold an invalid value with number 0, which only a session without strict mode can write.
_LENIENT = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"
_NO_CHOICE = "+0"
# Types that are written as numbers, and the type to cast them to for reading, or "" for no cast.
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
_PLAIN = re.compile(r"[-0-9a-f:. ]*")
_UTF8 = frozenset({"utf8", "utf8mb3", "utf8mb4", "ascii"})


class TooLong(Exception):
    """The server gave NULL for a value that is longer than its `max_allowed_packet`."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """The stored bytes of a text in `charset`, or of a binary value."""

    value: bytes
    charset: str | None


@dataclass(frozen=True, slots=True)
class _Cell:
    """A column's handling: the `selected` expressions, the values' form for people, and their SQL literal.

    The functions take the selected values; the first is not None.
    """

    selected: tuple[str, ...]
    shown: Callable[[Sequence[Any]], Json]
    literal: Callable[[Sequence[Any]], str | _Stored]


class RowWriter:
    """Writes one table's rows. Columns that the server generates are left out."""

    def __init__(self, collection: str, columns: Sequence[Column], *, unique: bool) -> None:
        """Prepare for a table with these columns; `unique` tells whether it has a unique index."""
        given = [column for column in columns if not column.generated]
        self._names = [column.name for column in given]
        self._cells = [_cell(column) for column in given]
        # Without a unique index, equal rows may occur more than once.
        verb = "REPLACE" if unique else "INSERT"
        names = ", ".join(column.sql for column in given)
        self._into = f"{verb} INTO {quoted_table(collection)} ({names})"

    @property
    def selected(self) -> list[str]:
        """Return the expressions to select for `write`."""
        return [value for cell in self._cells for value in cell.selected]

    def write(self, values: Sequence[Any]) -> tuple[Json, str]:
        """Return a row for people, and the statements that write it, on one line."""
        shown: dict[str, Json] = {}
        literals: list[str | _Stored] = []
        start = 0
        for name, cell in zip(self._names, self._cells, strict=True):
            own = values[start : start + len(cell.selected)]
            start += len(cell.selected)
            if own[0] is None and own[-1] == 0:
                raise TooLong(name)
            shown[name] = None if own[0] is None else cell.shown(own)
            literals.append("NULL" if own[0] is None else cell.literal(own))
        return shown, self._line(literals)

    def _line(self, literals: Sequence[str | _Stored]) -> str:
        mode = _LENIENT if _NO_CHOICE in literals else _STRICT
        # With checks on, REPLACE could cascade and delete the rows that refer to the replaced row. The time
        # zone is the same as when TIMESTAMP values were read.
        setting = (
            f"SET NAMES utf8mb4, time_zone = '+00:00', foreign_key_checks = 0, unique_checks = 1,"
            f" sql_mode = '{mode}'"
        )
        statements = [setting]
        written = []
        room = PIECE_BYTES
        for number, literal in enumerate(literals, start=1):
            if isinstance(literal, str):
                written.append(literal)
            elif len(literal.value) <= room:
                room -= len(literal.value)
                introducer = "" if literal.charset is None else f"_{literal.charset} "
                written.append(f"{introducer}x'{literal.value.hex()}'")
            else:
                variable = f"@value{number}"
                statements += _assigned(variable, literal.value)
                using = literal.charset
                written.append(variable if using is None else f"CONVERT({variable} USING {using})")
        statements.append(f"{self._into} VALUES ({', '.join(written)})")
        return " ".join(f"{statement};" for statement in statements)


def _assigned(variable: str, value: bytes) -> Iterator[str]:
    yield f"SET {variable} = x''"
    for start in range(0, len(value), PIECE_BYTES):
        yield f"SET {variable} = CONCAT({variable}, x'{value[start : start + PIECE_BYTES].hex()}')"


def _cell(column: Column) -> _Cell:
    """Return a column's cell. Its first selected value is NULL only if the value is NULL or too long."""
    if column.type in _NUMBERS:
        read_as = _NUMBERS[column.type]
        return _Cell((f"CAST({column.sql} AS {read_as})" if read_as else column.sql,), _first, _number)
    if column.type in _FLOATS:
        # A FLOAT reads as six digits; converted to DOUBLE, it keeps all its digits.
        return _Cell((column.double,), _first, lambda values: f"{values[0]:.17e}")
    if column.type in ("enum", "set"):
        numbered = f"CAST({column.sql} AS UNSIGNED)"
        literal = _choice if column.type == "enum" else _choices
        return _Cell((numbered, _in_utf8(column)), lambda values: str(values[1]), literal)
    if column.type in _BYTES or column.charset:
        return _bytes_cell(column)
    if column.type == "json":
        return _Cell((column.sql,), lambda values: _parsed(values[0]), lambda values: _text(values[0]))
    # Dates and times, and MariaDB's types such as addresses, which it accepts in the form it returns.
    return _Cell((f"CAST({column.sql} AS CHAR)",), _first, _quoted)


def _bytes_cell(column: Column) -> _Cell:
    charset = column.charset
    readable = [] if charset is None or charset in _UTF8 else [_in_utf8(column)]
    selected = (f"CAST({column.sql} AS BINARY)", *readable, f"{column.sql} IS NULL")

    def shown(values: Sequence[Any]) -> Json:
        if readable:
            return _first(values[1:])
        return bytes_json(values[0]) if charset is None else text_json(values[0])

    return _Cell(selected, shown, lambda values: _Stored(values[0], charset))


def _in_utf8(column: Column) -> str:
    return f"CONVERT({column.sql} USING utf8mb4)"


def _first(values: Sequence[Any]) -> Json:
    found: Json = values[0]
    return found


def _number(values: Sequence[Any]) -> str:
    return str(values[0])


def _quoted(values: Sequence[Any]) -> str | _Stored:
    text = str(values[0])
    return f"'{text}'" if _PLAIN.fullmatch(text) else _text(text)


def _text(value: str) -> _Stored:
    return _Stored(value.encode(), "utf8mb4")


def _parsed(value: str) -> Json:
    found: Json = json.loads(value)
    return found


def _choice(values: Sequence[Any]) -> str | _Stored:
    # By its text: in the rolled-back table, another value may have the number.
    number, text = values
    return _text(text) if number else _NO_CHOICE


def _choices(values: Sequence[Any]) -> str | _Stored:
    number, text = values
    # A SET member that is an empty text shows only in the number.
    named = text and len(text.split(",")) == int(number).bit_count()
    return _text(text) if named else str(number)
