"""Rounds: one question put to many at the same time, so that a phase waits only for the slowest.

Readers are opened at their first use, once each, and closed together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from threading import Lock
from typing import Generic, Protocol, Self, TypeVar

from rollproof.errors import Mismatch, Problem
from rollproof.system.side_by_side import each
from rollproof.system.steps import step

_WORKERS = 8
Answered = TypeVar("Answered")
Wrong = Mismatch | Problem
"""A result that may come instead of an answer."""


def ask_all(
    names: Iterable[str], ask: Callable[[str], Answered], workers: int = _WORKERS, *, question: str
) -> Mapping[str, Answered | Wrong]:
    """Return the answer of `ask` for each name, or the problem that it raised.

    One failure does not affect the others. `question` and the name form the step's name in the report.
    """

    def asked(name: str) -> Answered | Wrong:
        try:
            with step(f"{question}: {name}"):
                return ask(name)
        except (Mismatch, Problem) as wrong:
            return wrong

    return each(asked, names, workers=workers, name="round")


def asked_once(ask: Callable[[str], Answered]) -> Callable[[str], Answered]:
    """Return `ask`, memoized by name, errors included.

    Threads that ask first at the same time may both call it.
    """

    @cache
    def asked(name: str) -> Answered | Wrong:
        try:
            return ask(name)
        except (Mismatch, Problem) as wrong:
            return wrong

    def answer(name: str) -> Answered:
        found = asked(name)
        if isinstance(found, (Mismatch, Problem)):
            raise found.with_traceback(None)
        return found

    return answer


def answer_of(answers: Mapping[str, Answered | Wrong], name: str) -> Answered:
    """Return the answer for `name`; raise the problem that came instead."""
    answer = answers[name]
    if isinstance(answer, (Mismatch, Problem)):
        raise answer
    return answer


class Closeable(Protocol):
    """An object that can be closed."""

    def close(self) -> None:
        """Release its resources."""
        ...


Reader = TypeVar("Reader", bound=Closeable)


class Opened(Generic[Reader]):
    """Readers by name, opened at first use. Threads share each reader."""

    def __init__(self, open_one: Callable[[str], Reader]) -> None:
        """Open nothing yet; `open_one` opens a reader by name."""
        self._open_one = open_one
        self._opened: dict[str, Reader] = {}
        self._opening = Lock()

    def __call__(self, name: str) -> Reader:
        """Return the reader called `name`."""
        with self._opening:
            if name not in self._opened:
                self._opened[name] = self._open_one(name)
            return self._opened[name]

    def __enter__(self) -> Self:
        """Return the readers themselves."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close all opened readers."""
        for reader in self._opened.values():
            reader.close()
