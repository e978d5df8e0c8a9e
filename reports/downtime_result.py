"""The downtime as a result among those of the checks: it is judged as they are, when the last has ended."""

from __future__ import annotations

from fixtures.clock import Moment
from fixtures.downtime import judged_downtime
from fixtures.incident import Incident
from fixtures.ledger import Result
from fixtures.stages import PHASES
from fixtures.verdict import RunVerdict, Verdict

# No check of the runbook is called so: it is judged when all of these have ended.
DOWNTIME_CHECK = "checks/verification/downtime.py::test_downtime_is_within_the_objective"
_HINT = "HINT: the timeline says what took how long; the objective is rto_seconds in the profile"


def downtime_result(incident: Incident, verdict: RunVerdict) -> Result | None:
    """Return what the downtime came to, None where nothing is verified or none is written down.

    Raises:
        UsageProblem: the record of the rollback cannot be read.
    """
    _, said = judged_downtime(incident, incident.rollback()) if verdict.verified else (False, None)
    if said is None:
        return None
    judged = Verdict.PASSED if verdict.late is None else Verdict.FAILED
    return Result(DOWNTIME_CHECK, PHASES[-1], judged, 0.0, f"{said}\n{_HINT}", Moment.now())
