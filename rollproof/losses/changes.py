"""Finding, part by part, the records written to a collection since its index was made.

A part with the index's digest has not been written since; only other parts are read record by record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from rollproof.errors import Unverifiable
from rollproof.stores.contract import Digest, Pace, RecordHash
from rollproof.stores.reader import Reader
from rollproof.stores.snapshot import PART, Difference, Part, Snapshot, not_as_asked, read_parts
from rollproof.system.command import Deadline


@dataclass(frozen=True, slots=True)
class Divided:
    """A collection as it is now, part by part, beside its index.

    Without an index all records count as written since: then `index` is None, and `kept` are empty digests.
    """

    content: Reader
    collection: str
    pace: Pace
    parts: tuple[Part, ...]
    kept: tuple[Digest, ...]
    index: Snapshot | None

    def written(self) -> Iterator[tuple[int, Iterator[RecordHash]]]:
        """Yield each part that has been written to since the index was made, with its current records."""
        numbers = [part.number for part in self.parts if part.digest != self.kept[part.number]]
        division = tuple(part.bound for part in self.parts)
        return read_parts(self.content, self.collection, division, numbers, self.pace)

    def divides_as(self, parts: Sequence[Part]) -> bool:
        """Return True if `parts` begin at the same bounds."""
        return [part.bound for part in self.parts] == [part.bound for part in parts]

    def before(self, part: int) -> Iterator[RecordHash]:
        """Yield the index's records of a part."""
        return iter(()) if self.index is None else self.index.records(self.collection, part)


def divided(content: Reader, collection: str, index: Snapshot | None, pace: Pace) -> Divided:
    """Return `collection` divided as `index` has it, or without an index if that does not fit any more.

    Raises:
        Unverifiable: the store does not answer.
    """
    if index is not None and (kept := index.parts(collection)):
        try:
            parts = live_parts(content, collection, tuple(part.bound for part in kept), pace)
            return Divided(content, collection, pace, parts, tuple(part.digest for part in kept), index)
        except Unverifiable:
            # Another key divides it now. Once closed, the reader connects again.
            content.close()
    parts = live_parts(content, collection, content.divide(collection, PART), pace)
    return Divided(content, collection, pace, parts, (Digest(0, 0),) * len(parts), None)


def live_parts(content: Reader, collection: str, division: tuple[str, ...], pace: Pace) -> tuple[Part, ...]:
    """Return the parts of a collection with their current digests.

    Raises:
        Unverifiable: the store does not answer, or its reader does not digest exactly the requested parts.
    """
    every = range(len(division))
    found = dict(content.digest(collection, division, every, pace))
    if sorted(found) != list(every):
        raise not_as_asked(collection, f"digests of {len(found)} of {len(every)} parts", content.name)
    return tuple(Part(part, division[part], found[part]) for part in every)


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

    def add(self, found: Difference) -> None:
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
