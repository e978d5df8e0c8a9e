"""The run of one target of a fleet: pytest in this process, and what it reports at its end."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout

import jinja2  # noqa: F401 - for the forks, as the engine's SDK below
import pytest

import rollproof.engines.compose  # noqa: F401
from fixtures.gating.verification import VERIFICATION
from reports.run.record import UNRENDERED_IF_GREEN
from reports.text.page import title_of
from rollproof.fleet.side_by_side import RunEnd
from rollproof.incident.tally import tally


def run_checks(words: Sequence[str], report: Callable[[RunEnd], None]) -> int:
    """Run pytest with the arguments `words`; `report` how it ended, and return its exit code."""
    return int(pytest.main([*words], plugins=[_EndReporter(report)]))


def import_all(words: Sequence[str]) -> None:
    """Import what runs with the arguments `words` will need; pytest does it, as it rewrites assertions."""
    with redirect_stdout(io.StringIO()):
        pytest.main([*words, "--markers"])


class _EndReporter:
    def __init__(self, report: Callable[[RunEnd], None]) -> None:
        self._report = report

    def pytest_configure(self, config: pytest.Config) -> None:
        """Leave the longest part of the record out where nobody will look for it."""
        config.stash[UNRENDERED_IF_GREEN] = True

    # First: a usage error has withdrawn its run by then, and nothing else of the end can fail yet.
    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Report what the run verified, unless it is no part of a record: by its ledger, not by its files."""
        verification = config.stash.get(VERIFICATION, None)
        if verification is None or not verification.run.folder.is_dir():
            return
        verdict = tally(verification.incident, verification.target.windows, verification.wrong)
        planned = verification.run.plan()
        phases = {name: phase for name, phase in verdict.phases.items() if name in planned}
        red = [phase.first for phase in phases.values() if phase.first is not None]
        causes = [f"{title_of(first.check)}: {first.reason}" for first in red]
        causes += filter(None, (verdict.late_phases, verdict.late))
        self._report(
            RunEnd(
                record=verification.incident.folder.absolute(),
                phases={name: phase.verdict for name, phase in phases.items()},
                cause=causes[0] if causes else "",
            )
        )
