"""The staging stack as its data grows: seconds and peak memory of phase 4, backup and emergency rollback."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import ActionFailed, ExitCode
from rollproof.git.repository import head
from rollproof.profile.profile import PREFIX, load_target
from staging.target.action_runs import PATIENT, apart
from tests.conftest import ROOT

USUAL = 0.05
"""The scale of a staging stack: 1,000 chunks in addition to the canary's, each with its vectors."""
TIMES = (1, 10, 100)
SECONDS = 3600
VERIFICATION = f"{PREFIX}WINDOWS__VERIFICATION"
# A program's peak is never below its parent's: a small one starts it. It prints the peak last, in KiB.
_MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class CommandCost:
    """One command: its seconds, and the largest memory of it, or of a program that it has started, in MiB."""

    name: str
    seconds: float
    mebibytes: float


def measure_growth(profile: Path, wreck: Callable[[], object]) -> list[CommandCost]:
    """Return each part's figures on the target of `profile`, which must be healthy; `wreck` damages it.

    Raises:
        ActionFailed: a command failed, so its time means nothing.
    """
    commit = head(load_target(profile).application.repository)
    with tempfile.TemporaryDirectory() as folder:
        environment = apart(profile, Path(folder), **PATIENT)
        usual = {name: value for name, value in environment.items() if name != VERIFICATION}
        phase4 = ("verify", "phase4", "-q", "--no-gate")
        parts = [
            _run("backup", environment, "backup"),
            _run("capture", environment, "capture"),
            _run("phase 4", environment, *phase4),
            _run("phase 4, usual window", usual, *phase4),
        ]
        wreck()
        return [*parts, _run("rollback", environment, "rollback", "emergency", commit)]


def _run(name: str, environment: Mapping[str, str], *arguments: str) -> CommandCost:
    # In the foreground, so that Ctrl-C reaches it too.
    limited = ["timeout", "--foreground", str(SECONDS), sys.executable, "-m", "rollproof", *arguments]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *limited],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode != ExitCode.VERIFIED:
        raise ActionFailed(
            what=" ".join(arguments),
            expected=f"exit code {ExitCode.VERIFIED:d}",
            observed=f"{done.returncode}: {done.stdout[-500:]}",
            source="rollproof",
            hint="only a stack that is in order is measured",
        )
    kibibytes = int(done.stdout.splitlines()[-1])
    # What a sample may have missed is a note of the verdict.
    sampled = ", sampled" if "side by side" in done.stdout else ""
    return CommandCost(f"{name}{sampled}", seconds, kibibytes / 1024)
