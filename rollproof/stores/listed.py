"""Stores that name their records in any order: the names are sorted into parts here, then read part by part.

A server need not list in the order of keys. A server that keeps folders has listed ``a/b`` before ``a b``,
and left out ``a/b`` when asked for keys after ``a``. So a listing is always read from its beginning.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rollproof.stores.contract import Pace, RecordHash
from rollproof.stores.policy import pace_of
from rollproof.stores.reader import Reader

# Listed names held at a time, to be read part by part.
HELD = 100_000


class Listed(Reader):
    """A reader of listed records. A part is a range of places."""

    digests_records = True

    @abstractmethod
    def _listed(self, collection: str, pace: Pace) -> Iterator[Any]:
        """Yield the name of each record once, in any order, in whatever form `_read` takes."""

    @abstractmethod
    def _read(self, collection: str, names: Sequence[Any], pace: Pace) -> Iterator[RecordHash]:
        """Yield the records with these `names` that are still there."""

    def place(self, name: Any) -> str:  # noqa: ANN401 - as listed
        """Return the place of a name among the bounds of a division, by default its key."""
        return str(name.key)

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return places, evenly spread over the listed ones."""
        return divided(map(self.place, self._listed(collection, pace_of(self._profile))), records)

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        """Yield each record of `parts`."""
        for part, names in self._parts(collection, division, parts, pace):
            for record in self._read(collection, names, pace):
                yield part, record

    def _parts(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, list[Any]]]:
        """Yield the listed names of each part in the order given, some at a time.

        Memory holds up to `HELD` names. Further parts wait for another listing, and a part that is larger by
        itself is passed on while it is listed.
        """
        waiting = list(parts)
        while waiting:
            held: dict[int, list[Any]] = {part: [] for part in waiting}
            count = 0
            for name in self._listed(collection, pace):
                part = bisect_right(division, self.place(name)) - 1
                if part not in held:
                    continue
                held[part].append(name)
                count += 1
                while count > HELD and len(held) > 1:
                    count -= len(held.popitem()[1])
                if count > HELD:
                    yield part, held[part]
                    held[part], count = [], 0
            for part, names in held.items():
                yield part, names
            waiting = waiting[len(held) :]


def in_parts(
    names: Iterable[Any], place: Callable[[Any], str], records: int
) -> Iterator[tuple[str, list[Any]]]:
    """Yield `names` in the order of their places, up to `records` at a time, each with the bound before them.

    Of no names there is one part.
    """
    ordered = sorted(names, key=place)
    for begin in range(0, max(1, len(ordered)), records):
        yield place(ordered[begin]) if begin else "", ordered[begin : begin + records]


def divided(places: Iterable[str], records: int) -> tuple[str, ...]:
    """Return bounds evenly spread over `places`, with about `records` places between two."""
    kept: list[str] = []
    stride = 1
    for number, place in enumerate(places):
        if number % stride == 0:
            kept.append(place)
        if len(kept) > HELD:  # with very many, every other one is enough
            kept, stride = kept[::2], 2 * stride
    kept.sort()
    step = max(1, records // stride)
    return tuple(sorted({"", *kept[step::step]}))
