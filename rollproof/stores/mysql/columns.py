"""A table's columns, and the binary text of a row over which its hash is computed.

The text is unambiguous: rows that differ in any value have different texts. It has four sections. Given the
columns, each section's end can be found from its beginning:

1. Numbers, as pairs of IEEE doubles: the server's `POINT(x, y)` is 25 bytes, and takes at most half the time
   of writing two numbers in decimal. Only numbers that a double holds exactly are here; NULL is a number that
   the column cannot hold. The lengths of the texts in section 4 are here too.
2. Values whose text always has the same length, or ``N`` for NULL.
3. Other values in decimal, or ``N``, each with a comma after it.
4. The stored bytes of texts, one after the other, whatever their character set and collation.

Section 2 holds the hashes of columns that may be long, so that the whole text fits into a packet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from rollproof.stores.contract import FIELD_BITS, HASH_BITS
from rollproof.stores.mysql.connection import quoted, rows

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


def read_columns(connection: Connection[Cursor], database: str, table: str) -> list[Column]:
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
