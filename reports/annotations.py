"""Pytest plugin: under GitHub Actions, each check that went wrong is an annotation of the job.

Written in the controller, for setup and teardown too. What imitates GitHub's runner reads the same lines.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fixtures.recorder import PART
from fixtures.verdict import Verdict
from fixtures.verification import VERIFICATION

# What is skipped or expected to fail has not verified anything either.
_RED = frozenset({Verdict.FAILED.value, Verdict.BROKEN.value})
_WHENS = frozenset({"setup", "call", "teardown"})
_VARIABLE = "GITHUB_ACTIONS"
_LONGEST = 1000


def pytest_configure(config: pytest.Config) -> None:
    """Annotate in the controller alone, and only where someone reads it."""
    if os.environ.get(_VARIABLE) != "true" or hasattr(config, "workerinput"):
        return
    if config.stash.get(VERIFICATION, None) is not None and not config.option.collectonly:
        config.pluginmanager.register(_Annotations(), "rollproof-annotations")


class _Annotations:
    def __init__(self) -> None:
        self._lines: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._lines.append(annotation(report.fspath, 1, f"not collected: {report.nodeid}", _said(report)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or report.__dict__.get(PART, {}).get("verdict") in _RED:
            path, line, name = report.location
            if report.when not in _WHENS:
                # Of a check whose worker died xdist knows the node id only.
                path, _, name = report.nodeid.partition("::")
            part = "" if report.when == "call" else f" ({_part(report)})"
            self._lines.append(annotation(path, (line or 0) + 1, f"{name}{part}", _said(report)))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self._lines:
            terminalreporter.line(line)


def annotation(path: str, line: int, title: str, message: str) -> str:
    """Return the command that makes one annotation, on one line."""
    facts = {"file": path, "line": str(line), "title": title}
    properties = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in facts.items())
    return f"::error {properties}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{more}" else c for c in text)


def _part(report: pytest.TestReport) -> str:
    # xdist names the part "???" when the worker died in it.
    return report.when if report.when in {"setup", "teardown"} else "crash"


def _said(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return what went wrong: the error's own words, of which the second line is the hint."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message) if crash is not None else report.longreprtext
    return "\n".join(_shortened(text))


def _shortened(text: str) -> Iterator[str]:
    left = _LONGEST
    for line in text.strip().splitlines():
        if left <= 0:
            return
        yield line[:left]
        left -= len(line)
