"""A record that a count misses is lost only if its key is gone before its time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from rollproof.engines.engine import ContainerEngine
from rollproof.monitoring.probes import record_probe
from rollproof.monitoring.probes.record_probe import Missed, missed_records
from rollproof.profile.profile import load_target
from rollproof.stores.contract import RecordHash
from tests.conftest import write_profile
from tests.world.sandbox import MYSQL
from tests.world.stores import BaselineRecorder, Content

PAST, FUTURE = 1.0, time.time() + 1e6
BEFORE = {
    "a": [RecordHash("1", 1), RecordHash("2", 2), RecordHash("3", 3, expires=PAST), RecordHash("4", 4)],
    "b": [RecordHash("5", 5, expires=PAST), RecordHash("6", 6, expires=FUTURE)],
}


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
    now: Mapping[str, Sequence[RecordHash]], missed: Missed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline = BaselineRecorder(tmp_path).add(Content("mysql", BEFORE)).baseline
    target = load_target(write_profile(tmp_path, MYSQL))
    monkeypatch.setattr(record_probe, "open_reader", lambda *_: Content("mysql", now))
    fewer = {name: len(now.get(name, ())) for name in BEFORE if len(now.get(name, ())) < len(BEFORE[name])}
    engine = cast("ContainerEngine", None)
    assert missed_records(target, engine, baseline, "mysql", fewer) == missed
