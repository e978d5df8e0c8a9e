"""The probe of records, on stores that count what a test tells them to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import thread_time
from typing import Any, cast

import pytest

from rollproof.baseline.facts import RecordedStore
from rollproof.baseline.folder import Baseline
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem, Unverifiable, UsageProblem
from rollproof.monitoring.probes import held_view, record_probe
from rollproof.monitoring.probes.probe import Reading
from rollproof.monitoring.probes.record_probe import LostRecords, Missed, RecordsProbe, StoreCounts, ordinal
from rollproof.monitoring.probes.usual import CurrentUsual
from rollproof.profile.profile import Target, load_target
from tests.conftest import write_profile
from tests.unit.baseline.test_baseline import FACTS
from tests.unit.monitor.turned_time import TurnedTime, turned
from tests.unit.sandbox import MYSQL
from tests.unit.saved_baseline import save_baseline

ENGINE = cast("ContainerEngine", None)
DEADLINE = 1.0
BEFORE: Mapping[str, Mapping[str, int]] = {
    "mysql": {"imagedb.users": 500, "imagedb.documents": 2000},
    "redis": {"0:token:*": 7, "0:*": 3},
}
MORE = 'policy = {"0:token:*" = "volatile", "*" = "grows"}\n' + MYSQL


@dataclass
class Counting:
    """A store that counts what it is told to, as slowly as it is told to."""

    name: str
    found: dict[str, int]
    time: TurnedTime
    problem: Exception | None = None
    seconds: float = 0.0
    busy_seconds: float = 0.0
    asked: int = 0
    closed: int = 0

    def counts(self) -> Mapping[str, int]:
        self.asked += 1
        self.time.take(self.seconds)
        give_up = thread_time() + self.busy_seconds
        while thread_time() < give_up:
            pass
        if self.problem is not None:
            raise self.problem
        return dict(self.found)

    def close(self) -> None:
        self.closed += 1


Stores = dict[str, Counting]


class Confirmed(LostRecords):
    """Finds by key what the counts say, at once: these baselines hold counts alone."""

    def look(self, baseline: Baseline, counts: Mapping[str, int]) -> None:
        before = baseline.facts.stores[self._store].counts
        self._missed = Missed({name: before[name] - count for name, count in counts.items()})

    def missed(self, counts: Mapping[str, int]) -> Missed:
        return self._missed


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    with turned() as time:
        made = {name: Counting(name, dict(counts), time) for name, counts in BEFORE.items()}
        monkeypatch.setattr(held_view, "open_view", lambda name, *_: made[name])
        monkeypatch.setattr(record_probe, "LostRecords", Confirmed)
        yield made


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return load_target(write_profile(tmp_path, MORE))


def save(target: Target, counts: Mapping[str, Mapping[str, int]] = BEFORE, **changes: Any) -> None:  # noqa: ANN401
    stores = {name: RecordedStore(name, "1", found) for name, found in counts.items()}
    save_baseline(
        target.folders.baselines, target.name, replace(FACTS, stores=stores, **changes), target.baseline_key
    )


@contextmanager
def probing(target: Target) -> Iterator[Callable[[], Reading]]:
    save(target)
    with closing(RecordsProbe(target, ENGINE, DEADLINE, CurrentUsual(target))) as probe:
        yield probe.ask


def test_all_that_is_there_is_well(target: Target, stores: Stores) -> None:
    stores["mysql"].found["imagedb.users"] += 4
    with probing(target) as ask:
        reading = ask()
        assert (reading.ok, reading.value, reading.services) == (True, 0.0, ())
        assert reading.text == "all 2,503 there"
        ask()
        assert (stores["mysql"].asked, stores["redis"].asked) == (2, 2)
        assert [store.closed for store in stores.values()] == [0, 0]
    assert [store.closed for store in stores.values()] == [1, 1]


def test_a_record_that_is_gone_is_seen_at_once_and_where(target: Target, stores: Stores) -> None:
    with probing(target) as ask:
        ask()
        stores["mysql"].found["imagedb.documents"] -= 1
        reading = ask()
        assert (reading.ok, reading.value, reading.services) == (False, 1.0, ("database-server",))
        assert reading.text == "1 of 2,503 gone: mysql/imagedb.documents 1"
        # More of one thing does not make up for less of another; a table that was dropped holds nothing.
        stores["mysql"].found = {"imagedb.documents": 2600}
        assert ask().value == 500.0
        stores["redis"].found = {"0:*": 1}
        reading = ask()
        assert reading.value == 502.0
        assert set(reading.services) == {"database-server", "redis"}
        assert "gone: mysql/imagedb.users 500, redis/0:* 2" in reading.text


def test_a_store_that_cannot_be_counted_is_unknown_unless_records_are_gone_elsewhere(
    target: Target, stores: Stores
) -> None:
    refused = Unverifiable(what="store redis", expected="an answer", observed="refused", source="b", hint="c")
    stores["redis"].problem = refused
    with probing(target) as ask:
        with pytest.raises(Unverifiable, match="observed no answer of 1: store redis: expected an answer"):
            ask()
        stores["mysql"].found["imagedb.users"] -= 3
        reading = ask()
        assert (reading.ok, reading.value) == (False, 3.0)
        assert "; unknown: store redis: expected an answer, observed refused" in reading.text
        stores["mysql"].found["imagedb.users"] += 3
        stores["redis"].problem = None
        assert ask().ok


def test_what_breaks_is_unknown_too(target: Target, stores: Stores) -> None:
    stores["redis"].problem = RuntimeError("out of order")
    with probing(target) as ask, pytest.raises(Unverifiable, match="RuntimeError: out of order"):
        ask()


def test_one_that_hangs_is_unknown_in_time_and_keeps_nobody(target: Target, stores: Stores) -> None:
    stores["redis"].seconds = 60
    stores["mysql"].found["imagedb.users"] -= 1
    with probing(target) as ask:
        began = stores["redis"].time.now
        reading = ask()
        assert stores["redis"].time.now - began <= DEADLINE
        assert reading.value == 1.0
        assert "unknown: records of redis: expected an answer by now, observed still being counted" in (
            reading.text
        )
        ask()
        assert stores["redis"].asked == 1


def test_one_that_is_late_once_stands_by_its_last_count_and_then_hangs(
    target: Target, stores: Stores
) -> None:
    with probing(target) as ask:
        ask()
        stores["redis"].seconds = 60
        assert ask().text == "all 2,503 there; redis by its last count"
        with pytest.raises(Unverifiable, match="redis: expected an answer by now, observed still being"):
            ask()


@pytest.mark.usefixtures("stores")
def test_without_a_baseline_it_is_unknown_until_there_is_one(target: Target) -> None:
    usual = CurrentUsual(target)
    with closing(RecordsProbe(target, ENGINE, DEADLINE, usual)) as probe:
        for _ in range(2):
            with pytest.raises(UsageProblem, match="observed none") as told:
                probe.ask()
        assert "rollproof capture" in told.value.hint
        save(target, milliseconds={"health": 4.0}, page_status=307)
        assert (dict(usual.milliseconds()), usual.page_status()) == ({}, 0)
        assert probe.ask().ok
        assert (dict(usual.milliseconds()), usual.page_status()) == ({"health": 4.0}, 307)
        # Another becomes the current one while the monitor runs.
        save(target, {"mysql": {"imagedb.users": 501}})
        assert probe.ask().value == 1.0
        assert usual.milliseconds() == {}


def test_a_baseline_that_is_not_whole_is_verified_once_and_unknown(target: Target) -> None:
    save(target)
    (target.folders.baselines / "current" / "facts.json").write_bytes(b"{}")
    usual = CurrentUsual(target)
    found = []
    for _ in range(2):
        with pytest.raises(Problem) as told:
            usual.read()
        found.append(told.value)
    assert found[0] is found[1]


@pytest.mark.usefixtures("stores")
def test_a_baseline_without_a_record_that_is_compared_is_unknown(target: Target) -> None:
    with probing(target) as ask:
        save(target, {"redis": {"0:token:*": 7}})
        with pytest.raises(Unverifiable, match="expected a collection of the baseline that is compared"):
            ask()


class Watched:
    """One store, counted beat by beat."""

    def __init__(self, target: Target, store: Counting) -> None:
        self.store = store
        held = held_view.HeldView("mysql", target.stores["mysql"], ENGINE)
        self.counts = StoreCounts(held, 0.2)

    def beat(self, wait: float = 5.0) -> Mapping[str, int] | str:
        self.counts.begin()
        self.counts.question.wait(wait)
        try:
            return self.counts.counts()
        except Problem as problem:
            return str(problem.observed)


def test_one_that_takes_long_is_counted_every_fourth_beat(target: Target, stores: Stores) -> None:
    store = stores["mysql"]
    watched = Watched(target, store)
    store.seconds = 0.15
    assert isinstance(watched.beat(), dict)
    watched.beat()
    assert (watched.counts.every, watched.counts.quick) == (4, False)
    store.found = {"imagedb.users": 1}
    assert [watched.beat() == store.found for _ in range(3)] == [False, False, True]
    assert store.asked == 2
    # It is light again, and counted at every beat.
    store.seconds = 0.0
    for _ in range(5):
        watched.beat()
    assert watched.counts.every == 1
    assert store.asked > 3


def test_one_that_is_always_long_stands_by_its_last_count_until_its_next_turn(
    target: Target, stores: Stores
) -> None:
    store = stores["mysql"]
    watched = Watched(target, store)
    store.seconds = 0.3
    assert watched.beat(0.01) == "still being counted"
    watched.counts.question.wait(60)
    # Three times half of the deadline, and so it has four beats.
    assert [watched.beat(0.0) for _ in range(3)] == [store.found] * 3
    store.seconds = 60
    said = [watched.beat(0.01) for _ in range(5)]
    assert said == [*[store.found] * 4, "still being counted"]
    assert store.asked == 2


def test_one_that_keeps_a_processor_busy_is_counted_more_seldom(target: Target, stores: Stores) -> None:
    watched = Watched(target, stores["mysql"])
    stores["mysql"].busy_seconds = 0.02
    watched.beat()
    watched.beat()
    assert watched.counts.every >= 5
    assert stores["mysql"].asked == 1


def test_after_a_failure_it_is_counted_at_the_next_beat(target: Target, stores: Stores) -> None:
    store = stores["mysql"]
    watched = Watched(target, store)
    store.busy_seconds = 0.02
    watched.beat()
    store.problem = Unverifiable(what="a", expected="b", observed="refused", source="c", hint="d")
    said = [watched.beat() for _ in range(watched.counts.every + 6)]
    asked = store.asked
    assert said[-3:] == ["refused"] * 3
    watched.beat()
    assert store.asked == asked + 1


def test_a_probe_says_which_store_is_counted_more_seldom(target: Target, stores: Stores) -> None:
    with probing(target) as ask:
        stores["mysql"].busy_seconds = 0.075
        ask()
        assert ask().text.startswith("all 2,503 there; mysql every ")


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd")]
)
def test_ordinals(number: int, text: str) -> None:
    assert ordinal(number) == text
