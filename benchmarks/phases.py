"""The four phases on a staging stack: in parallel behind their gates, and one check after the other."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.measure import Measure, side_by_side
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
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "ROLLPROOF_TARGET": str(profile),
            "ROLLPROOF_FOLDERS__INCIDENTS": f"{folder}/incidents",
            "ROLLPROOF_FOLDERS__BASELINES": f"{folder}/baselines",
        }
        _run([sys.executable, "-m", "rollback_actions", "capture"], environment)
        pytest = [sys.executable, "-m", "pytest", "-q", "-m", "verification"]
        ways = {name: partial(_run, [*pytest, *options], environment) for name, options in _WAYS.items()}
        return side_by_side(ways, TIMES)


def _run(command: list[str], environment: dict[str, str]) -> None:
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
