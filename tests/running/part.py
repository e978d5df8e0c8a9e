"""A part of the tests: one pytest process, its log, and its end."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import ExitCode
from rollproof.system.command import end_group
from staging.processes import GRACE_SECONDS
from tests.conftest import ROOT

# Below the priority of the tests of the stack: those are the last to end, and mostly wait.
NICENESS = 5
LAST_LINES = 60
_SHARE = re.compile(r"\[ *(\d+%)\]")
_FAILURES = re.compile(r"^=+ (ERRORS|FAILURES) =+$", re.MULTILINE)


@dataclass
class Part:
    """One part of the tests; `arguments` are pytest's."""

    name: str
    arguments: Sequence[str]
    folder: Path
    background: bool = False
    code: int | None = None
    seconds: float = 0.0
    _began: float = 0.0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The file with pytest's output."""
        return self.folder / f"{self.name}.log"

    @property
    def passed(self) -> bool:
        """Whether all its tests passed; a selection without any of its tests counts as passed."""
        return self.code in {ExitCode.VERIFIED, ExitCode.NOTHING_SELECTED}

    @property
    def state(self) -> str:
        """How far it has come, or how it ended, by pytest's own words."""
        said = self._said()
        if self.code is not None:
            return said.strip().rpartition("\n")[2]
        shares: list[str] = _SHARE.findall(said)
        return shares[-1] if shares else "collecting"

    def start(self) -> None:
        """Start the part's process."""
        nice = ["nice", f"--adjustment={NICENESS}"] if self.background else []
        with self.log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [*nice, sys.executable, "-m", "pytest", "-q", "--durations=15", *self.arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._began = time.monotonic()
        if self.background:
            _yield_as_a_session(self._process.pid)

    def runs(self) -> bool:
        """Start it unless it was started; return True until it has ended."""
        if self._process is None:
            self.start()
        elif self.code is None:
            code, self.seconds = self._process.poll(), time.monotonic() - self._began
            # Of workers that all crashed at their start, pytest says that they had no test.
            crashed = code == ExitCode.NOTHING_SELECTED and "node down: " in self._said()
            self.code = ExitCode.FAILED if crashed else code
        return self.code is None

    def stop(self) -> None:
        """End the process and all its children, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            end_group(self._process, grace=GRACE_SECONDS)

    def failures(self) -> str:
        """Return pytest's account of the failures, or its last lines where it has none."""
        said = self._said()
        found = _FAILURES.search(said)
        return said[found.start() :] if found else "\n".join(said.splitlines()[-LAST_LINES:])

    def _said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


def _yield_as_a_session(leader: int) -> None:
    """Give the session of process `leader` the niceness of its processes.

    A kernel that groups processes by session weighs sessions first, and niceness within each one alone.
    """
    group = Path(f"/proc/{leader}/autogroup")
    if group.exists():
        group.write_text(str(NICENESS))
