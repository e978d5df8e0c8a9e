"""The probe of records, on stores that count what a test tells them to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from rollproof.baseline.facts import RecordedStore
from rollproof.baseline.folder import Baseline
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Unverifiable, UsageProblem
from rollproof.monitoring.probes.application_probes import CurrentBaseline
from rollproof.monitoring.probes.probe import ProbeResult
from rollproof.monitoring.probes.record_probe import Missed, RecordsProbe
from rollproof.profile.profile import Target, load_target
from rollproof.stores.reader import Reader
from tests.conftest import write_profile
from tests.unit.monitor.turned_time import TurnedTime, turned
from tests.world.baseline import FACTS, save_baseline
from tests.world.sandbox import MYSQL

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
    asked: int = 0
    closed: int = 0

    def counts(self) -> Mapping[str, int]:
        self.asked += 1
        self.time.take(self.seconds)
        if self.problem is not None:
            raise self.problem
        return dict(self.found)

    def close(self) -> None:
        self.closed += 1


Stores = dict[str, Counting]


def _by_the_counts(_: object, __: object, of: Baseline, store: str, counts: Mapping[str, int]) -> Missed:
    """Find by key what the counts say: these baselines hold counts alone."""
    return Missed({name: of.facts.stores[store].counts[name] - count for name, count in counts.items()})


@pytest.fixture
def stores() -> Iterator[Stores]:
    with turned() as time:
        yield {name: Counting(name, dict(counts), time) for name, counts in BEFORE.items()}


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return load_target(write_profile(tmp_path, MORE))


def save(target: Target, counts: Mapping[str, Mapping[str, int]] = BEFORE, **changes: Any) -> None:  # noqa: ANN401
    stores = {name: RecordedStore(name, "1", found) for name, found in counts.items()}
    save_baseline(
        target.folders.baselines, target.name, replace(FACTS, stores=stores, **changes), target.baseline_key
    )


def probe_of(target: Target, stores: Stores, current: CurrentBaseline) -> RecordsProbe:
    """Return the probe; to count takes no time of the processor."""
    return RecordsProbe(
        target,
        ENGINE,
        DEADLINE,
        current,
        question=stores["mysql"].time.question,
        computed=lambda: 0.0,
        open_reader=lambda name, *_, **__: cast("Reader", stores[name]),
        missed=_by_the_counts,
    )


@contextmanager
def probing(target: Target, stores: Stores) -> Iterator[Callable[[], ProbeResult]]:
    save(target)
    with closing(probe_of(target, stores, CurrentBaseline(target))) as probe:
        yield probe.ask


def test_all_that_is_there_is_well(target: Target, stores: Stores) -> None:
    stores["mysql"].found["imagedb.users"] += 4
    with probing(target, stores) as ask:
        reading = ask()
        assert (reading.ok, reading.value, reading.services) == (True, 0.0, ())
        assert reading.text == "all 2,503 there"
        ask()
        assert (stores["mysql"].asked, stores["redis"].asked) == (2, 2)
        assert [store.closed for store in stores.values()] == [0, 0]
    assert [store.closed for store in stores.values()] == [1, 1]


def test_a_record_that_is_gone_is_seen_at_once_and_where(target: Target, stores: Stores) -> None:
    with probing(target, stores) as ask:
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
    with probing(target, stores) as ask:
        with pytest.raises(Unverifiable, match="observed no answer of 1: store redis: expected an answer"):
            ask()
        stores["mysql"].found["imagedb.users"] -= 3
        reading = ask()
        assert (reading.ok, reading.value) == (False, 3.0)
        assert "; unknown: store redis: expected an answer, observed refused" in reading.text
        stores["mysql"].found["imagedb.users"] += 3
        stores["redis"].problem = None
        assert ask().ok


def test_one_that_hangs_is_unknown_in_time_and_keeps_nobody(target: Target, stores: Stores) -> None:
    stores["redis"].seconds = 60
    stores["mysql"].found["imagedb.users"] -= 1
    with probing(target, stores) as ask:
        began = stores["redis"].time.now
        reading = ask()
        assert stores["redis"].time.now - began <= DEADLINE
        assert reading.value == 1.0
        assert "unknown: records of redis: expected an answer by now, observed still being counted" in (
            reading.text
        )
        ask()
        assert stores["redis"].asked == 1


def test_without_a_baseline_it_is_unknown_until_there_is_one(target: Target, stores: Stores) -> None:
    current = CurrentBaseline(target)
    with closing(probe_of(target, stores, current)) as probe:
        for _ in range(2):
            with pytest.raises(UsageProblem, match="observed none") as told:
                probe.ask()
        assert "rollproof capture" in told.value.hint
        save(target, milliseconds={"health": 4.0}, page_status=307)
        assert current.facts() is None
        assert probe.ask().ok
        known = current.facts()
        assert known is not None
        assert (dict(known.milliseconds), known.page_status) == ({"health": 4.0}, 307)
        # Another becomes the current one while the monitor runs.
        save(target, {"mysql": {"imagedb.users": 501}})
        assert probe.ask().value == 1.0
        known = current.facts()
        assert known is not None
        assert known.milliseconds == {}


def test_a_baseline_without_a_record_that_is_compared_is_unknown(target: Target, stores: Stores) -> None:
    with probing(target, stores) as ask:
        save(target, {"redis": {"0:token:*": 7}})
        with pytest.raises(Unverifiable, match="expected a collection of the baseline that is compared"):
            ask()


def _asked(ask: Callable[[], ProbeResult]) -> str:
    try:
        return ask().text
    except Unverifiable as unknown:
        return str(unknown.observed)


def test_one_that_takes_long_stands_by_its_last_count_until_its_next_turn(
    target: Target, stores: Stores
) -> None:
    store = stores["mysql"]
    store.seconds = 0.7 * DEADLINE
    with probing(target, stores) as ask:
        assert ask().text == "all 2,503 there; mysql every 3 beats"
        store.found["imagedb.users"] -= 1
        assert [ask().value for _ in range(3)] == [0.0, 0.0, 1.0]
        # It hangs: its last count stands until the next is due.
        store.seconds = 60
        said = [_asked(ask) for _ in range(6)]
        assert ["1 of 2,503 gone" in one for one in said] == [True] * 5 + [False]
        assert "still being counted" in said[-1]
        assert store.asked == 3
