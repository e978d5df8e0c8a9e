"""Pytest plugin: under GitHub Actions, each failed check becomes an annotation of the job.

Written in the controller, for setup and teardown too. Imitations of GitHub's runner read the same lines.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fixtures.gating.recorder import PART
from fixtures.gating.verification import VERIFICATION
from rollproof.verdict import Verdict

# These include skipped checks and expected failures, which verified nothing.
_RED = frozenset({Verdict.FAILED.value, Verdict.BROKEN.value})
_WHENS = frozenset({"setup", "call", "teardown"})
_VARIABLE = "GITHUB_ACTIONS"
_LONGEST = 1000


def pytest_configure(config: pytest.Config) -> None:
    """Annotate only in the controller, and only under GitHub Actions."""
    if os.environ.get(_VARIABLE) != "true" or hasattr(config, "workerinput"):
        return
    if config.stash.get(VERIFICATION, None) is not None and not config.option.collectonly:
        config.pluginmanager.register(_Annotations(), "rollproof-annotations")


class _Annotations:
    def __init__(self) -> None:
        self._lines: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._lines.append(
                annotation(report.fspath, 1, f"not collected: {report.nodeid}", said_of(report))
            )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if is_red(report):
            path, line, name = report.location
            if report.when not in _WHENS:
                # For a check whose worker died, xdist knows only the node id.
                path, _, name = report.nodeid.partition("::")
            part = "" if report.when == "call" else f" ({_part(report)})"
            self._lines.append(annotation(path, (line or 0) + 1, f"{name}{part}", said_of(report)))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self._lines:
            terminalreporter.line(line)


def is_red(report: pytest.TestReport) -> bool:
    """Return whether a part of a check failed or was broken, however pytest counts it."""
    return report.failed or report.__dict__.get(PART, {}).get("verdict") in _RED


def annotation(path: str, line: int, title: str, message: str) -> str:
    """Return the one-line command that makes an annotation.

    >>> annotation("checks/a.py", 3, "b", "c, d")
    '::error file=checks/a.py,line=3,title=b::c, d'
    """
    facts = {"file": path, "line": str(line), "title": title}
    properties = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in facts.items())
    return f"::error {properties}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{more}" else c for c in text)


def _part(report: pytest.TestReport) -> str:
    # xdist names the part "???" when the worker died in it.
    return report.when if report.when in {"setup", "teardown"} else "crash"


def said_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the error's own words; their second line is the hint."""
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
