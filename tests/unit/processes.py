"""Signals that a test sends to its own process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def one_ctrl_c() -> Iterator[Callable[[], None]]:
    """Yield what presses Ctrl-C, from another thread: the main thread has one `KeyboardInterrupt` of it.

    A signal that comes just before the main thread waits is seen with the next one, so it is sent until seen.
    """
    seen = threading.Event()

    def interrupt(*_: object) -> None:
        if not seen.is_set():
            seen.set()
            raise KeyboardInterrupt

    def press() -> None:
        while not seen.is_set():
            os.kill(os.getpid(), signal.SIGINT)
            seen.wait(0.5)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield press
    finally:
        signal.signal(signal.SIGINT, before)
