"""What has been written to a collection since its index was made, found part by part.

A part whose digest is the index's has not been written since; only the others are read record by record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from fixtures.command import Deadline
from fixtures.comparison import IN_MEMORY
from fixtures.errors import Unverifiable
from fixtures.record_blocks import spread
from fixtures.stores.content import ContentView, Digest, Pace, RecordHash
from rollback_actions.index import PART, StoreIndex, read_parts

Pair = tuple[str, int]
"""Key and hash of a record."""
Records = Iterable[RecordHash]
FILES = 500
"""How many are written side by side at most: a process may have only so many open."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a collection is held against: its index, or nothing, and then all of it was written since.

    `division` and `digests` are those of the index; without one, of the collection as it is, and empty.
    """

    collection: str
    division: tuple[str, ...]
    digests: tuple[Digest, ...]
    index: StoreIndex | None

    def before(self, part: int) -> Iterator[RecordHash]:
        """Yield the records that the index has of a part."""
        return iter(()) if self.index is None else self.index.read(self.collection, part)


@dataclass(frozen=True, slots=True)
class Difference:
    """How records of one part differ: `written` are there now and were not, `gone` were there and are not.

    A record that was changed is in both, under one key.
    """

    written: tuple[RecordHash, ...]
    gone: tuple[RecordHash, ...]

    @property
    def changed(self) -> frozenset[str]:
        """The keys that were there before and are now, with another content."""
        return frozenset(r.key for r in self.written) & frozenset(r.key for r in self.gone)


def ground_of(
    content: ContentView, collection: str, index: StoreIndex | None, pace: Pace
) -> tuple[Ground, tuple[Digest, ...]]:
    """Return what `collection` is held against, and the digest of each of its parts as it is now.

    A collection whose key was altered since, or that the index does not know, is held against nothing.

    Raises:
        Unverifiable: the store does not answer.
    """
    if index is not None and collection in index.collections:
        indexed = index.collections[collection]
        ground = Ground(collection, indexed.division, tuple(p.digest for p in indexed.parts), index)
        try:
            return ground, live_digests(content, ground, pace)
        except Unverifiable:
            # The division may not fit any more; a reader that failed asks anew.
            content.close()
    division = content.divide(collection, PART)
    ground = Ground(collection, division, (Digest(0, 0),) * len(division), None)
    return ground, live_digests(content, ground, pace)


def live_digests(content: ContentView, ground: Ground, pace: Pace) -> tuple[Digest, ...]:
    """Return the digest of each part as it is now.

    Raises:
        Unverifiable: the store does not answer, or does not digest what it was asked for.
    """
    every = range(len(ground.division))
    found = dict(content.digest(ground.collection, ground.division, every, pace))
    if sorted(found) != list(every):
        raise _not_as_asked(ground.collection, f"digests of {len(found)} of {len(every)} parts", content.name)
    return tuple(found[part] for part in every)


def _not_as_asked(collection: str, observed: str, source: str) -> Unverifiable:
    return Unverifiable(
        what=f"content of {collection}",
        expected="each part that was asked for, once",
        observed=observed,
        source=source,
        hint="this is a fault of the suite: report it with the profile",
    )


def live_parts(
    content: ContentView, ground: Ground, parts: list[int], pace: Pace
) -> Iterator[tuple[int, Iterator[RecordHash]]]:
    """Yield the records of each of `parts` as they are now, a part without any included."""
    left = list(parts)
    found = read_parts(content, ground.collection, ground.division, parts, pace) if parts else ()
    for part, records in found:
        if part not in left:
            raise _not_as_asked(ground.collection, f"records of part {part}", content.name)
        while left[0] != part:
            yield left.pop(0), iter(())
        yield left.pop(0), records
    for part in left:
        yield part, iter(())


def require_time(limit: Deadline, what: str) -> None:
    """Refuse to go on when the time for it is up; a single request has a deadline of its own.

    Raises:
        Unverifiable: it is.
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
    """Return how records differ; a record may be there several times. Memory holds both."""
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
    """How many records were written since the index was made, by what happened to them."""

    new: int = 0
    changed: int = 0
    gone: int = 0

    def add(self, found: Difference) -> frozenset[str]:
        """Count what differs; return the keys that were changed."""
        changed = found.changed
        self.changed += len(changed)
        self.new += sum(record.key not in changed for record in found.written)
        self.gone += sum(record.key not in changed for record in found.gone)
        return changed

    def __iadd__(self, other: Written) -> Self:
        """Add those of another collection."""
        self.new += other.new
        self.changed += other.changed
        self.gone += other.gone
        return self

    def __str__(self) -> str:
        """Return the counts in words."""
        return f"{self.new:,} new, {self.changed:,} changed, {self.gone:,} deleted"


def count_written(content: ContentView, collection: str, index: StoreIndex | None, pace: Pace) -> Written:
    """Return how many records of `collection` were written since `index` was made.

    Raises:
        Unverifiable: the store does not answer, or the index cannot be read.
    """
    written = Written()
    ground, digests = ground_of(content, collection, index, pace)
    differing = [part for part, digest in enumerate(digests) if digest != ground.digests[part]]
    for part, records in live_parts(content, ground, differing, pace):
        size = max(digests[part].records, ground.digests[part].records)
        for before, now in aligned(size, ground.before(part), records):
            written.add(difference(before, now))
    return written


def aligned(size: int, *streams: Records) -> Iterator[tuple[Records, ...]]:
    """Yield the records of `streams` side by side, so that those of one key come together.

    Up to `IN_MEMORY` records they come at once; more, as of a table without a key, go through files.
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
