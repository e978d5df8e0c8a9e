"""Pytest plugin: what is red, at the terminal: for each cause one entry, of a few rows.

An engine that is gone makes a hundred checks red: that is one entry, with their number. Tracebacks are in the
record. With ``--tb``, such as ``--tb=short``, pytest's own sections take the place of this.
"""

from __future__ import annotations

from collections.abc import Iterator
from shutil import get_terminal_size
from typing import NamedTuple

import pytest

from fixtures.gating.recorder import PART
from fixtures.gating.verification import VERIFICATION
from rollproof.errors import shortened
from rollproof.verdict import Verdict

NAME = "rollproof-causes"
"""The plugin's name while it folds."""
_MOST = 5  # causes: the verdict must stay on the screen
_REASON_ROWS, _HINT_ROWS = 2, 4
_INDENT = "  "
# These include skipped checks and expected failures, which verified nothing.
_RED = frozenset({Verdict.FAILED.value, Verdict.BROKEN.value})
_STYLES = {Verdict.FAILED: "red", Verdict.BROKEN: "yellow"}
# What pytest shows unless somebody asks for something else.
_STYLE, _SHORT_SUMMARY = "auto", "fE"


def pytest_configure(config: pytest.Config) -> None:
    """Fold in the controller alone, and only where nobody asked for tracebacks."""
    verification = config.stash.get(VERIFICATION, None)
    controller = not config.option.collectonly and not hasattr(config, "workerinput")
    if verification is not None and controller and config.option.tbstyle == _STYLE:
        config.pluginmanager.register(_Causes(config), NAME)


def is_red(report: pytest.TestReport) -> bool:
    """Return whether a part of a check failed or was broken, however pytest counts it."""
    return report.failed or report.__dict__.get(PART, {}).get("verdict") in _RED


class Cause(NamedTuple):
    """The cause of a red check: equal causes are one entry."""

    verdict: Verdict
    reason: str
    hint: str


def _merged(causes: dict[Cause, dict[str, None]]) -> dict[Cause, dict[str, None]]:
    """Return `causes`, as one those with the same hint and case: a container's image and its commit."""
    together: dict[object, dict[Cause, dict[str, None]]] = {}
    for cause, checks in causes.items():
        cases = [check.partition("[")[2] for check in checks]
        key = (cause.verdict, cause.hint, *cases) if cause.hint and all(cases) else cause
        together.setdefault(key, {})[cause] = checks
    return {
        next(iter(group))._replace(reason="; ".join(cause.reason for cause in group)): {
            check: None for checks in group.values() for check in checks
        }
        for group in together.values()
    }


def _within(text: str, rows: int, width: int) -> str:
    return f"{_INDENT}{shortened(text, rows * width - len(_INDENT))}"


class _Causes:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        # The checks of each cause are names that are there once: a check may be red in its teardown too.
        self._found: dict[Cause, dict[str, None]] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            # An error of import is the end of its text: before it are the modules that led there.
            last = (report.longreprtext.strip().splitlines() or ["it cannot be imported"])[-1]
            self._add(report.nodeid, Verdict.BROKEN, last.removeprefix("E "), "the traceback: --tb=short")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if is_red(report):
            part = report.__dict__.get(PART)
            if part is None:
                self._add(report.nodeid, Verdict.BROKEN, report.longreprtext)
            else:
                self._add(report.nodeid, Verdict(part["verdict"]), part["reason"], part["hint"])

    def _add(self, check: str, verdict: Verdict, reason: str, hint: str = "") -> None:
        reason, hint = (" ".join(text.split()) for text in (reason, hint))
        self._found.setdefault(Cause(verdict, reason, hint), {}).setdefault(check)

    # Outermost: pytest's own sections are written by a wrapper too.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
        """Print the causes in place of pytest's sections of tracebacks."""
        self._config.option.tbstyle = "no"
        if self._config.option.reportchars == _SHORT_SUMMARY:
            terminalreporter.reportchars = terminalreporter.reportchars.strip(_SHORT_SUMMARY)
        yield
        if not self._found:
            return
        found = _merged(self._found)
        width = get_terminal_size().columns
        terminalreporter.section("red checks, by cause")
        for cause, checks in list(found.items())[:_MOST]:
            first = next(iter(checks)).split("::")[-1]
            head = first if len(checks) == 1 else f"{len(checks)} checks, the first {first}"
            style = {_STYLES[cause.verdict]: True}
            terminalreporter.line(shortened(f"{cause.verdict.upper():<6}  {head}", width), bold=True, **style)
            terminalreporter.line(_within(cause.reason, _REASON_ROWS, width))
            if cause.hint:
                terminalreporter.line(_within(f"HINT: {cause.hint}", _HINT_ROWS, width))
        left = [check for checks in list(found.values())[_MOST:] for check in checks]
        if left:
            others = f"and {len(found) - _MOST} more causes of {len(left)} checks: all are in the record"
            terminalreporter.line(shortened(others, width))
