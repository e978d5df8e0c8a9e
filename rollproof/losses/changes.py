"""Finding, part by part, the records written to a collection since its index was made.

A part with the index's digest has not been written since; only other parts are read record by record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from rollproof.backups.index import PART, StoreIndex, every_field, read_index, standing_collections
from rollproof.backups.sets import BackupSet
from rollproof.baseline.comparison import IN_MEMORY
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem, Unverifiable
from rollproof.profile.profile import Target
from rollproof.stores.blocks import not_as_asked, read_parts, spread
from rollproof.stores.contract import (
    ContentView,
    Digest,
    Pace,
    RecordHash,
)
from rollproof.stores.policy import pace_of
from rollproof.stores.registry import open_content
from rollproof.system.command import Deadline
from rollproof.system.side_by_side import each, every

Pair = tuple[str, int]
"""Key and hash of a record."""
Records = Iterable[RecordHash]
FILES = 500
"""The most files written side by side: a process may open only a limited number."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A collection's reference: its index, or None, and then all records count as written since.

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


def ground_of(
    content: ContentView, collection: str, index: StoreIndex | None, pace: Pace
) -> tuple[Ground, tuple[Digest, ...]]:
    """Return the reference for `collection`, and the current digest of each part.

    A collection with an altered key, or one unknown to the index, is compared without an index.

    Raises:
        Unverifiable: the store does not answer.
    """
    if index is not None and collection in index.collections:
        indexed = index.collections[collection]
        ground = Ground(collection, indexed.division, tuple(p.digest for p in indexed.parts), index)
        try:
            digests = live_digests(content, ground, pace)
        except Unverifiable:
            # The division may no longer fit. Once closed, the reader connects again.
            content.close()
        else:
            return ground, digests
    division = content.divide(collection, PART)
    ground = Ground(collection, division, (Digest(0, 0),) * len(division), None)
    return ground, live_digests(content, ground, pace)


def live_digests(content: ContentView, ground: Ground, pace: Pace) -> tuple[Digest, ...]:
    """Return the current digest of each part.

    Raises:
        Unverifiable: the store does not answer, or its reader does not digest exactly the requested parts.
    """
    every = range(len(ground.division))
    found = dict(content.digest(ground.collection, ground.division, every, pace))
    if sorted(found) != list(every):
        raise not_as_asked(ground.collection, f"digests of {len(found)} of {len(every)} parts", content.name)
    return tuple(found[part] for part in every)


def live_parts(
    content: ContentView, ground: Ground, parts: list[int], pace: Pace
) -> Iterator[tuple[int, Iterator[RecordHash]]]:
    """Yield the current records of each of `parts`, empty parts included."""
    return read_parts(content, ground.collection, ground.division, parts, pace)


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


def count_written(content: ContentView, collection: str, index: StoreIndex | None, pace: Pace) -> Written:
    """Count the records of `collection` written since `index` was made.

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


def written_since(
    target: Target, engine: ContainerEngine, backup: BackupSet, names: Iterable[str]
) -> Mapping[str, Written | str]:
    """Return the counts of records written to the stores `names` since `backup`, or the reason as text."""

    def counted(name: str) -> Written | str:
        try:
            return _count(target, engine, backup, name)
        except Problem as problem:
            return problem.summary

    return every(counted, names, name="count")


def _count(target: Target, engine: ContainerEngine, backup: BackupSet, name: str) -> Written:
    profile = every_field(target.stores[name])
    # A store that a restore empties loses all its records, whenever they were written.
    index = None if profile.emptied else read_index(backup.folder, name, backup.index)

    def counted(collection: str) -> Written:
        try:
            with open_content(name, profile, engine) as content:
                return count_written(content, collection, index, pace_of(profile))
        except Problem as problem:
            return Written(unknown={collection: problem.summary})

    there = standing_collections(name, profile, engine)
    total = Written()
    for written in each(counted, there, workers=profile.load.connections, name="count").values():
        total += written
    for collection, indexed in (index.collections if index else {}).items():
        if collection not in there:
            total.gone += sum(part.records for part in indexed.parts)
    return total
