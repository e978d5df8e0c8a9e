"""The connection of a store's reader or keeper: opened by a question, closed by a failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from pydantic import SecretStr

from rollproof.engines.engine import Endpoint
from rollproof.errors import Meaning, Unverifiable
from rollproof.profile.sections import Account
from rollproof.stores.client import Client
from rollproof.stores.reach import Reach

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
