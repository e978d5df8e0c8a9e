"""Finding, part by part, the records written to a collection since its index was made.

A part with the index's digest has not been written since; only other parts are read record by record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from rollproof.backups.index import PART, StoreIndex
from rollproof.baseline.comparison import IN_MEMORY
from rollproof.errors import Unverifiable
from rollproof.stores.blocks import not_as_asked, read_parts, spread
from rollproof.stores.contract import ContentView, Digest, Pace, RecordHash
from rollproof.system.command import Deadline

Pair = tuple[str, int]
"""Key and hash of a record."""
Records = Iterable[RecordHash]
FILES = 500
"""The most files written side by side: a process may open only a limited number."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What an index recorded of a collection; without an index all records count as written since.

    `division` and `digests` are the index's. Without one they are the current division and empty digests.
    """

    collection: str
    division: tuple[str, ...]
    digests: tuple[Digest, ...]
    index: StoreIndex | None

    def before(self, part: int) -> Iterator[RecordHash]:
        """Yield the index's records of a part."""
        return iter(()) if self.index is None else self.index.read(self.collection, part)


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference in a part's records: `written` are only there now, `gone` were only there before.

    A changed record is in both, under one key.
    """

    written: tuple[RecordHash, ...]
    gone: tuple[RecordHash, ...]

    @property
    def changed(self) -> frozenset[str]:
        """The keys present before and now, with another content."""
        return frozenset(r.key for r in self.written) & frozenset(r.key for r in self.gone)


def indexed_of(
    content: ContentView, collection: str, index: StoreIndex | None, pace: Pace
) -> tuple[Indexed, tuple[Digest, ...]]:
    """Return what `index` recorded of `collection`, and the current digest of each part.

    A collection with an altered key, or one unknown to the index, is compared without an index.

    Raises:
        Unverifiable: the store does not answer.
    """
    if index is not None and collection in index.collections:
        recorded = index.collections[collection]
        indexed = Indexed(collection, recorded.division, tuple(p.digest for p in recorded.parts), index)
        try:
            digests = live_digests(content, indexed, pace)
        except Unverifiable:
            # The division may no longer fit. Once closed, the reader connects again.
            content.close()
        else:
            return indexed, digests
    division = content.divide(collection, PART)
    indexed = Indexed(collection, division, (Digest(0, 0),) * len(division), None)
    return indexed, live_digests(content, indexed, pace)


def live_digests(content: ContentView, indexed: Indexed, pace: Pace) -> tuple[Digest, ...]:
    """Return the current digest of each part.

    Raises:
        Unverifiable: the store does not answer, or its reader does not digest exactly the requested parts.
    """
    every = range(len(indexed.division))
    found = dict(content.digest(indexed.collection, indexed.division, every, pace))
    if sorted(found) != list(every):
        raise not_as_asked(indexed.collection, f"digests of {len(found)} of {len(every)} parts", content.name)
    return tuple(found[part] for part in every)


def live_parts(
    content: ContentView, indexed: Indexed, parts: list[int], pace: Pace
) -> Iterator[tuple[int, Iterator[RecordHash]]]:
    """Yield the current records of each of `parts`, empty parts included."""
    return read_parts(content, indexed.collection, indexed.division, parts, pace)


def require_time(limit: Deadline, what: str) -> None:
    """Refuse further work when `limit` has passed; a single request has its own deadline.

    Raises:
        Unverifiable: the time is up.
    """
    if limit.passed:
        raise Unverifiable(
            what=what,
            expected=f"an end within {limit.seconds:g} s",
            observed="more records than fit into that",
            source="the schedule of the rollback",
            hint="raise rollback_seconds in the profile, or the store's load",
        )


def difference(before: Records, now: Records) -> Difference:
    """Return the difference between two sets of records, with repetitions. Memory holds both."""
    left: dict[Pair, list[RecordHash]] = {}
    for record in before:
        left.setdefault((record.key, record.hash), []).append(record)
    written = []
    for record in now:
        same = left.get((record.key, record.hash))
        if same:
            same.pop()
        else:
            written.append(record)
    return Difference(tuple(written), tuple(record for same in left.values() for record in same))


@dataclass(slots=True)
class Written:
    """Counts of the records written since the index was made, by kind of change.

    `unknown` maps collections that could not be read to the reason.
    """

    new: int = 0
    changed: int = 0
    gone: int = 0
    unknown: dict[str, str] = field(default_factory=dict)

    def add(self, found: Difference) -> frozenset[str]:
        """Add a difference to the counts; return the changed keys."""
        changed = found.changed
        self.changed += len(changed)
        self.new += sum(record.key not in changed for record in found.written)
        self.gone += sum(record.key not in changed for record in found.gone)
        return changed

    def __iadd__(self, other: Written) -> Self:
        """Add another collection's counts."""
        self.new += other.new
        self.changed += other.changed
        self.gone += other.gone
        self.unknown |= other.unknown
        return self

    def __str__(self) -> str:
        """Return the counts in words."""
        unknown = "".join(f"; {name} not known: {reason}" for name, reason in self.unknown.items())
        return f"{self.new:,} new, {self.changed:,} changed, {self.gone:,} deleted{unknown}"


def aligned(size: int, *streams: Records) -> Iterator[tuple[Records, ...]]:
    """Yield the records of `streams` side by side, so that records with equal keys come together.

    Up to `IN_MEMORY` records come at once. More, as from a table without a key, go through files.
    """
    if size <= IN_MEMORY:
        yield streams
        return
    count = min(-(-size // IN_MEMORY), FILES)
    with TemporaryDirectory(prefix="rollproof-") as folder:
        spreads = [spread(s, Path(folder) / str(n), count) for n, s in enumerate(streams)]
        yield from zip(*spreads, strict=True)


def pairs(records: Records) -> Counter[Pair]:
    """Count records by key and hash."""
    return Counter((record.key, record.hash) for record in records)
