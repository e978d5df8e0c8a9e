"""A long-running process, ended only by its identity: see `rollproof.system.process`."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from rollproof.errors import Problem
from rollproof.system.process import Process

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Daemon(Process):
    """A process that is ended by its identity."""

    def lives(self, program: str) -> bool:
        """Return True if this very process still runs `program`."""
        return Daemon.of(self.pid) == self and runs(self.pid, program)

    def end(self, program: str, *, seconds: float) -> bool:
        """Send SIGTERM, and SIGKILL after `seconds`; return True if SIGTERM was enough.

        Another process with the same id is left alone.

        Raises:
            Problem: It survived SIGKILL.
        """
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, seconds)):
            if not self.lives(program):
                return True
            os.kill(self.pid, number)
            if self._ends_within(patience, program):
                return number is signal.SIGTERM
        raise Problem(
            what=f"end of {program}",
            expected="process to end on SIGKILL",
            observed=f"process {self.pid} still there",
            source=f"/proc/{self.pid}",
            hint=f"look at /proc/{self.pid}/stack; it waits for the kernel",
        )

    def _ends_within(self, seconds: float, program: str) -> bool:
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            reap(self.pid)
            if not self.lives(program):
                return True
            time.sleep(POLL_SECONDS)
        return False


def reap(pid: int) -> None:
    """Collect the exit status of a child that has ended; ignore other processes' children."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def runs(pid: int, program: str) -> bool:
    """Return True if the process `pid` was started as `program`."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return Path(words[0].decode()).name == program


@dataclass(frozen=True)
class Record:
    """A pid file's content: the process, and whether it outlives the command that started it."""

    daemon: Daemon
    keep: bool

    def write(self, path: Path) -> None:
        """Write the record in one step: a kill leaves the old file or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_suffix(".new")
        staged.write_text(json.dumps(asdict(self)))
        staged.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read the file; return None if there is no file.

        Raises:
            Problem: The file exists and holds something else.
        """
        try:
            text = path.read_text()
        except FileNotFoundError:
            return None
        try:
            content = json.loads(text)
            daemon = Daemon(
                pid=int(content["daemon"]["pid"]),
                started=int(content["daemon"]["started"]),
                boot=str(content["daemon"]["boot"]),
            )
            return cls(daemon, keep=bool(content["keep"]))
        except (ValueError, KeyError, TypeError) as error:
            raise Problem(
                what="pid file",
                expected="daemon and keep",
                observed=repr(text[:80]),
                source=str(path),
                hint=f"end the process that it names, if it is yours, and remove {path}",
            ) from error
