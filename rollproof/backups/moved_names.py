"""The names of references that move while a backup is taken, and so may be in one store's copy alone.

The names of both sides of each reference are read before the first store is copied and after the last. Those
that differ have moved. They are kept as digests, since names may be personal data. One that came and went
between the two readings is unknown.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Described, Mismatch, Problem, Unverifiable, listed
from rollproof.profile.profile import Target
from rollproof.profile.sections import Reference
from rollproof.stores.reader import Reader
from rollproof.stores.references import Side, hash_of, names_of_side, sides_of, text_of
from rollproof.stores.registry import open_reader
from rollproof.system.command import Deadline
from rollproof.system.side_by_side import ask_all, batched

MOST_NAMES = 1_000_000
"""Names of one side that a reading remembers."""
MOST_MOVED = 100_000
"""Moved names that a set keeps: each plan reads the manifests of all sets, which hold few values."""
READING_SECONDS = 300.0
_BATCH = 1000

Digests = Sequence[int] | str
"""Of all names at a side, sorted, each once; or why it could not be read."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The digests of the moved names of each reference, by its words; or why it was left out."""

    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return it in words."""
        moved = [*filter(None, self.names.values())]
        of = len(self.names) + len(self.left_out)
        said = f"{sum(map(len, moved)):,} names moved, in {len(moved)} of {of} references"
        left_out = [f"{reference} ({why})" for reference, why in self.left_out.items()]
        return f"{said}; left out: {listed(left_out, between='; ')}" if left_out else said


@dataclass(frozen=True, slots=True)
class Reading:
    """The names at both sides of each reference, at one time; sides and references by their words."""

    references: Mapping[str, tuple[str, str]]
    sides: Mapping[str, Digests]

    def __str__(self) -> str:
        """Return it in words."""
        read = [digests for digests in self.sides.values() if not isinstance(digests, str)]
        return f"{sum(map(len, read)):,} names at {len(read)} of {len(self.sides)} places"

    def moved(self, later: Reading, most: int = MOST_MOVED) -> Moved:
        """Return the names that differ in a `later` reading, at either side; `most` of all references.

        A reference of which a side was not read twice is left out. So are those with most moved names, where
        there are too many.
        """
        found, left_out = dict[str, set[int]](), dict[str, str]()
        for reference, sides in self.references.items():
            moved = set[int]()
            for side in sides:
                before, after = self.sides[side], later.sides[side]
                if isinstance(before, str) or isinstance(after, str):
                    left_out[reference] = before if isinstance(before, str) else str(after)
                    break
                moved |= set(before).symmetric_difference(after)
            else:
                found[reference] = moved
        kept, room = dict[str, tuple[str, ...]](), most
        for reference, moved in sorted(found.items(), key=lambda one: len(one[1])):
            room -= len(moved)
            if room < 0:
                left_out[reference] = f"{len(moved):,} names moved, too many to keep"
            else:
                kept[reference] = tuple(f"{digest:016x}" for digest in sorted(moved))
        return Moved(kept, left_out)


def references_of(target: Target) -> list[Reference]:
    """Return the references of a profile: its own and the canary's."""
    return [*target.references.values(), *target.application.canary.references.values()]


def read_names(
    target: Target, engine: ContainerEngine, most: int = MOST_NAMES, seconds: float = READING_SECONDS
) -> Reading:
    """Read the names of all references of `target`, the stores side by side; what fails is told, not raised.

    A side of more than `most` names is not remembered, nor one that is not read within `seconds`.
    """
    references = {text_of(reference): sides_of(reference) for reference in references_of(target)}
    of_store: dict[str, dict[str, Side]] = {}
    for side in (side for both in references.values() for side in both):
        of_store.setdefault(side.place.store, {})[str(side)] = side

    def read(store: str) -> Mapping[str, Digests]:
        limit, of_sides = Deadline(seconds), dict[str, Digests]()
        with open_reader(store, target.stores[store], engine) as view:
            for name, side in of_store[store].items():
                try:
                    of_sides[name] = digests_at(side, view, most, limit)
                except (Mismatch, Problem) as wrong:
                    of_sides[name] = str(wrong.observed)
        return of_sides

    found = dict[str, Digests]()
    for store, answer in ask_all(of_store, read, question="names").items():
        if isinstance(answer, Described):
            found |= dict.fromkeys(of_store[store], str(answer.observed))
        else:
            found |= answer
    return Reading({text: (str(of), str(to)) for text, (of, to) in references.items()}, found)


def digests_at(side: Side, view: Reader, most: int, limit: Deadline) -> Sequence[int]:
    """Return the digests of the names at a side, sorted, each once.

    Raises:
        Unverifiable: a collection cannot be read, there are more names than `most`, or the time is over.
    """
    found, unread = set[int](), dict[str, Unverifiable]()
    for batch in batched(names_of_side(side, view, unread), _BATCH):
        found.update(hash_of(name) for name in batch if name is not None)
        if len(found) > most:
            raise _left_out(side, f"at most {most:,} names", f"more than {most:,} names")
        if limit.passed:
            raise _left_out(side, f"read within {limit.seconds:g} s", f"not read within {limit.seconds:g} s")
    for error in unread.values():
        raise error
    return array("Q", sorted(found))  # 8 bytes each: kept until the last store is copied


def _left_out(side: Side, expected: str, observed: str) -> Unverifiable:
    return Unverifiable(
        what="names that move during a backup",
        expected=expected,
        observed=observed,
        source=str(side),
        hint="take the backup in maintenance, when no name moves",
    )
