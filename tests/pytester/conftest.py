"""A sandbox project with the plugin and checks of its own; every run is a pytest process of its own."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, write_profile

CONFTEST = """
pytest_plugins = [
    "fixtures.windows", "fixtures.phases", "fixtures.recorder", "fixtures.watchdog", "fixtures.leftovers"
]
"""
SETTINGS = """
[tool.pytest]
strict = true
testpaths = ["checks"]
addopts = ["-p", "no:randomly", "-p", "no:anyio", "-p", "no:platformdirs"]
timeout = "60"
timeout_method = "signal"
"""
IMPORTS = """
import os, signal, time, pytest
from fixtures.errors import Unverifiable
def note(text):
    with open("notes", "a") as notes:
        notes.write(f"{text}\\n")
"""


@dataclass(frozen=True)
class Outcome:
    """What a run left: its exit code, output, and the ledger of its incident."""

    code: int
    text: str
    incident: Path | None

    def results(self, run: int = 0) -> dict[str, dict[str, Any]]:
        """Return the ledger's results by the check's own name; run 0 is the latest."""
        assert self.incident is not None
        folders = sorted((self.incident / "ledger").iterdir())
        folder = folders[run - 1]
        path = folder / "results.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        records = [json.loads(line) for line in lines]
        names = [record["check"].split("::")[-1] for record in records]
        assert len(names) == len(set(names)), f"a check was recorded twice: {names}"
        return dict(zip(names, records, strict=True))

    def verdicts(self) -> dict[str, str]:
        """Return the verdicts of the latest run by the check's own name."""
        return {name: record["verdict"] for name, record in self.results().items()}


@dataclass
class Sandbox:
    """A project that uses the plugin."""

    pytester: pytest.Pytester
    options: list[str]
    parallel: list[str]

    def checks(self, **modules: str) -> None:
        """Write check modules: ``checks(test_a="…")``; each starts with the imports they need."""
        folder = self.pytester.path / "checks"
        folder.mkdir(exist_ok=True)
        for name, body in modules.items():
            text = f"{IMPORTS}{body}\n"
            (folder / f"{name}.py").write_text(text, encoding="utf-8")

    def notes(self) -> list[str]:
        """Return what the checks noted, in the order in which they did."""
        path = self.pytester.path / "notes"
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of `run`, for a process that is to be watched or killed."""
        return [sys.executable, "-m", "pytest", *self.options, *self.parallel, *arguments]

    def run(self, *arguments: str) -> Outcome:
        """Run pytest with the target named, and with the workers of this case."""
        result = self.pytester.runpytest_subprocess(*self.options, *self.parallel, *arguments)
        incidents = sorted((self.pytester.path / "incidents").glob("*/incident.json"))
        return Outcome(
            code=int(result.ret),
            text="\n".join([*result.outlines, *result.errlines]),
            incident=incidents[-1].parent if incidents else None,
        )


@pytest.fixture(params=[[], ["-n2"]], ids=["alone", "n2"])
def sandbox(
    request: pytest.FixtureRequest, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Sandbox:
    """A project with the plugin, once without and once with xdist workers."""
    for name in list(os.environ):
        if name.startswith("ROLLPROOF_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write_profile(pytester.path)
    (pytester.path / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
    (pytester.path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    return Sandbox(pytester, [f"--target={pytester.path / 'profile.toml'}"], request.param)
