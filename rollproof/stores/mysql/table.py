"""A table's columns and its key: the text of a row that is hashed, and the bounds that cut it into parts.

The hashed text is unambiguous: rows that differ in any value have different texts. It has four sections.
Given the columns, each section's end can be found from its beginning:

1. Numbers, as pairs of IEEE doubles: the server's `POINT(x, y)` is 25 bytes, and takes at most half the time
   of writing two numbers in decimal. Only numbers that a double holds exactly are here; NULL is a number that
   the column cannot hold. The lengths of the texts in section 4 are here too.
2. Values whose text always has the same length, or ``N`` for NULL.
3. Other values in decimal, or ``N``, each with a comma after it.
4. The stored bytes of texts, one after the other, whatever their character set and collation.

Section 2 holds the hashes of columns that may be long, so that the whole text fits into a packet.

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

from rollproof.stores.contract import FIELD_BITS, HASH_BITS
from rollproof.stores.mysql.connection import MysqlSession, quoted, rows

_COLUMNS = (
    "SELECT column_name, data_type, is_nullable, COALESCE(numeric_precision, 0),"
    " COALESCE(character_octet_length, 0), character_set_name, collation_name,"
    " extra LIKE '%%VIRTUAL%%' OR COALESCE(generation_expression, '') IN ('ROW START', 'ROW END'),"
    " COALESCE(generation_expression, '') <> ''"
    " FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"
)
_SMALL_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "year"})
_FLOATS = frozenset({"float", "double"})
_TEXTS = frozenset(
    {"char", "varchar", "binary", "varbinary", "tinytext", "text", "tinyblob", "blob"},
)
_SAME_LENGTH = frozenset({"date", "datetime"})
_DECIMALS = frozenset({"bigint", "decimal", "time"})
_BITS = frozenset({"bit", "set"})
# A double distinguishes all decimals of so many digits.
_DOUBLE_DIGITS = 15
# Larger than any length and any value of a column in section 1. A double holds it exactly.
_NULL_NUMBER = 2**52
# Once texts may exceed this many bytes together, further ones are hashed one by one.
LONGEST_TOGETHER = 1 << 20
# An explicit collation overrides those of all columns, so that their bytes are used without conversion.
_BINARY = "_binary'' COLLATE `binary`"
# The columns of each unique index, the primary key first. A prefix of a text and an expression are no key.
# A disabled index cannot be walked.
_UNIQUE = (
    "SELECT index_name, column_name, sub_part FROM information_schema.statistics"
    " WHERE non_unique = 0 AND index_type = 'BTREE' AND {on} AND table_schema = %s AND table_name = %s"
    " ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index"
)
_KEY_TEXTS = frozenset({"char", "varchar", "binary", "varbinary"})
_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "year"})
_NUMBERS = _INTEGERS | {"decimal"}
_QUOTED = frozenset({"date", "datetime", "timestamp", "time", "uuid", "inet4", "inet6"})
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_BYTES = re.compile(r"(?:[0-9A-F]{2})*")
_PLAIN = re.compile(r"[-0-9a-f:. ]*")


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `length` is a text's maximum in bytes, `digits` a number's precision.

    The server itself computes the values of a `generated` column. For a `virtual` column it stores none.
    """

    name: str
    type: str
    nullable: bool
    digits: int
    length: int
    charset: str | None
    collation: str | None
    virtual: bool
    generated: bool

    @property
    def sql(self) -> str:
        """Return the column as an identifier."""
        return quoted(self.name)

    @property
    def number(self) -> str | None:
        """Return the column's number for section 1, or None if a double cannot hold it exactly."""
        if self.type in _SMALL_INTEGERS or (self.type == "decimal" and self.digits <= _DOUBLE_DIGITS):
            return self.or_null(self.sql, _NULL_NUMBER)
        if self.type == "enum":
            # By number: an invalid value has number 0, but its text may be that of a valid value.
            return self.or_null(f"{self.sql} + 0", _NULL_NUMBER)
        if self.type == "timestamp":
            return self.or_null(f"UNIX_TIMESTAMP({self.sql})", _NULL_NUMBER)
        if self.type in _FLOATS and not self.nullable:
            return self.double
        return None

    @property
    def double(self) -> str:
        """Return all bits of a FLOAT or DOUBLE except a zero's sign, which no dump holds."""
        return f"{self.sql} + 0.0E0"

    @property
    def same_length(self) -> str | None:
        """Return the text of constant length for section 2, or None if the type has none."""
        if self.type in _SAME_LENGTH:
            return self.or_null(self.sql, "'N'")
        if self.type in _FLOATS and self.nullable:
            return self.or_null(f"POINT({self.double}, 0.0E0)", "'N'")
        return None

    @property
    def decimal(self) -> str | None:
        """Return the decimal text for section 3, or None if the type is not among its types."""
        if self.type in _DECIMALS:
            return self.or_null(self.sql, "'N'")
        if self.type in _BITS:
            return self.or_null(f"CAST({self.sql} AS UNSIGNED)", "'N'")
        return None

    @property
    def is_text(self) -> bool:
        """Return True if its bytes are short enough to be hashed together with other columns' bytes."""
        return self.type in _TEXTS

    @property
    def bytes_hash(self) -> str:
        """Return the hash of its bytes, for long values and types unknown here."""
        return self.or_null(f"SHA2({self._bytes}, 256)", "'N'")

    @property
    def field_hash(self) -> str:
        """Return an expression of `FIELD_BITS` bits, to find the field in which two rows differ."""
        value = self.sql if self.is_text else self.same_length or self.decimal or self.number
        return f"IFNULL(CRC32({value or self._bytes}), 1) & {(1 << FIELD_BITS) - 1}"

    def or_null(self, value: str, null: object) -> str:
        """Return `value`, or `null` in its place if the column is NULL."""
        return f"IFNULL({value}, {null})" if self.nullable else value

    @property
    def _bytes(self) -> str:
        # JSON and texts as they are, other types as bytes: MariaDB hashes some types only as bytes.
        return self.sql if self.type == "json" or self.charset else f"CAST({self.sql} AS BINARY)"


def read_columns(connection: MysqlSession, database: str, table: str) -> list[Column]:
    """Return a table's columns in their order; empty if the table does not exist."""
    return [
        Column(
            str(name), str(kind).lower(), nullable == "YES", int(digits), int(length), charset, collation,
            bool(virtual), bool(generated),
        )
        for name, kind, nullable, digits, length, charset, collation, virtual, generated in rows(
            connection, _COLUMNS, [database, table]
        )
    ]  # fmt: skip


def hashed(columns: Sequence[Column], excluded: frozenset[str]) -> list[Column]:
    """Return the `columns` in a row's hash: neither virtual nor `excluded`."""
    return [column for column in columns if not column.virtual and column.name not in excluded]


def row_hash(columns: Sequence[Column]) -> str:
    """Return the expression of a row's hash over `columns`: the first `HASH_BITS` bits of SHA-256."""
    digits = HASH_BITS // 4
    return f"CAST(CONV(LEFT(SHA2({_row_text(columns)}, 256), {digits}), 16, 10) AS UNSIGNED)"


def _row_text(columns: Sequence[Column]) -> str:
    numbers: list[str] = []
    same_length: list[str] = []
    decimals: list[str] = []
    texts: list[str] = []
    together = 0
    for column in columns:
        if column.is_text and together + column.length <= LONGEST_TOGETHER:
            together += column.length
            numbers.append(column.or_null(f"LENGTH({column.sql})", _NULL_NUMBER))
            texts.append(column.or_null(column.sql, "''"))
        elif number := column.number:
            numbers.append(number)
        elif decimal := column.decimal:
            decimals += [decimal, "','"]
        else:
            same_length.append(column.same_length or column.bytes_hash)
    if texts and texts[-1].startswith("`"):
        # The last text's length is not needed: it ends with the whole.
        numbers.remove(f"LENGTH({texts[-1]})")
    if len(numbers) % 2:
        numbers.append("0")
    points = [f"POINT({one}, {two})" for one, two in zip(numbers[::2], numbers[1::2], strict=True)]
    return f"CONCAT({', '.join([_BINARY, *points, *same_length, *decimals, *texts])})"


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
            f"HEX({column.sql})" if column.type in _KEY_TEXTS else f"CAST({column.sql} AS CHAR)"
            for column in self.bounds
        )

    @property
    def shown(self) -> str:
        """Return the expressions that show the key columns to people; bytes in hexadecimal."""
        return ", ".join(
            f"CONVERT({column.sql} USING utf8mb4)"
            if column.charset
            else f"HEX({column.sql})"
            if column.type in _KEY_TEXTS
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


def read_key(connection: MysqlSession, database: str, table: str, columns: Sequence[Column]) -> Key:
    """Return a table's key: the primary key, else a unique index without NULL, else an empty key."""
    query = _UNIQUE.format(on="is_visible = 'YES'" if connection.flavour == "mysql" else "ignored = 'NO'")
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
    elif column.type not in _KEY_TEXTS:
        pattern, text = _PLAIN, f"'{value}'"
    elif column.charset:
        pattern, text = _BYTES, f"_{column.charset} x'{value}' COLLATE {column.collation}"
    else:
        pattern, text = _BYTES, f"x'{value}'"
    if not pattern.fullmatch(value):
        raise ValueError(f"no value of column {column.name}")
    return text


def _comparable(column: Column) -> bool:
    return column.type in _KEY_TEXTS or column.type in _NUMBERS or column.type in _QUOTED
