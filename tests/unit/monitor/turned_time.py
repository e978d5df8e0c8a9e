"""A time that passes only while somebody waits for it, and then at once: for what asks on a beat."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rollproof.system.side_by_side import Question
from tests.unit.clock import MADE, Clock, stopped


class TurnedTime:
    """Seconds since it began. Questions `take` time; whoever waits for one, or sleeps, turns it.

    Whoever starts a question, or turns the time, goes on when each question has ended or takes time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._over = False
        self._changed = threading.Condition()
        # The questions that take time, and when each is due.
        self._due: dict[threading.Thread, float] = {}
        self._ended: set[threading.Thread] = set()

    @property
    def now(self) -> float:
        return self._clock.passed

    def question(self, name: str, ask: Callable[[], Any]) -> Question[Any]:
        """Return a question whose answer takes of this time."""
        return _Turned(name, ask, self)

    def take(self, seconds: float) -> None:
        """Let the question of this thread take so long."""
        if seconds <= 0:
            return
        thread = threading.current_thread()
        with self._changed:
            self._due[thread] = self.now + seconds
            self._changed.notify_all()
            self._changed.wait_for(lambda: thread not in self._due or self._over)

    def sleep(self, seconds: float) -> None:
        """Let so much time pass; what is due by then is done then."""
        with self._changed:
            self._clock.turn(seconds)
            done = [thread for thread, due in self._due.items() if due <= self.now]
            for thread in done:
                del self._due[thread]
            self._changed.notify_all()
        for thread in done:
            self.settle(thread)

    def wait(self, thread: threading.Thread, seconds: float) -> None:
        """Let time pass until a question has ended, `seconds` at most."""
        with self._changed:
            due = self._due.get(thread, self.now)
        self.sleep(max(0.0, min(due - self.now, seconds)))

    def settle(self, thread: threading.Thread) -> None:
        """Go on when a question has ended, or takes time."""
        with self._changed:
            self._changed.wait_for(lambda: thread in self._ended or thread in self._due)
        if thread in self._ended:
            thread.join()

    def end(self, thread: threading.Thread) -> None:
        """Let a question's thread have ended."""
        with self._changed:
            self._ended.add(thread)
            self._changed.notify_all()

    def let_go(self) -> None:
        """Let what takes time still go on."""
        with self._changed:
            self._over = True
            self._changed.notify_all()


class _Turned(Question[Any]):
    def __init__(self, name: str, ask: Callable[[], Any], time: TurnedTime) -> None:
        super().__init__(name, ask)
        self._time = time

    def start(self) -> None:
        if not self.waiting:
            super().start()
            assert self._thread is not None
            self._time.settle(self._thread)

    def wait(self, seconds: float) -> None:
        if self._thread is not None:
            self._time.wait(self._thread, seconds)

    def _run(self) -> None:
        try:
            super()._run()
        finally:
            self._time.end(threading.current_thread())


@contextmanager
def turned() -> Iterator[TurnedTime]:
    """Have every moment go by such a time."""
    with stopped(Clock(MADE)) as clock:
        time = TurnedTime(clock)
        try:
            yield time
        finally:
            time.let_go()
