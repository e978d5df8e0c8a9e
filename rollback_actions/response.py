"""The response to an incident: the runbook's emergency flow from the assessment to its end, step by step.

Assess, look for the cause of what is not critical, decide, ask, roll back, verify; then resume operations, or
call for hands. All of it is in a journal of its own, `response.jsonl` in the incident: a response that was
cut off goes on where it was, with the clock that it began with, and does nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from fixtures.clock import Moment
from fixtures.errors import ExitCode
from fixtures.response_record import (
    AGREED,
    ASSESSED,
    DECIDED,
    ENDED,
    INVESTIGATING,
    ROLLED_BACK,
    ROLLING_BACK,
    VERIFIED,
    VERIFYING,
    first_bad_in,
)
from fixtures.severity import Severity
from fixtures.target import Target
from rollback_actions.assessment import Assessed, scope_of
from rollback_actions.decide import Action, Decision, decide
from rollback_actions.journal import Journal

# An investigation looks again each so many beats: what becomes critical is decided on at once.
_BEATS = 2
_INSTANT = 0.001


class Ending(StrEnum):
    """How a response ends."""

    MONITORING = "continue monitoring"
    DECLINED = "declined"
    RESUMED = "resume operations"
    LATE = "resume operations, later than the objective"
    MANUAL = "manual intervention"


CODES = {
    Ending.MONITORING: ExitCode.VERIFIED,
    Ending.DECLINED: ExitCode.INVESTIGATE,
    Ending.RESUMED: ExitCode.VERIFIED,
    Ending.LATE: ExitCode.FAILED,
    Ending.MANUAL: ExitCode.FAILED,
}


class Hands(Protocol):
    """What a response does outside of itself."""

    def assess(self) -> Assessed:
        """Assess the target now."""
        ...

    def agree(self, decision: Decision) -> str | None:
        """Show what is to be done; return who said yes to it, None when nobody did."""
        ...

    def roll_back(self, decision: Decision, begun: Moment | None) -> ExitCode:
        """Do it, or go on with it where it has `begun` and was cut off; return how that ended."""
        ...

    def verify(self) -> ExitCode:
        """Run phases 1 to 4; return how they ended."""
        ...

    def wait(self, seconds: float) -> None:
        """Let that time pass."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a response ended and why; `downtime` is in seconds, None where the target was not up again."""

    ending: Ending
    reason: str
    downtime: float | None = None


class Response:
    """One response, in the journal that it goes on with."""

    def __init__(
        self, target: Target, journal: Journal, records: Sequence[Mapping[str, Any]], hands: Hands
    ) -> None:
        """Go on with `records`, which the journal holds already."""
        self._target = target
        self._journal = journal
        self._records = [dict(record) for record in records]
        self._hands = hands

    def run(self, assessed: Assessed | None) -> Outcome:
        """Respond to `assessed`; to what the journal holds where this goes on with it."""
        outcome = self._ended() or self._respond(assessed)
        if self._last(ENDED) is None:
            self._write(
                ENDED,
                ending=outcome.ending,
                reason=outcome.reason,
                downtime_seconds=outcome.downtime,
                objective_seconds=float(self._target.rto_seconds),
            )
        return outcome

    def _respond(self, assessed: Assessed | None) -> Outcome:
        if assessed is not None:
            self._assessed(assessed)
        decision = self._decided(assessed)
        if decision.action is Action.MONITOR:
            return Outcome(Ending.MONITORING, decision.reason)
        if decision.kind is None:
            return Outcome(Ending.MANUAL, decision.reason)
        if self._last(AGREED) is None:
            who = self._hands.agree(decision)
            if who is None:
                return Outcome(Ending.DECLINED, f"nobody said yes to the {decision.action}")
            self._write(AGREED, by=who)
        code = self._rolled_back(decision)
        if code is not ExitCode.VERIFIED:
            return Outcome(Ending.MANUAL, f"the {decision.action} ended with exit code {code:d}")
        verified = self._last(VERIFIED) or self._verified()
        code = ExitCode(int(verified["code"]))
        if code is not ExitCode.VERIFIED:
            return Outcome(Ending.MANUAL, f"the verification ended with exit code {code:d}")
        return self._resumed(Moment.from_record(verified["at"]))

    def _verified(self) -> dict[str, Any]:
        self._write(VERIFYING)
        return self._write(VERIFIED, code=float(self._hands.verify()))

    def _resumed(self, verified: Moment) -> Outcome:
        downtime = verified.seconds_since(first_bad_in(self._first(ASSESSED)))
        objective = self._target.rto_seconds
        if round(downtime, 1) > objective:
            reason = f"downtime: expected at most {objective} s, observed {downtime:.1f} s"
            return Outcome(Ending.LATE, reason, downtime)
        return Outcome(Ending.RESUMED, "the rollback is verified", downtime)

    def _decided(self, assessed: Assessed | None) -> Decision:
        """Return what is decided, once it can be: after the investigation of what is not critical."""
        known = self._last(DECIDED)
        if known is not None:
            return Decision(Action(known["action"]), known["reason"], tuple(json.loads(known["names"])))
        severity, still_bad = Severity(self._first(ASSESSED)["severity"]), None
        if severity is Severity.NON_CRITICAL:
            assessed = self._investigated()
            severity = assessed.assessment.severity
            if severity is not Severity.CRITICAL:
                still_bad = None if severity is Severity.UNKNOWN else severity is Severity.NON_CRITICAL
        elif assessed is None:
            # It was cut off between the two: what is bad now counts.
            assessed = self._hands.assess()
            severity = assessed.assessment.severity
        decision = decide(severity, scope_of(self._target, assessed), still_bad=still_bad)
        self._write(
            DECIDED,
            severity=severity,
            action=decision.action,
            names=json.dumps(decision.names),
            reason=decision.reason,
        )
        return decision

    def _investigated(self) -> Assessed:
        """Wait until the clock of the investigation is over, or it is critical; return how bad it is then."""
        began = self._last(INVESTIGATING) or self._write(INVESTIGATING, seconds=self._seconds)
        resumed = Moment.now()
        # After a reboot the wall clock decides, and may have been set back: what has begun is not to come.
        left_then = self._seconds - max(0.0, resumed.seconds_since(Moment.from_record(began["at"])))
        pause = _BEATS * self._target.premigration.monitoring.beat_seconds
        while (left := left_then - Moment.now().seconds_since(resumed)) > _INSTANT:
            self._hands.wait(min(left, pause))
            assessed = self._hands.assess()
            if assessed.assessment.severity is Severity.CRITICAL:
                self._assessed(assessed)
                return assessed
        assessed = self._hands.assess()
        self._assessed(assessed)
        return assessed

    @property
    def _seconds(self) -> float:
        return self._target.responding.investigation_seconds

    def _rolled_back(self, decision: Decision) -> ExitCode:
        done = self._last(ROLLED_BACK)
        if done is not None:
            return ExitCode(int(done["code"]))
        # It may have been done although nobody wrote that down: it is asked again.
        cut_off = self._last(ROLLING_BACK) is not None
        begun = Moment.from_record(self._first(ROLLING_BACK)["at"]) if cut_off else None
        self._write(ROLLING_BACK, action=decision.action)
        code = self._hands.roll_back(decision, begun)
        self._write(ROLLED_BACK, code=float(code))
        return code

    def _assessed(self, assessed: Assessed) -> None:
        first = assessed.first_bad or Moment.now()
        self._write(
            ASSESSED,
            severity=assessed.assessment.severity,
            findings=json.dumps(assessed.assessment.record(), sort_keys=True),
            monitored="yes" if assessed.monitored else "no",
            first_bad=json.dumps(first.record(), sort_keys=True),
            # As of that sample `assess --at` says the same again.
            newest=assessed.samples[-1].at.wall if assessed.samples else None,
        )

    def _ended(self) -> Outcome | None:
        found = self._last(ENDED)
        if found is None:
            return None
        return Outcome(Ending(found["ending"]), found["reason"], found["downtime_seconds"])

    def _first(self, event: str) -> dict[str, Any]:
        return next(record for record in self._records if record["event"] == event)

    def _last(self, event: str) -> dict[str, Any] | None:
        return next((record for record in reversed(self._records) if record["event"] == event), None)

    def _write(self, event: str, **details: str | float | None) -> dict[str, Any]:
        self._journal.write(event, **details)
        record = {"event": event, "at": Moment.now().record(), **details}
        self._records.append(record)
        return record
