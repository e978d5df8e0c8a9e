"""Severity, by the monitor's current samples: no figure calls for a rollback or an investigation."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.gating.evidence import Expect, Note
from rollproof.errors import Unverifiable, listed
from rollproof.home import typed
from rollproof.monitoring.severity import Assessment, Severity, Standing

pytestmark = [pytest.mark.severity]

MONITOR = f"start the monitor, or see why it has no answer: {typed('monitor')}"


@pytest.fixture
def expect(expect: Expect, samples_file: Path) -> Expect:
    """Expect things of the monitor's samples."""
    return expect.of(samples_file, hint=MONITOR)


def test_every_band_can_be_judged(assessment: Assessment, expect: Expect, note: Note) -> None:
    """The monitor's newest sample has a figure for every band: no data is never healthy."""
    unknown = [str(finding) for finding in assessment.findings if finding.standing is Standing.UNKNOWN]
    expect(not unknown,
           what="severity", otherwise=Unverifiable,
           expected="a figure for every band in a sample of now",
           observed=f"{len(assessment.findings)} bands judged", instead=f"none for {listed(unknown)}")
    note(f"{len(assessment.findings)} bands judged")


def test_nothing_is_critical(assessment: Assessment, expect: Expect, note: Note) -> None:
    """No figure is beyond a limit that calls for a rollback."""
    _expect_clear(assessment, Severity.CRITICAL, expect, note)


def test_nothing_calls_for_an_investigation(assessment: Assessment, expect: Expect, note: Note) -> None:
    """No figure is beyond a limit that calls for an investigation."""
    _expect_clear(assessment, Severity.NON_CRITICAL, expect, note)


def _expect_clear(assessment: Assessment, severity: Severity, expect: Expect, note: Note) -> None:
    of_it = [finding for finding in assessment.findings if finding.severity is severity]
    beyond = [str(finding) for finding in of_it if finding.standing in {Standing.MET, Standing.LASTING}]
    known = [str(finding) for finding in of_it if finding.standing is Standing.CLEAR]
    expect(not beyond,
           what=f"{severity} bands",
           expected="every figure within its limit", instead=listed(beyond),
           hint=f"the same, and what to do: {typed('assess')}")
    expect(known,
           what=f"{severity} bands", otherwise=Unverifiable,
           expected="figures", observed="; ".join(known) or "none")
    note("; ".join(known))
