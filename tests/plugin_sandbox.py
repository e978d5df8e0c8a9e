"""A project of a test's own, with the plugin and checks that the test writes."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import ROOT, write_profile
from tests.run_outcome import Outcome

PLUGINS = ("fixtures.gating.windows", "fixtures.gating.phases", "fixtures.gating.recorder")
RECORD = ("reports.run.scrubbing", "reports.allure.results", "reports.run.record")
OPERATORS = "-p no:hypothesispytest"
"""Hypothesis' plugin imports its library at the end of every run; an operator lacks both."""
SETTINGS = """
[tool.pytest]
strict = true
testpaths = ["checks"]
addopts = ["-p", "no:randomly", "-p", "no:anyio", "-p", "no:platformdirs", "-p", "no:hypothesispytest"]
timeout = "240"
timeout_method = "signal"
"""
IMPORTS = """
import os, signal, threading, pytest
from rollproof.errors import Unverifiable
def note(text):
    with open("notes", "a") as notes:
        notes.write(f"{text}\\n")
"""
UNRENDERED = """
import reports.run.record
import reports.run.record
reports.run.record.draw_timeline = lambda *_: ()
reports.run.record.installed_allure = lambda: None
"""
"""For the conftest of processes that need no report.html and no pictures: to make them takes long."""
SECONDS = 240.0
"""The time of a process, which a slow machine needs."""


@dataclass
class Sandbox:
    """A project that uses the plugin; `options` are those of each run."""

    folder: Path
    options: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Write a profile and pytest's settings."""
        self.options.append(f"--target={write_profile(self.folder)}")
        (self.folder / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
        self.plugins()

    def checks(self, **modules: str) -> None:
        """Write check modules: ``checks(test_a="…")``; each starts with the imports they need."""
        folder = self.folder / "checks"
        folder.mkdir(exist_ok=True)
        for name, body in modules.items():
            (folder / f"{name}.py").write_text(f"{IMPORTS}{body}\n", encoding="utf-8")

    def plugins(self, *first: str, then: Sequence[str] = ()) -> None:
        """Write the project's own conftest: the plugins `first`, then `PLUGINS`, then the others."""
        text = f"pytest_plugins = {[*first, *PLUGINS, *then]}\n"
        (self.folder / "conftest.py").write_text(text, encoding="utf-8")

    def settings(self, more: str) -> None:
        """Append `more` to the project's own conftest."""
        with (self.folder / "conftest.py").open("a", encoding="utf-8") as conftest:
            conftest.write(more)

    def recorded(self, *first: str, then: Sequence[str] = ()) -> None:
        """Have each run write its record; `first` and `then` are other plugins."""
        self.plugins(*first, then=(*then, *RECORD))

    def notes(self) -> list[str]:
        """Return the checks' notes, in order."""
        path = self.folder / "notes"
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    def outcome(self, code: int, text: str) -> Outcome:
        """Return the outcome of a run that ended with `code` and printed `text`."""
        made = (self.folder / "incidents").glob("*/incident.json")
        # Two of one second have names in any order.
        incidents = sorted(made, key=lambda path: path.stat().st_mtime_ns)
        return Outcome(code=code, text=text, incident=incidents[-1].parent if incidents else None)


@dataclass
class Here(Sandbox):
    """A project whose runs are in this process, with the fixtures of `plugin`.

    `hard_timer` has the seconds of each time that the timer of the process's end was set, and None for each
    time that it was called off.
    """

    pytester: pytest.Pytester = field(kw_only=True)
    plugin: object = field(kw_only=True)
    hard_timer: list[float | None] = field(default_factory=list)

    def run(self, *arguments: str) -> Outcome:
        """Run pytest with the target."""
        options = [f"--basetemp={self.folder / 'basetemp'}", *self.options, *arguments]
        with warnings.catch_warnings():
            # Those of the tests, which make each warning an error, are not those of an operator.
            warnings.resetwarnings()
            warnings.simplefilter("ignore", ResourceWarning)
            result = self.pytester.runpytest_inprocess(*options, plugins=[self.plugin], no_reraise_ctrlc=True)
        return self.outcome(int(result.ret), "\n".join([*result.outlines, *result.errlines]))


class Apart(Sandbox):
    """A project whose runs are processes of their own."""

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start pytest with the target; the output is read from a pipe, which has no size."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ROLLPROOF_")}
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *self.options, *arguments],
            cwd=self.folder,
            env={**kept, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": OPERATORS},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def ended(self, process: subprocess.Popen[str]) -> Outcome:
        """Wait for the end of a run; kill it if it does not come."""
        with process:
            try:
                text, _ = process.communicate(timeout=SECONDS)
            finally:
                process.kill()
        return self.outcome(process.returncode, text)

    def run(self, *arguments: str) -> Outcome:
        """Run pytest with the target to its end."""
        return self.ended(self.start(*arguments))
