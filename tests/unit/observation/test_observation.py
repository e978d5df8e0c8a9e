"""A fault leaves its neighbours alone, a store that hangs is asked no more, and each fact is read once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from rollproof.baseline.folder import Baseline
from rollproof.collection import Case
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Meaning, Problem, Unverifiable
from rollproof.observation import observation as observing
from rollproof.observation.observation import Observation
from rollproof.observation.store import ObservedStore, StoreReading
from rollproof.profile.profile import Target, load_target
from rollproof.profile.sections import NamePlace, Reference
from rollproof.stores.contract import RecordHash
from rollproof.stores.references import Followed
from tests.conftest import write_profile
from tests.world.sandbox import MYSQL
from tests.world.stores import BaselineRecorder, Content, opener

ENGINE = cast("ContainerEngine", None)


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


def no_baseline() -> Baseline:
    raise problem(Meaning.OTHER, "baseline")


def reading(target: Target, *stores: Content, baseline: Callable[[], Baseline] = no_baseline) -> StoreReading:
    return StoreReading(target, ENGINE, baseline, open_reader=opener(*stores))


@pytest.mark.parametrize("means", [Meaning.OTHER, Meaning.TIMEOUT])
def test_one_collection_that_cannot_be_counted_leaves_its_neighbours(target: Target, means: Meaning) -> None:
    with Observation(reading(target, View("redis", {}, faults={"b": means}))) as seen:
        counts = seen.counts("redis")
    assert (counts["a"], counts["c"]) == (3, 3)
    assert isinstance(counts["b"], Unverifiable)


def test_a_store_that_hangs_is_asked_no_more_and_all_of_it_is_broken_by_that_cause(target: Target) -> None:
    view = View("redis", {}, hanging=True)
    questions: list[Callable[[Observation], object]] = [
        *(lambda seen: seen.counts("redis"),) * 2,
        lambda seen: seen.schemas("redis"),
        lambda seen: seen.retentions("redis"),
    ]
    with Observation(reading(target, view)) as seen:
        for question in questions:
            with pytest.raises(Unverifiable, match="x: expected y, observed z"):
                question(seen)
    # The second time by another reader.
    assert view.asked == ["collections", "collections"]


def test_a_question_that_took_too_long_silences_no_store_that_answers(target: Target) -> None:
    view = View("redis", {})
    store = ObservedStore("redis", reading(target, view))

    def slow(_: ObservedStore) -> None:
        raise problem(Meaning.TIMEOUT, "slow")

    for _ in range(2):
        with pytest.raises(Unverifiable, match="slow"):
            store.ask(slow)
    assert store.ask(lambda _: 7) == 7
    view.hanging = True
    with pytest.raises(Unverifiable, match="slow"):
        store.ask(slow)
    with pytest.raises(Unverifiable, match="x: expected y, observed z"):
        store.ask(lambda _: 7)


def test_what_was_begun_is_read_once_and_counting_again_counts(target: Target) -> None:
    view = View("redis", {})
    with Observation(reading(target, view)) as seen:
        for _ in range(2):
            seen.begin("collection", Case("redis", "a"))
        assert seen.counts("redis") == {"a": 3, "b": 3, "c": 3}
        assert view.asked.count("counts") == 1
        assert seen.counts_now()["redis"] == {"a": 3, "b": 3, "c": 3}
        assert view.asked.count("counts") == 2


def test_without_a_baseline_a_store_answers_and_nothing_is_compared(target: Target) -> None:
    with Observation(reading(target, View("redis", {}))) as seen:
        assert seen.counts("redis")
        for question in (seen.hidden, lambda store: seen.comparison(Case(store, "a"))):
            with pytest.raises(Unverifiable, match="baseline"):
                question("redis")


USERS = Reference(
    referencing=NamePlace(store="redis", collection="rows", fields=("id",)),
    referenced=NamePlace(store="redis", collection="users", fields=("id",)),
)


def test_each_reference_is_followed_once_and_those_that_cannot_be_count_no_name(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()

    def look(reference: Reference, *_: object) -> Followed:
        name = reference.where["of"]
        asked.append(name)
        if name == "down":
            raise problem(Meaning.OTHER)
        return Followed(1, 0, 0, (), tolerated={(name, "1"): 3, (name, "2"): 1})

    references = {name: USERS.model_copy(update={"where": {"of": name}}) for name in ("a", "down", "b")}
    target = target.model_copy(update={"references": references})
    monkeypatch.setattr(observing, "look", look)
    with Observation(reading(target)) as seen:
        seen.followed("b")
        assert (seen.tolerated(), seen.tolerated()) == (4, 4)
        with pytest.raises(Problem):
            seen.followed("down")
    assert asked == ["b", "a", "down"]


ANNA = "anna@example.org"


@pytest.mark.parametrize(
    ("store", "collection", "personal"),
    [("redis", "0:session:*", True), ("redis", "0:task:*", False), ("mysql", "0:task:*", True)],
    ids=["personal", "not personal", "a table whose schema cannot be read"],
)
def test_records_are_named_by_pseudonyms_where_they_are_personal(
    tmp_path: Path, store: str, collection: str, *, personal: bool
) -> None:
    class Unread(Content):
        def schemas(self) -> Mapping[str, object]:  # type: ignore[override]
            if store == "mysql":
                raise problem(Meaning.OTHER)
            return super().schemas()

    target = load_target(write_profile(tmp_path, MYSQL))
    recorder = BaselineRecorder(tmp_path).add(Content(store, {collection: [RecordHash(ANNA, 1)]}))
    now = Unread(store, {collection: [RecordHash(ANNA, 2)]})
    with Observation(reading(target, now, baseline=lambda: recorder.baseline)) as seen:
        found = seen.comparison(Case(store, collection))
    assert found.changed.first == [target.personal.pseudonym(ANNA) if personal else ANNA]
