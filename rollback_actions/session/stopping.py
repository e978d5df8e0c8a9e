"""The end of a command that runs until somebody stops it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fixtures.system.process import ENDING, handled


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether a signal has requested the end; running work is finished first."""
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        asked.append(number)

    with handled(ask, (signal.SIGINT, *ENDING)):
        yield lambda: bool(asked)
