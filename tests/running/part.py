"""A part of the tests: one pytest process, its events so far, and its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollproof.errors import ExitCode
from rollproof.system.command import end_group
from staging.processes import GRACE_SECONDS
from tests.conftest import ROOT
from tests.running.cut import Long
from tests.running.telling import VARIABLE

# Below the priority of stacks and their tests: those mostly wait, and must run when they can.
NICENESS = 5
LAST_LINES = 60


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed test: its phase (setup, call, teardown, collect, or ??? of a crash) and its message."""

    test: str
    when: str
    text: str


@dataclass(frozen=True, slots=True)
class Crash:
    """A worker that ended before its tests: the stacks of its threads, if it could write them."""

    worker: str
    text: str


@dataclass
class Told:
    """A pytest process's events, read from its file as it grows."""

    planned: list[str] = field(default_factory=list)
    long: dict[str, Long] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    crashes: list[Crash] = field(default_factory=list)

    def take(self, record: Mapping[str, Any]) -> None:
        """Add one event."""
        match record:
            case {"event": "collected", "tests": tests, "long": long}:
                self.planned = list(tests)
                self.long = {test: Long(**how) for test, how in long.items()}
            case {"event": "started", "test": test}:
                self.running[test] = time.monotonic()
            case {"event": "ended", "test": test, "outcome": outcome, "seconds": seconds}:
                self.running.pop(test, None)
                self.outcomes[test], self.seconds[test] = outcome, seconds
            case {"event": "failed", "test": test, "when": when, "text": text}:
                self.failures.append(Failure(test, when, text))
            case {"event": "crashed", "worker": worker, "text": text}:
                self.crashes.append(Crash(worker, text))
            case _:
                raise ValueError(record)

    def count(self, outcome: str) -> int:
        """Count the tests with that outcome."""
        return sum(one == outcome for one in self.outcomes.values())


@dataclass
class Part:
    """One part of the tests; `arguments` are pytest's."""

    name: str
    arguments: Sequence[str]
    folder: Path
    background: bool = False
    told: Told = field(default_factory=Told)
    code: int | None = None
    began: float | None = None
    seconds: float = 0.0
    _process: subprocess.Popen[bytes] | None = None
    _read: int = 0

    @property
    def log(self) -> Path:
        """The file with pytest's output."""
        return self.folder / f"{self.name}.log"

    @property
    def ended(self) -> bool:
        """Whether the part has ended."""
        return self.code is not None

    @property
    def passed(self) -> bool:
        """Whether all its tests passed; a selection without any of its tests counts as passed."""
        return self.code in {ExitCode.VERIFIED, ExitCode.NOTHING_SELECTED}

    def start(self) -> None:
        """Start the part's process."""
        for left in [self._events, *self.folder.glob(f"{self.name}.*.crash")]:
            left.unlink(missing_ok=True)
        self.began = time.monotonic()
        nice = ["nice", f"--adjustment={NICENESS}"] if self.background else []
        with self.log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [*nice, sys.executable, "-m", "pytest", "-p", "tests.running.telling", *self.arguments],
                cwd=ROOT,
                env={**os.environ, VARIABLE: str(self._events)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if self.background:
            _yield_as_a_session(self._process.pid)

    def look(self) -> bool:
        """Read new events; return True while the process runs."""
        if self._process is None or self.ended:
            return False
        code = self._process.poll()
        self._read_events()
        self.seconds = time.monotonic() - (self.began or 0.0)
        # Of workers that all crashed at their start, pytest says that they had no test.
        crashed = code == ExitCode.NOTHING_SELECTED and self.told.crashes
        self.code = ExitCode.FAILED if crashed else code
        return code is None

    def stop(self) -> None:
        """End the process and all its children, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            end_group(self._process, grace=GRACE_SECONDS)

    def last_lines(self) -> str:
        """Return the last lines of its output."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LAST_LINES:])

    @property
    def _events(self) -> Path:
        return self.folder / f"{self.name}.jsonl"

    def _read_events(self) -> None:
        if not self._events.exists():
            return
        with self._events.open(encoding="utf-8") as file:
            file.seek(self._read)
            while (line := file.readline()).endswith("\n"):
                self.told.take(json.loads(line))
                self._read = file.tell()


def _yield_as_a_session(leader: int) -> None:
    """Give the session of process `leader` the niceness of its processes.

    A kernel that groups processes by session weighs sessions first, and niceness within each one alone.
    """
    group = Path(f"/proc/{leader}/autogroup")
    if group.exists():
        group.write_text(str(NICENESS))
