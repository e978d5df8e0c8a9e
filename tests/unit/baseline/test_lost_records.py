"""A record that a count misses is lost only if its key is gone before its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem, Unverifiable
from rollproof.monitoring.probes import record_probe
from rollproof.monitoring.probes.record_probe import LostRecords, Missed
from rollproof.profile.profile import Target, load_target
from rollproof.stores.contract import RecordHash
from tests.conftest import write_profile
from tests.unit.content_stand_in import Recorder, StandIn
from tests.unit.sandbox import MYSQL

ENGINE = cast("ContainerEngine", None)
PAST, FUTURE = 1.0, time.time() + 1e6
BEFORE = {
    "a": [RecordHash("1", 1), RecordHash("2", 2), RecordHash("3", 3, expires=PAST), RecordHash("4", 4)],
    "b": [RecordHash("5", 5, expires=PAST), RecordHash("6", 6, expires=FUTURE)],
}
Look = Callable[[Mapping[str, Sequence[RecordHash]]], Missed]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return load_target(write_profile(tmp_path, MYSQL))


@pytest.fixture
def live(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[LostRecords, Look]:
    baseline = Recorder(tmp_path).add(StandIn("mysql", BEFORE)).baseline
    lost = LostRecords("mysql", target, ENGINE)

    def look(now: Mapping[str, Sequence[RecordHash]]) -> Missed:
        monkeypatch.setattr(record_probe, "open_content", lambda *_: StandIn("mysql", now))
        counts = {
            name: len(now.get(name, ())) for name in BEFORE if len(now.get(name, ())) < len(BEFORE[name])
        }
        lost.look(baseline, counts)
        lost.question.wait(60)
        return lost.missed(counts)

    return lost, look


@pytest.mark.parametrize(
    ("now", "missed"),
    [
        ({**BEFORE, "a": [BEFORE["a"][place] for place in (0, 1, 3)]}, Missed({}, 1)),
        ({**BEFORE, "a": [BEFORE["a"][place] for place in (0, 2, 3)]}, Missed({"a": 1}, 0)),
        ({**BEFORE, "a": BEFORE["a"][:2]}, Missed({"a": 1}, 1)),
        ({**BEFORE, "a": [RecordHash("9", 9), *BEFORE["a"][:2]]}, Missed({"a": 1}, 1)),
        ({"a": BEFORE["a"], "b": []}, Missed({"b": 1}, 1)),
        ({"a": BEFORE["a"]}, Missed({"b": 1}, 1)),
        ({}, Missed({"a": 3, "b": 1}, 2)),
    ],
    ids=["expired", "gone", "both", "another came", "emptied", "dropped", "all dropped"],
)
def test_what_is_gone_is_lost_unless_it_had_expired(
    live: tuple[LostRecords, Look], now: Mapping[str, Sequence[RecordHash]], missed: Missed
) -> None:
    assert live[1](now) == missed


def test_the_same_counts_are_compared_once_and_others_again(
    live: tuple[LostRecords, Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, look = live
    fewer = {**BEFORE, "a": [BEFORE["a"][place] for place in (0, 2, 3)]}
    assert look(fewer) == Missed({"a": 1}, 0)
    asked: list[tuple[str, int]] = []
    original = lost._compare

    def watched(name: str, count: int) -> tuple[int, int]:
        asked.append((name, count))
        return original(name, count)

    monkeypatch.setattr(lost, "_compare", watched)
    assert look(fewer) == Missed({"a": 1}, 0)
    assert asked == []
    assert look({**BEFORE, "a": BEFORE["a"][:2]}) == Missed({"a": 1}, 1)
    assert asked == [("a", 2)]


def test_what_cannot_be_compared_is_not_known_to_be_lost_and_is_compared_again(
    live: tuple[LostRecords, Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, look = live
    fewer = {**BEFORE, "a": [BEFORE["a"][place] for place in (0, 2, 3)]}
    refused = Unverifiable(what="mysql", expected="an answer", observed="refused", source="s", hint="h")

    def refuse(*_: object) -> object:
        raise refused

    with monkeypatch.context() as patch:
        patch.setattr(lost, "_compare", refuse)
        with pytest.raises(Problem, match="observed refused"):
            look(fewer)
    assert look(fewer) == Missed({"a": 1}, 0)


def test_nothing_is_known_while_keys_are_compared(target: Target) -> None:
    lost = LostRecords("mysql", target, ENGINE)
    with pytest.raises(Unverifiable, match="observed still being compared"):
        lost.missed({"a": 1})
