"""What the tests of content readers share: everything that one says of a collection, and that it agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fixtures.stores.content import ContentView, Digest, Pace, RecordHash


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
                found[key] = {n for n in before.fields if before.fields[n] != after.fields[n]}
        return found


def read(view: ContentView, collection: str, division: Sequence[str] = ("",)) -> Reading:
    """Read everything, and see that digests and records agree with each other and that keys are told once."""
    parts = range(len(division))
    digests = list(view.digest(collection, division, parts, Pace()))
    assert sorted(part for part, _ in digests) == list(parts)
    sums = dict.fromkeys(parts, Digest(0, 0))
    records: dict[str, RecordHash] = {}
    order = []
    for part, record in view.records(collection, division, parts[::-1], Pace()):
        sums[part] += Digest(1, record.hash)
        assert record.key not in records
        records[record.key] = record
        order.append(part)
    assert dict(digests) == sums
    assert order == sorted(order, reverse=True)
    return Reading(dict(digests), records)


def expect_parts_are_whole(view: ContentView, collection: str, sizes: Sequence[int] = (1, 3, 1000)) -> None:
    """Divide in several ways: the parts hold every record once, and their digests add up to the same."""
    whole = read(view, collection)
    for size in sizes:
        division = view.divide(collection, size)
        assert division[0] == ""
        reading = read(view, collection, division)
        assert reading.records == whole.records
        assert sum(reading.digests.values(), Digest(0, 0)) == whole.digests[0]
        assert max(digest.records for digest in reading.digests.values()) <= size
        chosen = [part for part in range(len(division)) if part % 3 == 1]
        assert dict(view.digest(collection, division, chosen, Pace())) == {
            part: reading.digests[part] for part in chosen
        }
