"""The names of references that move while a backup is taken, and so may be in one store's copy alone.

The names of both sides of each reference are read before the first store is copied and after the last. Those
that differ have moved. They are kept as digests, since names may be personal data. One that came and went
between the two readings is unknown.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Described, Mismatch, Problem, Unverifiable
from rollproof.profile.profile import Target
from rollproof.profile.sections import Reference
from rollproof.stores.reader import Reader
from rollproof.stores.references import Side, hash_of, names_of_side, sides_of, text_of
from rollproof.stores.registry import ReaderOpener, open_reader
from rollproof.system.command import Deadline
from rollproof.system.side_by_side import ask_all, batched

MOST_NAMES = 1_000_000
"""Names of one side that a reading remembers."""
MOST_MOVED = 100_000
"""Moved names that a set keeps: each plan reads the manifests of all sets, which hold few values."""
READING_SECONDS = 300.0
_BATCH = 1000

Digests: TypeAlias = Sequence[int] | None
"""Of all names at a side, sorted, each once; None if it could not be read."""


@dataclass(frozen=True, slots=True)
class ReferenceNames:
    """The names at both sides of each reference, at one time; sides and references by their words."""

    references: Mapping[str, tuple[str, str]]
    sides: Mapping[str, Digests]

    def __str__(self) -> str:
        """Return it in words."""
        read = [digests for digests in self.sides.values() if digests is not None]
        return f"{sum(map(len, read)):,} names at {len(read)} of {len(self.sides)} places"

    def moved(self, later: ReferenceNames, most: int = MOST_MOVED) -> dict[str, tuple[str, ...]]:
        """Return the digests of the names that differ in a `later` reading, at either side, by reference.

        A reference of which a side was not read twice is left out. So are those with most moved names, where
        there are more than `most` of all references.
        """
        found: dict[str, set[int]] = {}
        for reference, sides in self.references.items():
            each = [(self.sides[side], later.sides[side]) for side in sides]
            read = [(set(one), set(two)) for one, two in each if one is not None and two is not None]
            if len(read) == len(each):
                found[reference] = set().union(*(before ^ after for before, after in read))
        kept, room = dict[str, tuple[str, ...]](), most
        for reference, moved in sorted(found.items(), key=lambda one: len(one[1])):
            room -= len(moved)
            if room >= 0:
                kept[reference] = tuple(f"{digest:016x}" for digest in sorted(moved))
        return kept


def references_of(target: Target) -> list[Reference]:
    """Return the references of a profile: its own and the canary's."""
    return [*target.references.values(), *target.application.canary.references.values()]


def read_names(
    target: Target,
    engine: ContainerEngine,
    most: int = MOST_NAMES,
    seconds: float = READING_SECONDS,
    open_reader: ReaderOpener = open_reader,
) -> ReferenceNames:
    """Read the names of all references of `target`, the stores side by side; what fails is left out.

    A side of more than `most` names is not remembered, nor one that is not read within `seconds`.
    """
    references = {text_of(reference): sides_of(reference) for reference in references_of(target)}
    of_store: dict[str, dict[str, Side]] = {}
    for side in (side for both in references.values() for side in both):
        of_store.setdefault(side.place.store, {})[str(side)] = side

    def read(store: str) -> Mapping[str, Digests]:
        limit = Deadline(seconds)
        with open_reader(store, target.stores[store], engine) as view:
            return {name: digests_at(side, view, most, limit) for name, side in of_store[store].items()}

    found: dict[str, Digests] = {name: None for sides in of_store.values() for name in sides}
    for answer in ask_all(of_store, read, question="names").values():
        found |= {} if isinstance(answer, Described) else answer
    return ReferenceNames({text: (str(of), str(to)) for text, (of, to) in references.items()}, found)


def digests_at(side: Side, view: Reader, most: int, limit: Deadline) -> Digests:
    """Return the digests of the names at a side, or None: not readable, more than `most`, or too slow."""
    found, unread = set[int](), dict[str, Unverifiable]()
    try:
        for batch in batched(names_of_side(side, view, unread), _BATCH):
            found.update(hash_of(name) for name in batch if name is not None)
            if len(found) > most or limit.passed:
                return None
    except (Mismatch, Problem):
        return None
    return None if unread else array("Q", sorted(found))  # 8 bytes each: kept until the last store is copied
