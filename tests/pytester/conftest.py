"""A sandbox project with the plugin and its own checks; every run is a separate pytest process."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, write_profile
from tests.fork_server import ForkedRun, ForkServer, Order, workers_in
from tests.running.cut import VARIANT

PLUGINS = ("fixtures.gating.windows", "fixtures.gating.phases", "fixtures.gating.recorder")
SETTINGS = """
[tool.pytest]
strict = true
testpaths = ["checks"]
addopts = ["-p", "no:randomly", "-p", "no:anyio", "-p", "no:platformdirs", "-p", "no:hypothesispytest"]
timeout = "240"
timeout_method = "signal"
"""
IMPORTS = """
import os, signal, time, pytest
from rollproof.errors import Unverifiable
def note(text):
    with open("notes", "a") as notes:
        notes.write(f"{text}\\n")
"""
NEARLY_UP = """
from dataclasses import replace
import pytest
from fixtures.gating.stages import stage_of
from fixtures.gating.verification import VERIFICATION
from rollproof.system.clock import Moment
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    if stage_of(item) == "phase1":
        facts, now = item.config.stash[VERIFICATION], Moment.now()
        end = facts.target.windows.phase1.end
        facts.run.begin_phase("phase1", replace(now, since_boot=now.since_boot - end))
        gone = end - facts.zero.seconds_ago() - 1
        zero, started = (replace(m, since_boot=m.since_boot - gone) for m in (facts.zero, facts.started))
        item.config.stash[VERIFICATION] = replace(facts, zero=zero, started=started)
    return (yield)
"""
DRAWN = """
import reports.run.record
reports.run.record.installed_allure = lambda: None
"""
"""For the conftest of runs that need no report.html: to make it takes longer than the run."""
UNRENDERED = f"""{DRAWN}
import reports.run.completion
reports.run.completion.draw_pictures = lambda *_: ()
"""
"""For the conftest of runs that need no pictures either."""
OPERATORS = "-p no:hypothesispytest"
"""Hypothesis' plugin imports its library at the end of every run; an operator lacks both."""
ALONE_AND_WITH_WORKERS = pytest.mark.parametrize("sandbox", [[], ["-n2"]], ids=["alone", "n2"], indirect=True)
"""For behaviour within one phase that xdist's workers could change: gates, time, reports, processes."""
ALONE_AND_AT_LENGTH_WITH_WORKERS = pytest.mark.parametrize(
    "sandbox", [[], pytest.param(["-n2"], marks=VARIANT)], ids=["alone", "n2"], indirect=True
)
"""For behaviour that reaches the workers by a way that another test of the default run takes."""


@dataclass(frozen=True)
class Outcome:
    """A run's result: its exit code, its output, and its incident's folder."""

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

    def plugins(self, *first: str, then: Sequence[str] = ()) -> None:
        """Write the project's own conftest: the plugins `first`, then `PLUGINS`, then the others."""
        text = f"pytest_plugins = {[*first, *PLUGINS, *then]}\n"
        (self.pytester.path / "conftest.py").write_text(text, encoding="utf-8")

    def settings(self, more: str) -> None:
        """Append `more` to the project's own conftest."""
        with (self.pytester.path / "conftest.py").open("a", encoding="utf-8") as conftest:
            conftest.write(more)

    def recorded(self, *first: str, then: Sequence[str] = ()) -> None:
        """Have each run write its record, without `report.html`; `first` and `then` are other plugins."""
        record = ("reports.run.scrubbing", "reports.allure.results", "reports.run.record")
        self.plugins(*first, then=(*then, *record))
        self.settings(UNRENDERED)

    def grace(self, seconds: float) -> None:
        """End late checks' processes after `seconds`; an operator's run gives them more."""
        module = "fixtures.gating.windows"
        self.settings(f"import {module}\n{module}.OUTER_GRACE_SECONDS = {seconds}\n")

    def impatient(self) -> None:
        """Kill workers that do not end at once; xdist waits 10 s for them."""
        self.settings("import xdist.workermanage\nxdist.workermanage.NodeManager.EXIT_TIMEOUT = 0.5\n")

    def time_is_nearly_up(self) -> None:
        """Make checks of phase 1 begin with only a second of their time left."""
        self.settings(NEARLY_UP)

    def notes(self) -> list[str]:
        """Return the checks' notes, in order."""
        path = self.pytester.path / "notes"
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of `run`, for a process to be watched or killed."""
        return [sys.executable, "-m", "pytest", *self.options, *self.parallel, *arguments]

    def start(self, *arguments: str, output: int) -> ForkedRun:
        """Start a run that writes into the open file `output`; no other may run before its end."""
        command = self.command(*arguments)
        run: ForkedRun = self.pytester.popen(command, stdout=output, stderr=output)
        return run

    def run(self, *arguments: str) -> Outcome:
        """Run pytest with the target and this case's workers."""
        result = self.pytester.runpytest_subprocess(*self.options, *self.parallel, *arguments)
        return self._outcome(int(result.ret), "\n".join([*result.outlines, *result.errlines]))

    def _outcome(self, code: int, text: str) -> Outcome:
        incidents = sorted((self.pytester.path / "incidents").glob("*/incident.json"))
        return Outcome(code=code, text=text, incident=incidents[-1].parent if incidents else None)


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """The server whose forks are the runs of this process's tests."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def pytester(
    pytester: pytest.Pytester, fork_server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    """Pytest's own fixture, but `python -m MODULE` runs as a fork."""
    from_nothing = pytester.popen

    def popen(arguments: Sequence[str | os.PathLike[str]], stdout: Any, stderr: Any, **more: Any) -> Any:  # noqa: ANN401 - as pytest's own
        python, module, *rest = map(str, arguments)
        if python != sys.executable:
            return from_nothing(arguments, stdout, stderr, **more)
        if module == "-m":
            module, *rest = rest
        path = os.pathsep.join([str(Path.cwd()), os.environ["PYTHONPATH"]])
        order = Order(
            module=module.removeprefix("-m"),
            arguments=rest,
            folder=str(Path.cwd()),
            environment={**os.environ, "PYTHONPATH": path, "PYTEST_ADDOPTS": OPERATORS},
            workers=workers_in(rest),
        )
        files = (file if isinstance(file, int) else file.fileno() for file in (stdout, stderr))
        return fork_server.start(order, *files)

    monkeypatch.setattr(pytester, "popen", popen)
    return pytester


@pytest.fixture
def sandbox(
    request: pytest.FixtureRequest, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Sandbox:
    """A project with the plugin; a test may ask for workers."""
    for name in list(os.environ):
        if name.startswith("ROLLPROOF_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write_profile(pytester.path)
    (pytester.path / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
    made = Sandbox(pytester, [f"--target={pytester.path / 'profile.toml'}"], getattr(request, "param", []))
    made.plugins()
    return made
