"""Listed records: sorted into parts whatever the order of the listing, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from rollproof.stores import listed
from rollproof.stores.contract import Digest, Pace, RecordHash
from rollproof.stores.listed import Listed, divided
from tests.world.stores import Content


class Folders(Listed, Content):  # the methods of the engine win
    """Keys in the order of a server that keeps folders; counts how often it was asked."""

    asked: int = 0

    def _listed(self, collection: str, _pace: Pace) -> Iterator[RecordHash]:
        self.asked += 1
        return iter(self.content[collection])

    def _read(self, _: str, names: Sequence[RecordHash], _pace: Pace) -> Iterator[RecordHash]:
        return iter(names)


def folders(*keys: str) -> Folders:
    return Folders("files", {"all": [RecordHash(key, 1) for key in keys]})


def told(store: Folders, division: list[str], parts: list[int]) -> list[tuple[int, str]]:
    store.asked = 0
    found = [(part, record.key) for part, record in store.records("all", division, parts, Pace())]
    counts = {part: digest.records for part, digest in store.digest("all", division, parts, Pace())}
    assert counts == {part: sum(one == part for one, _ in found) for part in parts}
    return found


def test_parts_come_in_the_order_given_whatever_the_order_of_the_listing() -> None:
    store = folders("a", "a/b", "a b", "c", "b")
    division = ["", "a ", "c"]
    assert told(store, division, [2, 0, 1]) == [(2, "c"), (0, "a"), (1, "a/b"), (1, "a b"), (1, "b")]
    assert store.asked == 2
    assert told(store, division, [0]) == [(0, "a")]
    assert list(store.digest("all", ["", "d"], [1], Pace())) == [(1, Digest(0, 0))]


@pytest.mark.parametrize("held", [7, 3])
def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    store = folders(*(f"{number:02}" for number in range(20)))
    division, parts = ["", "05", "10", "15"], [3, 0, 2, 1]
    whole = told(store, division, parts)
    monkeypatch.setattr(listed, "HELD", held)
    assert told(store, division, parts) == whole
    assert store.asked == 8


def test_a_division_has_about_the_records_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert divided([], 5) == ("",)
    assert divided("ba", 5) == ("",)
    assert divided("dbac", 2) == ("", "c")
    assert divided("dbac", 1) == ("", "b", "c", "d")
    # Versions of one key are never cut apart.
    assert divided("aaaabb", 2) == ("", "a", "b")
    monkeypatch.setattr(listed, "HELD", 100)
    many = divided([f"{number:04}" for number in range(1000)], 200)
    assert 4 <= len(many) <= 6
    assert many == tuple(sorted(many))
