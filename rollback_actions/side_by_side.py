"""Questions that are asked side by side: one that hangs keeps no other from being answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from fixtures.clock import Moment
from fixtures.errors import Mismatch, Problem, Unverifiable

Result = TypeVar("Result")


class Question(Generic[Result]):
    """One question, in a thread of its own each time, and never twice at the same time.

    It was last `asked` then, or made. `seconds` is how long the last answer took, also while the machine was
    suspended, and `processor_seconds` what of that its thread has computed.
    """

    def __init__(self, name: str, ask: Callable[[], Result]) -> None:
        """Ask nothing yet."""
        self.name = name
        self.asked = Moment.now()
        self.seconds = 0.0
        self.processor_seconds = 0.0
        self._ask = ask
        self._thread: threading.Thread | None = None
        self._answer: Result | Problem | Mismatch | None = None

    @property
    def waiting(self) -> bool:
        """Whether it has been asked, and not answered."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Ask it, unless it is waiting."""
        if self.waiting:
            return
        self.asked = Moment.now()
        # One that hangs for good must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"question {self.name}", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for the answer, so long at most."""
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))

    def answer(self) -> Result:
        """Return the last answer.

        Raises:
            Problem, Mismatch: what it came to instead; also when there is none yet.
        """
        if isinstance(self._answer, Problem | Mismatch):
            raise self._answer.with_traceback(None)
        if self._answer is None:
            raise self.unanswered("none yet")
        return self._answer

    def unanswered(self, observed: str) -> Unverifiable:
        """Return the error for an answer that did not come."""
        return Unverifiable(
            what=self.name,
            expected="an answer by now",
            observed=observed,
            source="a question of the monitor",
            hint="see that the store runs, and what else it is doing",
        )

    def _run(self) -> None:
        computed = time.thread_time()
        try:
            self._answer = self._ask()
        except (Problem, Mismatch) as said:
            self._answer = said
        except Exception as error:  # noqa: BLE001 - what breaks says nothing; the others do
            self._answer = self.unanswered(f"{type(error).__name__}: {error}")
        self.seconds = self.asked.seconds_ago()
        self.processor_seconds = time.thread_time() - computed


def wait_for(questions: Iterable[Question[Result]], seconds: float) -> None:
    """Wait until all are answered, so long at most for all of them together."""
    give_up = time.monotonic() + seconds
    for question in questions:
        question.wait(give_up - time.monotonic())
