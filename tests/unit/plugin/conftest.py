"""A project with the plugin, whose runs of pytest are in this process."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.plugin_sandbox import OPERATORS, Here
from tests.unit.clock import Clock


class Passing:
    """What the checks of a run receive: the clock of the run, which they turn."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @pytest.fixture
    def clock(self) -> Clock:
        return self._clock


@pytest.fixture(autouse=True)
def own_alarm() -> Iterator[None]:
    """Give this test's own alarm back: the checks of a run have alarms of their own."""
    handler, (left, again) = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, left, again)


@pytest.fixture
def sandbox(pytester: pytest.Pytester, stopped_clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Here:
    """A project with the plugin; its clock stands still, its record has no pictures, nor pages of checks."""
    for name in list(os.environ):
        if name.startswith("ROLLPROOF_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTEST_ADDOPTS", OPERATORS)
    # A check that is written again within a second must not be taken for the one before it.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr("reports.run.record.installed_allure", lambda: None)
    monkeypatch.setattr("reports.run.record.draw_timeline", lambda *_: ())
    made = Here(pytester.path, pytester=pytester, plugin=Passing(stopped_clock))
    # The end of this process would be that of all tests.
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda left, **_: made.hard_timer.append(left))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: made.hard_timer.append(None))
    return made
