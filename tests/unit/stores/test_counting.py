"""A fault leaves its neighbours alone, a store that hangs is asked no more, and drivers load side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from checks.verification import test_phase4_data_integrity as phase4
from fixtures.cases import CountCase
from fixtures.gating.evidence import Expect
from rollproof.errors import Meaning, Mismatch, Unverifiable
from rollproof.stores.counting import Silences, counted
from rollproof.system.side_by_side import asked_once
from tests.world.stores import Content


def problem(means: Meaning, what: str = "x") -> Unverifiable:
    return Unverifiable(what=what, expected="y", observed="z", source="s", hint="h", means=means)


@dataclass
class View(Content):
    """A store with three collections; some cannot be counted, and one that is `hanging` answers nothing."""

    faults: Mapping[str, Meaning] = field(default_factory=dict)
    hanging: bool = False
    asked: list[str] = field(default_factory=list)

    def collections(self) -> Sequence[str]:
        self.asked.append("collections")
        if self.hanging:
            raise problem(Meaning.TIMEOUT)
        return ["a", "b", "c"]

    def counts(self) -> Mapping[str, int]:
        self.asked.append("counts")
        if self.faults or self.hanging:
            raise problem(next(iter(self.faults.values()), Meaning.TIMEOUT))
        return dict.fromkeys("abc", 3)

    def count(self, collection: str) -> int:
        self.asked.append(collection)
        if collection in self.faults:
            raise problem(self.faults[collection], collection)
        return 3


def _unsaid(text: str) -> None:
    pytest.fail(f"there is nothing to note, and it was said: {text}")


@pytest.mark.parametrize("means", [Meaning.OTHER, Meaning.TIMEOUT])
def test_one_collection_that_cannot_be_counted_leaves_its_neighbours(means: Meaning) -> None:
    view = View("shop", {}, faults={"b": means})
    counts = counted(view)
    assert (counts["a"], counts["c"]) == (3, 3)

    def check(name: str) -> None:
        phase4.test_collection_count(
            CountCase("shop", name, "exact", 3), lambda _: counts, lambda _: 0, Expect([]), _unsaid
        )

    check("a")
    check("c")
    with pytest.raises(Unverifiable, match="b: expected y"):
        check("b")
    with pytest.raises(Mismatch, match="no such collection"):
        check("d")


def test_a_store_that_hangs_is_asked_no_more_and_all_of_it_is_broken_by_that_cause() -> None:
    view = View("shop", {}, hanging=True)
    silences = Silences(lambda _: view)
    counts = asked_once(lambda name: silences.ask(name, lambda: counted(view)))
    for name in "abc":
        with pytest.raises(Unverifiable, match="x: expected y, observed z"):
            phase4.test_collection_count(
                CountCase("shop", name, "exact", 3), counts, lambda _: 0, Expect([]), _unsaid
            )
    # The second time by another reader.
    assert view.asked == ["collections", "collections"]
    # Nor is its content asked for.
    with pytest.raises(Unverifiable, match="x: expected y, observed z"):
        silences.ask("shop", lambda: view.asked.append("content"))
    assert view.asked == ["collections", "collections"]


def test_a_question_that_took_too_long_silences_no_store_that_answers() -> None:
    view = View("shop", {})
    silences = Silences(lambda _: view)

    def slow() -> None:
        raise problem(Meaning.TIMEOUT, "slow")

    for _ in range(2):
        with pytest.raises(Unverifiable, match="slow"):
            silences.ask("shop", slow)
    assert silences.ask("shop", lambda: 7) == 7
    view.hanging = True
    with pytest.raises(Unverifiable, match="slow"):
        silences.ask("shop", slow)
    with pytest.raises(Unverifiable, match="x: expected y, observed z"):
        silences.require("shop")
    silences.require("other")
