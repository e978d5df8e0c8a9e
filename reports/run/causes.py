"""Pytest plugin: what is red, at the terminal: for each cause one entry, of at most seven rows.

An engine that is gone makes a hundred checks red: that is one entry, with their number. Tracebacks are in the
record. With ``--tb``, such as ``--tb=short``, pytest's own sections take the place of this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import pytest

from fixtures.gating.recorder import PART
from fixtures.gating.verification import VERIFICATION
from rollproof.errors import shortened
from rollproof.verdict import Verdict

NAME = "rollproof-causes"
"""The plugin's name while it folds."""
ROWS = 7
"""The most rows of one entry."""
ALL_ROWS = 20
"""The most rows of all entries together: the verdict must stay on the screen."""
# It is for pasting: the reason is shortened before it is.
_HINT_ROWS = 4
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


@dataclass(frozen=True, slots=True)
class _Entry:
    cause: Cause
    checks: tuple[str, ...]

    def lines(self, width: int) -> tuple[str, str, str]:
        """Return its head, its reason and its hint, which fit into `ROWS` rows of a terminal."""
        first = self.checks[0].split("::")[-1]
        head = first if len(self.checks) == 1 else f"{len(self.checks)} checks, the first {first}"
        hint = _within(f"HINT: {self.cause.hint}", _HINT_ROWS, width) if self.cause.hint else ""
        return (
            shortened(f"{self.cause.verdict.upper():<6}  {head}", width),
            _within(self.cause.reason, ROWS - 1 - _rows(hint, width), width),
            hint,
        )


def entries(causes: dict[Cause, dict[str, None]], width: int) -> Iterator[tuple[_Entry, tuple[str, ...]]]:
    """Yield each entry that is shown, with its lines."""
    left = ALL_ROWS
    for cause, checks in causes.items():
        entry = _Entry(cause, tuple(checks))
        lines = tuple(line for line in entry.lines(width) if line)
        left -= sum(_rows(line, width) for line in lines)
        if left < 0:
            return
        yield entry, lines


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


def _rows(text: str, width: int) -> int:
    return ceil(len(text) / width)


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
        width = terminalreporter._tw.fullwidth  # noqa: SLF001 - it has no public name
        terminalreporter.section("red checks, by cause")
        shown = 0
        for entry, (head, *rest) in entries(found, width):
            shown += 1
            terminalreporter.line(head, bold=True, **{_STYLES[entry.cause.verdict]: True})
            for line in rest:
                terminalreporter.line(line)
        left = [check for checks in list(found.values())[shown:] for check in checks]
        if left:
            others = f"{len(found) - shown} more causes" if shown else f"{len(found)} causes"
            terminalreporter.line(
                shortened(f"and {others} of {len(left)} checks: all are in the record", width)
            )
