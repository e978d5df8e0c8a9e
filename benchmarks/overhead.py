"""The cost of order, gates, windows and verdicts: trivial checks under the plugin, and in plain pytest."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Measure
from tests.conftest import ROOT, write_profile

CHECKS = 2_000
MODULES = 20
TIMES = 5
SECONDS = 300
_SETTINGS = """
[tool.pytest]
strict = true
testpaths = ["checks"]
addopts = ["-q", "-p", "no:randomly", "-p", "no:anyio", "-p", "no:platformdirs", "-p", "no:cacheprovider"]
timeout = "300"
timeout_method = "signal"
markers = {markers}
"""
_PLUGINS = """
pytest_plugins = [
    "fixtures.gating.windows", "fixtures.gating.phases", "fixtures.gating.recorder",
]
"""
_PROFILE_ALONE = """
from pathlib import Path
from rollproof.profile.profile import load_target
load_target(Path(__file__).with_name("profile.toml"))
"""
_PHASES = ("phase1", "phase2", "phase3", "phase4")


def measure_overhead() -> list[Measure]:
    """Return the times of all three ways, run in turns, each with Allure's results and a limit per check.

    Order: with the plugins; plain pytest that also loads the profile, which all checks need; plain pytest
    without the profile.
    """
    names = ("with order, gates, windows and verdicts", "plain pytest, profile loaded", "plain pytest")
    conftests = (_PLUGINS, _PROFILE_ALONE, "")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        projects = {name: Path(folder) / str(number) for number, name in enumerate(names)}
        for name, conftest in zip(names, conftests, strict=True):
            markers = "[]" if conftest is _PLUGINS else str(list(_PHASES)).replace("'", '"')
            _write(projects[name], conftest, markers)
        for turn in range(TIMES):
            # The first in a round pays for a machine that has just slowed down or sped up: alternate the
            # order.
            for name in names if turn % 2 else reversed(names):
                seconds[name].append(_run(projects[name], named=name == names[0]))
    return [Measure(name, tuple(times)) for name, times in seconds.items()]


def _write(project: Path, plugins: str, markers: str) -> None:
    (project / "checks").mkdir(parents=True)
    write_profile(project)
    (project / "pyproject.toml").write_text(_SETTINGS.format(markers=markers), encoding="utf-8")
    (project / "conftest.py").write_text(plugins, encoding="utf-8")
    for module in range(MODULES):
        phase = _PHASES[module * len(_PHASES) // MODULES]
        text = "".join(
            f"@pytest.mark.{phase}\ndef test_{number}(): pass\n" for number in range(CHECKS // MODULES)
        )
        path = project / "checks" / f"test_{module:02d}.py"
        path.write_text(f"import pytest\n{text}", encoding="utf-8")


def _run(project: Path, *, named: bool) -> float:
    """Run the project's checks; return the seconds. Raise unless it is green: its time would mean nothing."""
    started = time.perf_counter()
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--alluredir", "allure-results"),
            *(["--target=profile.toml"] if named else []),
            *("-p", "no:xdist"),
        ],
        cwd=project,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )
    return time.perf_counter() - started
