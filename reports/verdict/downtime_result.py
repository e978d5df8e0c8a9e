"""The downtime as one of the checks' results: judged like a check, after the last check has ended."""

from __future__ import annotations

from fixtures.errors import Meaning
from fixtures.incident.downtime import judged_downtime
from fixtures.incident.incident import Incident
from fixtures.incident.ledger import Result
from fixtures.stages import PHASES
from fixtures.system.clock import Moment
from fixtures.verdict import RunVerdict, Verdict

# No real check has this name: the downtime is judged after the last check has ended.
DOWNTIME_CHECK = "checks/verification/downtime.py::test_downtime_is_within_the_objective"
_HINT = "HINT: the timeline says what took how long; the objective is rto_seconds in the profile"


def downtime_result(incident: Incident, verdict: RunVerdict) -> Result | None:
    """Return the downtime's result, or None unless the checks are verified and a downtime is recorded.

    Raises:
        UsageProblem: the record of the rollback cannot be read.
    """
    _, said = judged_downtime(incident, incident.rollback()) if verdict.verified else (False, None)
    if said is None:
        return None
    judged = Verdict.PASSED if verdict.late is None else Verdict.FAILED
    text, means = f"{said}\n{_HINT}", Meaning.OTHER if verdict.late is None else Meaning.LATE
    return Result(DOWNTIME_CHECK, PHASES[-1], judged, 0.0, text, Moment.now(), means=means)
