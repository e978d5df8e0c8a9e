"""The four phases on a staging stack, both ways: gated or not, with the incident record or without."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.measure import Measure, side_by_side
from rollproof.errors import ActionFailed, ExitCode
from tests.conftest import ROOT

TIMES = 3
SECONDS = 300
Ways = Mapping[str, tuple[str, ...]]
"""Each way's options of pytest, by the way's name; ours comes first."""
_RECORD = (
    "reports.run.scrubbing",
    "reports.allure.results",
    "reports.run.record",
    "allure_pytest",
)
ORDER: Ways = {
    "four phases, in order and gated": (),
    "one after another, plain pytest": ("-p", "no:xdist", "--no-gate"),
}
RECORD: Ways = {
    "with the incident record": (),
    "without": tuple(option for plugin in _RECORD for option in ("-p", f"no:{plugin}")),
}


def measure_phases(profile: Path, ways: Ways) -> list[Measure]:
    """Return the times of `ways`, run in turns on the target of `profile`, which must be healthy.

    Raises:
        ActionFailed: a run was not green, so its time means nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "ROLLPROOF_TARGET": str(profile),
            "ROLLPROOF_FOLDERS__INCIDENTS": f"{folder}/incidents",
            "ROLLPROOF_FOLDERS__BASELINES": f"{folder}/baselines",
        }
        _run([sys.executable, "-m", "rollproof", "capture"], environment)
        pytest = [sys.executable, "-m", "pytest", "-q", "-m", "verification"]
        runs = {name: partial(_run, [*pytest, *options], environment) for name, options in ways.items()}
        return side_by_side(runs, TIMES)


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
