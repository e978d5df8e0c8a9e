"""Severity, by the monitor's samples of now: nothing calls for a rollback, nothing for an investigation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from fixtures.errors import Mismatch, Unverifiable, listed

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.severity import Assessment, Finding

pytestmark = [pytest.mark.severity]

ASSESS = "python -m rollback_actions assess says the same, and what to do"


def test_every_band_can_be_judged(
    assessment: Assessment, samples_file: Path, note: Callable[[str], None]
) -> None:
    """The monitor's newest sample has a figure for every band: no data is never healthy."""
    unknown = [finding for finding in assessment.findings if finding.standing == "unknown"]
    if unknown:
        raise Unverifiable(
            what="severity",
            expected="a figure for every band in a sample of now",
            observed=f"none for {listed([_said(finding) for finding in unknown])}",
            source=str(samples_file),
            hint="start the monitor, or see why it has no answer: ./deploy/scripts/monitor_migration.sh",
        )
    note(f"{len(assessment.findings)} bands judged")


def test_nothing_is_critical(assessment: Assessment, samples_file: Path, note: Callable[[str], None]) -> None:
    """No figure is beyond a limit that calls for a rollback."""
    _expect_clear(assessment, "critical", samples_file, note)


def test_nothing_calls_for_an_investigation(
    assessment: Assessment, samples_file: Path, note: Callable[[str], None]
) -> None:
    """No figure is beyond a limit that calls for somebody to look for the cause."""
    _expect_clear(assessment, "non-critical", samples_file, note)


def _expect_clear(
    assessment: Assessment, severity: str, samples_file: Path, note: Callable[[str], None]
) -> None:
    of_it = [finding for finding in assessment.findings if finding.severity == severity]
    beyond = [finding for finding in of_it if finding.standing in {"met", "lasting"}]
    if beyond:
        raise Mismatch(
            what=f"{severity} bands",
            expected="every figure within its limit",
            observed=listed([_said(finding) for finding in beyond]),
            source=str(samples_file),
            hint=ASSESS,
        )
    known = [finding for finding in of_it if finding.standing == "clear"]
    if not known:
        raise Unverifiable(
            what=f"{severity} bands",
            expected="figures",
            observed="none",
            source=str(samples_file),
            hint="start the monitor: ./deploy/scripts/monitor_migration.sh",
        )
    note("; ".join(_said(finding) for finding in known))


def _said(finding: Finding) -> str:
    return f"{finding.band} ({finding.standing}: {finding.text})"
