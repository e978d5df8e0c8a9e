"""Shared parts of the content readers' tests: a reader's results for a collection, and their consistency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollproof.stores.contract import (
    FIELD_BITS,
    HASH_BITS,
    Digest,
    Pace,
    RecordHash,
)
from rollproof.stores.reader import Reader


@dataclass(frozen=True, slots=True)
class Reading:
    """Parts and records of a collection as they were at one time."""

    digests: dict[int, Digest]
    records: dict[str, RecordHash]

    def changed(self, later: Reading) -> dict[str, set[str] | None]:
        """Return by key what differs in `later`: the names of fields, None for a record that came or went."""
        found: dict[str, set[str] | None] = {}
        for key in self.records.keys() | later.records.keys():
            before, after = self.records.get(key), later.records.get(key)
            if before is None or after is None:
                found[key] = None
            elif before.hash != after.hash:
                names = before.fields.keys() | after.fields.keys()
                found[key] = {n for n in names if before.fields.get(n) != after.fields.get(n)}
        return found


def digests(view: Reader, collection: str, division: Sequence[str] = ("",)) -> list[Digest]:
    """Return the digest of each part, in the order of the parts, having seen that each is told once."""
    parts = range(len(division))
    found = list(view.digest(collection, division, parts, Pace()))
    assert sorted(part for part, _ in found) == list(parts)
    by_part = dict(found)
    return [by_part[part] for part in parts]


def whole(view: Reader, collection: str) -> Digest:
    """Return the digest of all records as one part."""
    return digests(view, collection)[0]


def recorded(
    view: Reader, collection: str, division: Sequence[str] = ("",), parts: Sequence[int] | None = None
) -> list[tuple[int, RecordHash]]:
    """Return the records of `parts`, or of all of them, each with its part, in the order they come in."""
    return list(view.records(collection, division, range(len(division)) if parts is None else parts, Pace()))


def read(view: Reader, collection: str, division: Sequence[str] = ("",)) -> Reading:
    """Read everything, and see that digests and records agree with each other and that keys are told once."""
    parts = range(len(division))
    told = dict(enumerate(digests(view, collection, division)))
    sums = dict.fromkeys(parts, Digest(0, 0))
    records: dict[str, RecordHash] = {}
    order = []
    for part, record in recorded(view, collection, division, parts[::-1]):
        sums[part] += Digest(1, record.hash)
        assert 0 <= record.hash < 2**HASH_BITS
        assert all(0 <= value < 2**FIELD_BITS for value in record.fields.values())
        assert record.key not in records
        records[record.key] = record
        order.append(part)
    assert told == sums
    assert order == sorted(order, reverse=True)
    return Reading(told, records)
