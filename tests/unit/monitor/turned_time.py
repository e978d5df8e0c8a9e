"""A time that passes only while somebody waits for it, and then at once: for what asks on a beat."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from rollproof.monitoring import monitor
from rollproof.system.clock import Moment
from rollproof.system.side_by_side import Question

_START = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
# How often it is looked whether a thread that was started is on its way, or done.
_LOOK_SECONDS = 0.001


class TurnedTime:
    """Seconds since it began. Questions `take` time; whoever waits for one, or sleeps, turns it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._ended = False
        self._changed = threading.Condition()
        self._due: dict[threading.Thread, float] = {}

    def moment(self) -> Moment:
        wall = (_START + timedelta(seconds=self.now)).isoformat(timespec="milliseconds")
        return Moment(wall, self.now, "turned")

    def take(self, seconds: float) -> None:
        """Let the question of this thread take so long."""
        thread = threading.current_thread()
        with self._changed:
            due = self.now + seconds
            self._due[thread] = due
            self._changed.wait_for(lambda: self.now >= due or self._ended)
            del self._due[thread]

    def sleep(self, seconds: float) -> None:
        """Let so much time pass; what is due by then is done then."""
        with self._changed:
            self.now += seconds
            done = [thread for thread, due in self._due.items() if due <= self.now]
            self._changed.notify_all()
        for thread in done:
            thread.join()

    def wait(self, question: Question[Any], seconds: float) -> None:
        """Wait for a question as `Question.wait` does."""
        thread = question._thread
        if thread is None:
            return
        while thread.is_alive() and thread not in self._due:
            thread.join(_LOOK_SECONDS)
        due = self._due.get(thread, self.now)
        self.sleep(max(0.0, min(due - self.now, seconds)))

    def end(self) -> None:
        """Let go of whatever takes time still."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()


@contextmanager
def turned() -> Iterator[TurnedTime]:
    """Have all that beats go by such a time."""
    time = TurnedTime()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Moment, "now", time.moment)
        patched.setattr(Question, "wait", lambda question, seconds: time.wait(question, seconds))  # noqa: PLW0108 - a method
        module = SimpleNamespace(sleep=time.sleep, clock_gettime=lambda _: time.now, CLOCK_BOOTTIME=0)
        patched.setattr(monitor, "time", module)
        try:
            yield time
        finally:
            time.end()
