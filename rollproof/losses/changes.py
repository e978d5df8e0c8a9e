"""Finding and counting, part by part, the records written to a collection since its index was made.

A part with the index's digest has not been written since; only other parts are read record by record. Where a
digest takes as long as the records, all parts are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from rollproof.backups.sets import BackupSet, every_field, existing_collections, read_index
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem, Unverifiable
from rollproof.profile.profile import Target
from rollproof.stores.contract import Digest, Pace, RecordHash
from rollproof.stores.policy import pace_of
from rollproof.stores.reader import Reader
from rollproof.stores.registry import ReaderOpener, open_reader
from rollproof.stores.snapshot import (
    PART,
    KeyDifference,
    Snapshot,
    SnapshotPart,
    differences,
    not_as_asked,
    read_parts,
)
from rollproof.system.command import Deadline
from rollproof.system.side_by_side import each, every


@dataclass(frozen=True, slots=True)
class Divided:
    """A collection as it is now, part by part, with its index.

    Without an index all records count as written since: then `index` is None, and `kept` are empty digests.
    `same` are the parts that were seen to have the index's digest.
    """

    content: Reader
    collection: str
    pace: Pace
    division: tuple[str, ...]
    kept: tuple[Digest, ...]
    index: Snapshot | None
    same: frozenset[int] = frozenset()

    def written(self) -> Iterator[tuple[int, Iterator[RecordHash]]]:
        """Yield each part that may have been written to since then, with its current records."""
        numbers = [number for number in range(len(self.division)) if number not in self.same]
        return read_parts(self.content, self.collection, self.division, numbers, self.pace)

    def before(self, part: int) -> Iterator[RecordHash]:
        """Yield the index's records of a part."""
        return iter(()) if self.index is None else self.index.records(self.collection, part)


def divided(content: Reader, collection: str, index: Snapshot | None, pace: Pace) -> Divided:
    """Return `collection` divided as `index` has it, or without an index if that does not fit any more.

    Raises:
        Unverifiable: the store does not answer.
    """
    kept = index.parts(collection) if index is not None else []
    division, same = division_now(content, collection, kept, pace)
    if kept and division == tuple(part.bound for part in kept):
        digests = tuple(part.digest for part in kept)
        return Divided(content, collection, pace, division, digests, index, same)
    return Divided(content, collection, pace, division, (Digest(0, 0),) * len(division), None)


def division_now(
    content: Reader, collection: str, parts: Sequence[SnapshotPart], pace: Pace
) -> tuple[tuple[str, ...], frozenset[int]]:
    """Return the division of `parts`, if it still fits the collection, and those with the same digest.

    Else a new division. None is known to be the same where a digest takes as long as the records.

    Raises:
        Unverifiable: the store does not answer.
    """
    bounds = tuple(part.bound for part in parts)
    if parts and content.digests_records:
        return bounds, frozenset()
    if parts:
        try:
            now = live_parts(content, collection, bounds, pace)
            return bounds, frozenset(part.number for part, one in zip(parts, now, strict=True) if part == one)
        except Unverifiable:
            # Another key divides it now. Once closed, the reader connects again.
            content.close()
    return content.divide(collection, PART), frozenset()


def live_parts(
    content: Reader, collection: str, division: tuple[str, ...], pace: Pace
) -> tuple[SnapshotPart, ...]:
    """Return the parts of a collection with their current digests.

    Raises:
        Unverifiable: the store does not answer, or its reader does not digest exactly the requested parts.
    """
    every = range(len(division))
    found = dict(content.digest(collection, division, every, pace))
    if sorted(found) != list(every):
        raise not_as_asked(collection, f"digests of {len(found)} of {len(every)} parts", content.name)
    return tuple(SnapshotPart(part, division[part], found[part]) for part in every)


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


@dataclass(slots=True)
class Written:
    """Counts of the records written since the index was made, by kind of change.

    `unknown` maps collections that could not be read to the reason.
    """

    new: int = 0
    changed: int = 0
    gone: int = 0
    unknown: dict[str, str] = field(default_factory=dict)

    def add(self, found: KeyDifference) -> None:
        """Add what became of the records with one key."""
        if found.gone and found.come:
            self.changed += 1
        else:
            self.new += len(found.come)
            self.gone += len(found.gone)

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


def written_since(
    target: Target,
    engine: ContainerEngine,
    backup: BackupSet,
    names: Iterable[str],
    open_reader: ReaderOpener = open_reader,
) -> Mapping[str, Written | str]:
    """Return the counts of records written to the stores `names` since `backup`, or the reason as text."""

    def counted(name: str) -> Written | str:
        try:
            # A store that a restore empties loses all its records, whenever they were written.
            if target.stores[name].emptied:
                return _count(target, engine, name, None, open_reader)
            with read_index(backup.folder, name, backup.index) as index:
                return _count(target, engine, name, index, open_reader)
        except Problem as problem:
            return problem.summary

    return every(counted, names, name="count")


def _count(
    target: Target, engine: ContainerEngine, name: str, index: Snapshot | None, open_reader: ReaderOpener
) -> Written:
    profile = every_field(target.stores[name])

    def counted(collection: str) -> Written:
        try:
            with open_reader(name, profile, engine) as content:
                return count_written(content, collection, index, pace_of(profile))
        except Problem as problem:
            return Written(unknown={collection: problem.summary})

    there = existing_collections(name, profile, engine, open_reader)
    total = Written()
    for written in each(counted, there, workers=profile.load.connections, name="count").values():
        total += written
    if index is not None:
        for collection in set(index.collections()) - set(there):
            total.gone += sum(part.digest.records for part in index.parts(collection))
    return total


def count_written(content: Reader, collection: str, index: Snapshot | None, pace: Pace) -> Written:
    """Count the records of `collection` written since `index` was made.

    Raises:
        Unverifiable: the store does not answer, or the index cannot be read.
    """
    written, found = Written(), divided(content, collection, index, pace)
    for part, records in found.written():
        for difference in differences(found.before(part), records):
            written.add(difference)
    return written
