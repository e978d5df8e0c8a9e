"""The text that a row of MySQL is hashed over: two rows have one text only if they are the same."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from zlib import crc32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollproof.stores.mysql.table import Column, _row_text

# Values of each type, of which many are another in a text that does not say where they end.
VALUES: dict[str, list[Any]] = {
    "int": [0, 1, -1, 11, 4503599627],
    "bigint": [0, 1, 11, 111, -1, 2**63 - 1],
    "decimal": [0, 1, 11, -1],
    "double": [0.0, 1.0, 0.1, 1.5, float("inf")],
    "enum": [0, 1, 2],
    "set": [0, 1, 3],
    "timestamp": [0, 1, 11],
    "date": ["0000-00-00", "2024-01-01", "2024-01-11"],
    "time": ["00:00:00", "-01:00:00", "111:00:00"],
    "varchar": [b"", b"N", b",", b"1", b"1,", b"N,N", b"0", b"\0"],
    "varbinary": [b"", b"\0", b"\0\0", b"1"],
    "longblob": [b"", b"N", b"1", b"11"],
    "json": [b"1", b'"1"', b"null"],
}
CHARSETS = {"varchar": "utf8mb4", "json": "utf8mb4"}
kinds = st.lists(
    st.tuples(st.sampled_from(sorted(VALUES)), st.booleans(), st.booleans()), min_size=1, max_size=5
)


def columns_of(found: Sequence[tuple[str, bool, bool]]) -> list[Column]:
    return [
        Column(
            name=f"c{number}", type=kind, nullable=nullable, digits=30 if long else 10,
            length=1 << 21 if long else 40, charset=CHARSETS.get(kind), collation=None,
            virtual=False, generated=False,
        )
        for number, (kind, nullable, long) in enumerate(found)
    ]  # fmt: skip


def _concatenated(*values: Any) -> bytes | None:  # noqa: ANN401 - what the server's takes
    texts = [value if isinstance(value, bytes) else str(value).encode() for value in values]
    return None if None in values else b"".join(texts)


def _point(one: float | None, other: float | None) -> bytes | None:
    if one is None or other is None:
        return None
    return b"\0\0\0\0\1\1\0\0\0" + struct.pack("<dd", one, other)


def row_text(columns: Sequence[Column], values: Sequence[Any]) -> bytes:
    """Return the text of a row."""
    text = worked_out(_row_text(columns), columns, values)
    assert isinstance(text, bytes), "the text of no row is NULL"
    return text


def worked_out(expression: str, columns: Sequence[Column], values: Sequence[Any]) -> object:
    """Work an expression of a row out by sqlite, with the functions of the server that it lacks."""
    expression = expression.replace("_binary'' COLLATE `binary`", "x''")
    # Bytes are bytes there, and numbers of bits numbers.
    expression = re.sub(r"CAST\((`c\d`) AS (?:BINARY|UNSIGNED)\)", r"\1", expression)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("CONCAT", -1, _concatenated)
        connection.create_function("POINT", 2, _point)
        connection.create_function("UNIX_TIMESTAMP", 1, lambda value: value)
        connection.create_function(
            "SHA2", 2, lambda value, _: None if value is None else hashlib.sha256(value).hexdigest()
        )
        connection.create_function("CRC32", 1, lambda value: None if value is None else crc32(value))
        names = ", ".join(column.sql for column in columns)
        connection.execute(f"CREATE TABLE t ({names})")
        marks = ", ".join("?" for _ in columns)
        connection.execute(f"INSERT INTO t VALUES ({marks})", values)  # noqa: S608 - marks alone
        (found,) = connection.execute(f"SELECT {expression} FROM t").fetchone()  # noqa: S608 - the law's subject
    return found


def _rows(found: list[tuple[str, bool, bool]]) -> st.SearchStrategy[tuple[Any, ...]]:
    each = [
        st.sampled_from([*VALUES[kind], None] if nullable else VALUES[kind]) for kind, nullable, _ in found
    ]
    return st.tuples(*each)


@given(kinds.flatmap(lambda found: st.tuples(st.just(found), _rows(found), _rows(found))))
@example(([("varchar", True, False)], (None,), (b"",)))
@example(([("varchar", True, False), ("varchar", False, False)], (b"a", b"bc"), (b"ab", b"c")))
@example(([("bigint", True, False), ("bigint", True, False)], (None, 1), (1, None)))
@example(([("bigint", False, False), ("bigint", False, False)], (11, 1), (1, 11)))
@example(([("bigint", True, False), ("varchar", False, False)], (None, b"N"), (None, b"NN")))
@example(([("longblob", True, True)], (None,), (b"N",)))
@example(([("double", True, False), ("date", True, False)], (None, None), (0.0, None)))
def test_rows_have_one_text_only_if_they_are_the_same(
    made: tuple[list[tuple[str, bool, bool]], tuple[Any, ...], tuple[Any, ...]],
) -> None:
    found, one, other = made
    columns = columns_of(found)
    assert (row_text(columns, one) == row_text(columns, other)) == (one == other)


@pytest.mark.parametrize("kind", ["varchar", "varbinary", "longblob"])
def test_a_field_that_is_null_has_another_hash_than_an_empty_one(kind: str) -> None:
    """Otherwise the report of a changed row names no field of it."""
    columns = columns_of([(kind, True, False)])
    hashes = {worked_out(columns[0].field_hash, columns, [value]) for value in (None, b"")}
    assert len(hashes) == 2
