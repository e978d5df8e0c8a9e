"""Counting a store so that a collection's fault stays its own, and a store that hangs is asked no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import TypeVar

from rollproof.errors import Meaning, Problem, Unverifiable
from rollproof.stores.reader import Reader

_UNANSWERED = frozenset({Meaning.TIMEOUT, Meaning.UNREACHABLE})
Answered = TypeVar("Answered")


def counted(reader: Reader) -> Mapping[str, int | Unverifiable]:
    """Return each collection's exact count by name, or the problem that came in place of it.

    All are counted together, and one by one only if that fails.

    Raises:
        Unverifiable: the store does not answer.
    """
    names = reader.collections()
    try:
        return reader.counts()
    except Unverifiable as problem:
        together = problem
    found: dict[str, int | Unverifiable] = {}
    for name in names:
        # After a failure a connection's state is unknown.
        reader.close()
        try:
            found[name] = reader.count(name)
        except Unverifiable as problem:
            found[name] = problem
            if problem.means in _UNANSWERED:
                reader.close()
                reader.collections()  # which touches no record
    if not found:
        raise together
    return found


class Silences:
    """The stores that fell silent, so that nothing more is asked of them. Threads may share it."""

    def __init__(self, open_one: Callable[[str], Reader]) -> None:
        """Keep `open_one`, which opens a new reader of a store by name."""
        self._open_one = open_one
        self._silent: dict[str, Problem] = {}
        self._lock = Lock()

    def require(self, store: str) -> None:
        """Raise again the problem with which a store fell silent."""
        if store in self._silent:
            raise self._silent[store].with_traceback(None)

    def ask(self, store: str, question: Callable[[], Answered]) -> Answered:
        """Return the answer to a question about `store`; after none, see whether it answers anything.

        Raises:
            Problem: that of the question, or the one with which the store fell silent.
        """
        self.require(store)
        try:
            return question()
        except Problem as problem:
            if problem.means in _UNANSWERED:
                self._look(store)
            raise

    def _look(self, store: str) -> None:
        with self._lock:
            if store in self._silent:
                return
            try:
                with self._open_one(store) as reader:
                    reader.collections()
            except Problem as problem:
                if problem.means in _UNANSWERED:
                    self._silent[store] = problem
