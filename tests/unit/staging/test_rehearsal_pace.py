"""The times of a rehearsal: what is left by the last one's, and what waits for the runbook's."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from reports.terminal.progress import Progress
from staging.rehearsal import pace, rehearsal_progress
from staging.rehearsal.pace import Pace, Time, Timetable
from staging.rehearsal.rehearsal_progress import RehearsalProgress


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    @property
    def time(self) -> SimpleNamespace:
        return SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (pace, rehearsal_progress):
        monkeypatch.setattr(module, "time", clock.time)
    return clock


class Shown(RehearsalProgress):
    """Keeps what its bar shows."""

    def __init__(self, times: Path) -> None:
        super().__init__(times)
        self.shown: list[str] = []

    @contextmanager
    def line(self, text: str) -> Iterator[Callable[[str], None]]:
        self.shown.append(text)
        yield self.shown.append


def _rehearsed(times: Path, clock: Clock, *, fails: bool = False) -> list[str]:
    progress = Shown(times)
    with progress.bar():
        for seconds in (30.0, 10.0):
            with progress.step("a part of some incident"):
                clock.now += seconds
        if fails:
            raise KeyboardInterrupt
    return progress.shown


def test_the_bar_measures_by_the_times_of_the_last_rehearsal_that_ended(tmp_path: Path, clock: Clock) -> None:
    times = tmp_path / "slot" / "rehearsal.json"
    assert _rehearsed(times, clock) == ["0 steps done", "1 steps done", "2 steps done"]
    assert json.loads(times.read_text()) == [30.0, 40.0]
    with pytest.raises(KeyboardInterrupt):
        _rehearsed(times, clock, fails=True)
    assert json.loads(times.read_text()) == [30.0, 40.0]
    shown = [text.partition(",")[0] for text in _rehearsed(times, clock)]
    assert shown == [f"{'╌' * 20} 0%", f"{'━' * 15}{'╌' * 5} 75%", f"{'━' * 20} 100%"]


def test_only_the_runbooks_pace_waits_for_its_times(clock: Clock) -> None:
    for each in Pace:
        with Progress(io.StringIO()) as progress:
            timetable = Timetable(each, progress, clock.now)
            clock.now += 60.0
            timetable.wait_until(Time.MIGRATION)
            timetable.wait_until(Time.DETECTED)
            clock.now += 3600.0
            timetable.wait_until(Time.POST_MORTEM)
    assert clock.slept == [29 * 60.0, 10 * 60.0]
