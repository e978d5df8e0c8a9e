"""The four phases on a staging stack: in parallel behind their gates, and one check after the other."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Measure
from fixtures.errors import ActionFailed, ExitCode
from tests.conftest import ROOT

TIMES = 3
SECONDS = 300
_WAYS = {
    "four phases, -n 2": ("-n", "2"),
    "one after another, plain pytest": ("-p", "no:xdist", "--no-gate"),
}


def measure_phases(profile: Path) -> list[Measure]:
    """Return the times of both, run in turns on the target of `profile`, which must be in order.

    Raises:
        ActionFailed: a run was not green, so that its time says nothing.
    """
    seconds: dict[str, list[float]] = {name: [] for name in _WAYS}
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "ROLLPROOF_TARGET": str(profile),
            "ROLLPROOF_FOLDERS__INCIDENTS": f"{folder}/incidents",
            "ROLLPROOF_FOLDERS__BASELINES": f"{folder}/baselines",
        }
        _run([sys.executable, "-m", "rollback_actions", "capture"], environment)
        for _ in range(TIMES):
            for name, options in _WAYS.items():
                seconds[name].append(
                    _run([sys.executable, "-m", "pytest", "-q", "-m", "verification", *options], environment)
                )
    return [Measure(name, tuple(times)) for name, times in seconds.items()]


def _run(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=SECONDS
    )
    if done.returncode != ExitCode.VERIFIED:
        raise ActionFailed(
            what=" ".join(command[2:]),
            expected=f"exit code {ExitCode.VERIFIED:d}",
            observed=f"{done.returncode}: {done.stdout[-500:]}",
            source="pytest",
            hint="only a stack that is in order is measured",
        )
    return time.perf_counter() - started
