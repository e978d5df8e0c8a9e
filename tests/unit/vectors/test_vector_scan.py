"""A scan of a collection of vectors: every row is in one part, whatever the answers look like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import pytest

from rollproof.errors import Unverifiable
from rollproof.stores.contract import Digest, Pace, RecordHash
from rollproof.stores.reach import NOBODY, Reach
from rollproof.stores.reader import BLOCK_BYTES
from rollproof.stores.vectors import Hashed, Scan
from tests.unit.stores.test_readers_reach import NOWHERE


@dataclass
class Table:
    """Rows that are numbers. `most` rows are in an answer, whatever is asked for."""

    rows: Sequence[int]
    most: int = 1000
    size: int = 10
    broken_at: int | None = None
    asked: list[int] = field(default_factory=list)
    reach: Reach = field(default=Reach("vectors", NOWHERE, NOBODY, 1.0))
    collection: str = "files"

    def key(self, bound: str) -> int:
        return int(bound)

    def keys(self) -> Iterator[str]:
        return map(str, self.rows)

    def block(self, after: int | None, begin: int | None, end: int | None, limit: int) -> Sequence[int]:
        self.asked.append(limit)
        found = [
            row
            for row in self.rows
            if (after is None or row > after) and (after is not None or begin is None or row >= begin)
        ]
        if self.broken_at is not None and self.broken_at in found[:limit]:
            raise ConnectionError("gone")
        return found[: min(limit, self.most)]

    def hashed(self, row: int) -> Hashed:
        return Hashed(row, row * 7, self.size)

    def record(self, row: int, hashed: Hashed) -> RecordHash:
        return RecordHash(str(row), hashed.hash)


ROWS = tuple(range(0, 4000, 3))


def scan(table: Table, division: Sequence[str], connections: int = 2) -> Scan:
    return Scan(table, division, Pace(connections=connections))


def division(size: int) -> tuple[str, ...]:
    return ("", *(str(row) for place, row in enumerate(ROWS) if place and place % size == 0))


@pytest.mark.parametrize(
    ("size", "most", "connections"), [*product([1, 7, 500, 5000], [1, 50, 1000], [1, 3])]
)
def test_parts_are_the_whole(size: int, most: int, connections: int) -> None:
    bounds = division(size)
    found = list(scan(Table(ROWS, most), bounds, connections).digests(range(len(bounds))))
    assert sorted(part for part, _ in found) == list(range(len(bounds)))
    for part, digest in found:
        rows = ROWS[part * size : (part + 1) * size]
        assert digest == Digest(len(rows), sum(7 * row for row in rows))


def test_requests_grow_no_larger_than_their_memory() -> None:
    table = Table(ROWS, size=BLOCK_BYTES // 20)
    assert sum(digest.records for _, digest in scan(table, ("",), 1).digests([0])) == len(ROWS)
    assert max(table.asked) == 20


def test_rows_out_of_order_are_refused() -> None:
    with pytest.raises(Unverifiable, match="in the order of their keys, observed 2 after 2"):
        list(scan(Table((0, 1, 2, 2, 3)), ("",)).digests([0]))
    with pytest.raises(Unverifiable, match="keys of another type"):
        scan(Table(ROWS), ("", "a text"))


@pytest.mark.parametrize("connections", [1, 3])
def test_an_error_ends_the_scan_and_is_raised(connections: int) -> None:
    bounds = division(10)
    with pytest.raises(ConnectionError):
        list(scan(Table(ROWS, broken_at=3000), bounds, connections).digests(range(len(bounds))))
    with pytest.raises(ConnectionError):
        list(scan(Table(ROWS, broken_at=3000), bounds, connections).records(range(len(bounds))))
