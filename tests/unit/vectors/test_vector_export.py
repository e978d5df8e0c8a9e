"""The export of records by key: every one is asked for once, in blocks that memory holds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from rollproof.stores.contract import ExportedRecord, Pace, Selection
from rollproof.stores.reader import exported_by_key

COUNT = 5000
BLOCK_BYTES = 100_000
WANTED = Selection(
    "vectors",
    (),
    {
        part: frozenset((f"{key:05}", key) for key in range(part * 1000, (part + 1) * 1000))
        for part in range(COUNT // 1000)
    },
)


@pytest.mark.parametrize("size", [1, BLOCK_BYTES // 20, 2 * BLOCK_BYTES])
def test_blocks_are_as_large_as_memory_allows(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollproof.stores.reader.BLOCK_BYTES", BLOCK_BYTES)
    asked: list[int] = []
    line = "x" * size

    def read(keys: Sequence[str]) -> list[ExportedRecord]:
        asked.append(len(keys))
        return [ExportedRecord(key, int(key), line) for key in keys]

    found = [record.key for record in exported_by_key(WANTED, read, Pace())]
    assert found == [f"{key:05}" for key in range(COUNT)]
    assert sum(asked) == COUNT
    assert max(asked[1:]) <= max(1, BLOCK_BYTES // size)
    assert any(later > earlier for earlier, later in pairwise(asked)) == (size < BLOCK_BYTES // 10)
