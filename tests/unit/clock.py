"""A clock of a whole test: it stands still until it is turned, however busy this machine is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from rollproof.system.clock import Moment

MADE = Moment("2026-11-26T10:00:00.000+00:00", 1000.0, "boot")
"""The begin of a test whose records are to be the same every day."""


@dataclass
class Clock:
    """Shows `start` until it is turned: this second, where it says nothing else."""

    # A whole number, so that what has passed since is the very number that a test turned it by.
    start: Moment = field(
        default_factory=lambda: replace(Moment.now(), since_boot=Moment.now().since_boot // 1)
    )
    passed: float = 0.0

    def now(self) -> Moment:
        """Return what it shows."""
        return replace(
            self.start, wall=self._wall(self.passed), since_boot=self.start.since_boot + self.passed
        )

    def _wall(self, seconds: float) -> str:
        wall = datetime.fromisoformat(self.start.wall) + timedelta(seconds=seconds)
        return wall.isoformat(timespec="milliseconds")

    def set_back(self, seconds: float) -> None:
        """Let somebody set the wall clock back."""
        self.start = replace(self.start, wall=self._wall(-seconds))

    def reboot(self) -> None:
        """Let the machine be booted once more."""
        self.start = replace(self.start, boot="another boot")

    def turn(self, seconds: float) -> None:
        """Let that time pass."""
        self.passed += seconds


def ago(seconds: float) -> Moment:
    """Return the moment that many seconds before this one; the wall clock, set back since, says now."""
    now = Moment.now()
    return replace(now, since_boot=now.since_boot - seconds)


def later(moment: Moment, seconds: float) -> Moment:
    """Return the moment that many seconds after `moment`."""
    return Clock(moment, seconds).now()


@contextmanager
def stopped(clock: Clock) -> Iterator[Clock]:
    """Let that clock tell the time to everything that asks for this moment."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Moment, "now", clock.now)
        yield clock
