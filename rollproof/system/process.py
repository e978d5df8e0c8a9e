"""The identity of a process, which distinguishes it from every other process of a machine, and its signals.

A process id is given to another process once its owner has ended, so a recorded id proves nothing. The pair
of id and start time, within one boot of the machine, names one process only.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Self

from rollproof.errors import ExitCode
from rollproof.system.clock import this_boot

_STATE, _START_TIME = 0, 19  # of the fields of /proc/PID/stat after the program's name
_ENDED = frozenset({"Z", "X"})  # it has ended, and its parent has not read its exit status

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""What asks a process to end, beside Ctrl-C: a cancelled job of CI, and a lost terminal."""


@contextmanager
def handled(
    handler: Callable[[int, FrameType | None], object],
    numbers: Iterable[signal.Signals] = ENDING,
    *,
    ours: bool = False,
) -> Iterator[None]:
    """Let `handler` take these signals in the body, in the main thread, which alone can set that.

    An ignored SIGHUP stays ignored: `nohup` lets a command outlive its terminal so. With `ours` only signals
    are taken that nobody else handles or ignores.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            now = signal.getsignal(number)
            if now is signal.SIG_DFL or not (ours or (now is signal.SIG_IGN and number == signal.SIGHUP)):
                before[number] = now
                signal.signal(number, handler)
    try:
        yield
    finally:
        for number, now in before.items():
            # None: it was set by something that is not Python.
            signal.signal(number, signal.SIG_DFL if now is None else now)


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """Let what asks a process to end raise `KeyboardInterrupt` in the body, unless somebody handles it."""
    with handled(signal.default_int_handler, ours=True):
        yield


def interruptible(program: Callable[[], int]) -> int:
    """Run `program`, which imports what it needs; return its exit code, or that of an interrupted one."""
    try:
        with ended_as_by_ctrl_c():
            return program()
    except KeyboardInterrupt:
        # The terminal may be gone, too.
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write("interrupted\n")
            sys.stderr.flush()
        return ExitCode.INTERRUPTED


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether a signal has requested the end; running work is finished first."""
    asked: list[int] = []
    with handled(lambda number, _: asked.append(number), (signal.SIGINT, *ENDING)):
        yield lambda: bool(asked)


@dataclass(frozen=True)
class Process:
    """One process of one boot: `started` is in clock ticks since that boot."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Return the identity of the process that has this id now, or None without such a process."""
        fields = _stat(pid)
        if fields is None or fields[_STATE] in _ENDED:
            return None
        return cls(pid, int(fields[_START_TIME]), this_boot())

    @classmethod
    def this(cls) -> Self:
        """Return the identity of this very process."""
        me = cls.of(os.getpid())
        assert me is not None, "/proc is not mounted"  # noqa: S101 - nothing of this suite works without
        return me

    @property
    def hidden(self) -> bool:
        """Whether a process has this id, but this user may not see more than that."""
        if _stat(self.pid) is not None:
            return False
        with suppress(PermissionError):
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return False
        return True


def this_namespace() -> str:
    """Return the name of this process-id namespace: each container has its own."""
    return str(Path("/proc/self/ns/pid").readlink())


def _stat(pid: int) -> list[str] | None:
    """Return the fields after the program's name, or None if there is nothing to read."""
    with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()
    return None
