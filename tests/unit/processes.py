"""Processes that a test has had started, and that must end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 60.0


def runs(pid: int) -> bool:
    """Tell whether a process runs: one that has ended waits as a zombie until somebody collects it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_end(pid: int) -> None:
    """Wait until a process has ended: it may have been told to a moment ago."""
    give_up = time.monotonic() + SECONDS
    while runs(pid):
        assert time.monotonic() < give_up, f"process {pid} still runs"
        time.sleep(0.02)


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
