"""Pytest plugin that writes a run's events as lines of JSON into the file that a variable names.

The runner reads them during the run. With xdist, the controller writes the events of all its workers.
"""

from __future__ import annotations

import faulthandler
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.running.cut import Long

VARIABLE = "ROLLPROOF_TESTS_TOLD"
_TRACE = "rollproof_trace"
_SILENT = "it left no word here: see the log. A process that is killed, or ends itself, leaves none"


class Teller:
    """Appends events to the file at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds: dict[str, float] = {}
        self._outcome: dict[str, str] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write the planned tests; with workers, theirs are written instead."""
        if session.items:
            long = {item.nodeid: asdict(found) for item in session.items if (found := Long.of(item))}
            self._tell("collected", tests=[item.nodeid for item in session.items], long=long)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: Sequence[str]) -> None:
        """Write the planned tests: each worker collects all of them."""
        self._tell("collected", tests=list(ids), long={})

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - xdist has no types
        """Tell a worker where its native code writes the stacks of its threads if it crashes."""
        node.workerinput[_TRACE] = str(self._path.with_name(f"{self._path.stem}.{node.gateway.id}.crash"))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:  # noqa: ANN401 - xdist has no types
        """Write that a worker crashed, with those stacks."""
        trace = Path(node.workerinput[_TRACE])
        said = trace.read_text(encoding="utf-8", errors="replace") if trace.exists() else ""
        trace.unlink(missing_ok=True)
        if error is not None:
            self._tell("crashed", worker=node.gateway.id, text=said.strip() or _SILENT)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str) -> None:
        """Write that a test ended with its worker. It stays failed, even if xdist runs it once more."""
        self._outcome[crashitem] = "failed"
        self._tell("ended", test=crashitem, outcome="failed", seconds=self._seconds.get(crashitem, 0.0))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Write that a test begins."""
        self._tell("started", test=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Sum the durations of a test's phases; its worst phase is its outcome."""
        test = report.nodeid
        self._seconds[test] = self._seconds.get(test, 0.0) + report.duration
        outcome = "failed" if report.failed else "skipped" if report.skipped else "passed"
        if self._outcome.get(test) != "failed":
            self._outcome[test] = outcome if self._outcome.get(test) != "skipped" else "skipped"
        if report.failed:
            self._tell("failed", test=test, when=report.when, text=report.longreprtext)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Write a test's outcome and duration."""
        outcome, seconds = self._outcome.pop(nodeid, "failed"), self._seconds.pop(nodeid, 0.0)
        self._tell("ended", test=nodeid, outcome=outcome, seconds=seconds)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write a collection error."""
        if report.failed:
            self._tell("failed", test=report.nodeid, when="collect", text=report.longreprtext)

    def _tell(self, event: str, **what: Any) -> None:  # noqa: ANN401 - what JSON holds
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, **what}) + "\n")


class _Tracer:
    """Names a file for the stacks of a worker that crashes; some tests and pytest itself name another."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._name_file()

    def _name_file(self) -> None:
        faulthandler.enable(self._file)

    pytest_collection = pytest_runtest_setup = pytest_runtest_call = pytest_runtest_teardown = (
        pytest.hookimpl(_name_file, tryfirst=True)
    )

    def pytest_unconfigure(self) -> None:
        faulthandler.disable()
        self._file.close()


def pytest_configure(config: pytest.Config) -> None:
    """Register the teller in the process that the runner started, and a tracer in each of its workers."""
    path = os.environ.pop(VARIABLE, "")
    given: dict[str, str] = getattr(config, "workerinput", {})
    if _TRACE in given:
        config.pluginmanager.register(_Tracer(Path(given[_TRACE])), "rollproof-tracer")
    elif path:
        config.pluginmanager.register(Teller(Path(path)), "rollproof-teller")
