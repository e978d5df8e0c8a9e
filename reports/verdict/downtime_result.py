"""Downtime and windows as results like those of checks: each judged once, after the last check has ended."""

from __future__ import annotations

from rollproof.errors import Meaning
from rollproof.incident.downtime import judged_downtime
from rollproof.incident.incident import Incident
from rollproof.incident.ledger import Result
from rollproof.runbook import PHASES
from rollproof.system.clock import Moment
from rollproof.verdict import RunVerdict, Verdict

# No real check has these names: both are judged after the last check has ended.
DOWNTIME_CHECK = "checks/verification/downtime.py::test_downtime_is_within_the_objective"
WINDOWS_CHECK = "checks/verification/windows.py::test_phases_are_within_their_windows"
_WINDOWS_HINT = "HINT: what the checks found holds all the same; the limits are windows.* in the profile"
_HINT = "HINT: the timeline says what took how long; the objective is rto_seconds in the profile"


def results_of_time(incident: Incident, verdict: RunVerdict) -> list[Result]:
    """Return the results of downtime and windows, as far as there are any.

    Raises:
        UsageProblem: the record of the rollback cannot be read.
    """
    judged = (_of_downtime(incident, verdict), _of_windows(verdict))
    return [result for result in judged if result is not None]


def _of_downtime(incident: Incident, verdict: RunVerdict) -> Result | None:
    """Return the downtime's result, or None unless the checks are verified and a downtime is recorded."""
    _, said = judged_downtime(incident, incident.rollback()) if verdict.verified else (False, None)
    if said is None:
        return None
    judged = Verdict.PASSED if verdict.late is None else Verdict.FAILED
    text, means = f"{said}\n{_HINT}", Meaning.OTHER if verdict.late is None else Meaning.LATE
    return Result(DOWNTIME_CHECK, PHASES[-1], judged, 0.0, text, Moment.now(), means=means)


def _of_windows(verdict: RunVerdict) -> Result | None:
    """Return the result of the phases' windows, or None unless a phase was late."""
    if verdict.late_phases is None:
        return None
    stage = next((name for name, phase in verdict.phases.items() if phase.late), PHASES[-1])
    text = f"{verdict.late_phases}\n{_WINDOWS_HINT}"
    return Result(WINDOWS_CHECK, stage, Verdict.FAILED, 0.0, text, Moment.now(), means=Meaning.LATE)
