"""What stores share: a connection that a failure closes, and listed records in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from pydantic import SecretStr

from rollproof.engines.engine import Endpoint
from rollproof.errors import Meaning, Unverifiable
from rollproof.profile.sections import Account
from rollproof.stores import listed
from rollproof.stores.client import Client
from rollproof.stores.contract import Pace, RecordHash
from rollproof.stores.listed import Listed, divided
from rollproof.stores.reach import Reach
from tests.world.stores import Content

REACH = Reach("toy", Endpoint("127.0.0.1", 9), Account(user="reader", password=SecretStr("sesame")), 2.0)


class Broken(Exception):
    """The connection broke."""


class Refused(Broken):
    """The server said no."""


@dataclass
class Connection:
    """A connection of the toy's driver."""

    closed: bool = False

    def close(self) -> None:
        self.closed = True
        raise Broken("closed twice")


@dataclass
class Toy(Client[Connection]):
    """A store whose connections are counted."""

    errors: ClassVar = (Broken,)
    reach: Reach = REACH
    opened: list[Connection] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.reach)

    def connect(self) -> Connection:
        self.opened.append(Connection())
        return self.opened[-1]

    def refused(self, error: Exception) -> bool:
        return isinstance(error, Refused)

    def hint(self, error: Exception) -> str | None:
        return "ask its owner" if self.refused(error) else None


def ask(toy: Toy, error: Exception | None = None) -> Connection:
    with toy.asked("a count of files") as connection:
        if error is not None:
            raise error
    return connection


def test_a_connection_is_opened_by_the_first_question_and_stays() -> None:
    toy = Toy()
    assert toy.opened == []
    with toy:
        assert ask(toy) is ask(toy)
        assert toy.opened == [Connection(closed=False)]
    assert toy.opened == [Connection(closed=True)]
    assert ask(toy) is toy.opened[1]


def test_a_refusal_leaves_the_connection_and_a_failure_does_not() -> None:
    toy = Toy()
    with pytest.raises(Unverifiable, match=r"a count of files within 2 s, observed no: \[redacted\]") as no:
        ask(toy, Refused("no: sesame"))
    assert (no.value.means, no.value.hint) == (Meaning.OTHER, "ask its owner")
    assert toy.opened == [Connection(closed=False)]
    with pytest.raises(Unverifiable, match="observed Broken") as broken:
        ask(toy, Broken())
    assert broken.value.means is Meaning.UNREACHABLE
    assert toy.opened == [Connection(closed=True)]
    assert ask(toy) is toy.opened[1]


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
