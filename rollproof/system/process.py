"""The identity of a process, which distinguishes it from every other process of a machine, and its signals.

A process id is given to another process once its owner has ended, so a recorded id proves nothing. The pair
of id and start time, within one boot of the machine, names one process only.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Self

from rollproof.system.clock import this_boot

_STATE, _START_TIME = 0, 19  # of the fields of /proc/PID/stat after the program's name
_ENDED = frozenset({"Z", "X"})  # it has ended, and its parent has not read its exit status

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""What asks a process to end, like Ctrl-C: a cancelled job of CI, and a lost terminal."""


@contextmanager
def handled(
    handler: Callable[[int, FrameType | None], object] | signal.Handlers,
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


def unhung() -> AbstractContextManager[None]:
    """Ignore a lost terminal in the body: it ends no action in its middle."""
    return handled(signal.SIG_IGN, [signal.SIGHUP])


_interrupts: list[int] = []


def _interrupt(number: int, _: FrameType | None) -> None:
    _interrupts.append(number)
    raise KeyboardInterrupt


def interrupts() -> int:
    """Return how often a signal has raised `KeyboardInterrupt`, see `ended_as_by_ctrl_c`.

    Python drops an exception that is raised while it collects garbage. Who waits compares this number with
    that of before, so that no Ctrl-C is lost.
    """
    return len(_interrupts)


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C and what asks a process to end raise `KeyboardInterrupt`, unless somebody handles it."""
    unhandled = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ctrl_c = handled(_interrupt, [signal.SIGINT] if unhandled else [])
    with ctrl_c, handled(_interrupt, ours=True):
        yield


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether a signal has requested the end; running work is finished first."""
    asked: list[int] = []
    with handled(lambda number, _: asked.append(number), (signal.SIGINT, *ENDING)):
        yield lambda: bool(asked)


class Life(StrEnum):
    """Whether a process still runs, as far as this process knows."""

    RUNS = "which still runs"
    ENDED = "which has ended"
    UNKNOWN = "which may still run (this process cannot tell)"


@dataclass(frozen=True, slots=True)
class Process:
    """One process of one boot: `started` is in clock ticks since that boot.

    A process id means something only in its own container, which `namespace` identifies.
    """

    pid: int
    started: int
    boot: str
    namespace: str = field(default="", compare=False)
    host: str = field(default="", compare=False)

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Return the identity of the process that has this id here and now, or None."""
        fields = _stat(pid)
        if fields is None or fields[_STATE] in _ENDED:
            return None
        namespace = str(Path("/proc/self/ns/pid").readlink())
        return cls(pid, int(fields[_START_TIME]), this_boot(), namespace, socket.gethostname())

    @classmethod
    def this(cls) -> Self:
        """Return the identity of this very process."""
        me = cls.of(os.getpid())
        assert me is not None, "/proc is not mounted"  # noqa: S101 - nothing of this suite works without
        return me

    def life(self) -> Life:
        """Return whether it runs; of a process on another machine or in another container, nobody knows."""
        me, there = Process.this(), Process.of(self.pid)
        if (self.boot, self.namespace) != (me.boot, me.namespace) or (there is None and _hidden(self.pid)):
            return Life.UNKNOWN
        return Life.RUNS if there is not None and there.started == self.started else Life.ENDED

    def __str__(self) -> str:
        """Return its name, for people."""
        return f"process {self.pid} of {self.host}"


def _hidden(pid: int) -> bool:
    """Return whether a process has this id, but this user may not see more than that."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _stat(pid) is None


def _stat(pid: int) -> list[str] | None:
    """Return the fields after the program's name, or None if there is nothing to read."""
    with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()
    return None
