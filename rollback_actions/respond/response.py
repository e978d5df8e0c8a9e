"""The response to an incident: the runbook's emergency flow from the assessment to its end, step by step.

Assess, investigate if it is not critical, decide, ask, roll back, verify; then resume operations, or call for
hands. Everything is in its own journal, `response.jsonl` in the incident. An interrupted response resumes
where it was, with its original clock, and does nothing twice. A decision and the yes to it lapse with time:
then the present state is assessed, unless the rollback has begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from rollback_actions.session.journal import Detail, Journal
from rollproof.errors import ExitCode, UsageProblem
from rollproof.incident.downtime import Downtime
from rollproof.incident.response_record import (
    AGREED,
    ALLOWABLE,
    ALLOWED,
    ASSESSED,
    DECIDED,
    ENDED,
    INVESTIGATING,
    LAPSED,
    ROLLED_BACK,
    ROLLING_BACK,
    VERIFIED,
    VERIFYING,
    Ending,
    names_in,
)
from rollproof.monitoring.assessment import Assessed, decision_by
from rollproof.monitoring.severity import Severity
from rollproof.monitoring.tree import Action, Decision
from rollproof.planning.refusals import Allowed
from rollproof.profile.profile import Target
from rollproof.system.clock import Moment, age
from rollproof.system.record_files import as_json

# An investigation assesses again every so many beats: a critical result is decided on at once.
_BEATS = 2
_INSTANT = 0.001


CODES_OF_SEVERITY = {
    Severity.HEALTHY: ExitCode.VERIFIED,
    Severity.CRITICAL: ExitCode.FAILED,
    Severity.UNKNOWN: ExitCode.BROKEN,
    Severity.NON_CRITICAL: ExitCode.INVESTIGATE,
}
CODES = {
    Ending.MONITORING: ExitCode.VERIFIED,
    Ending.DECLINED: ExitCode.INVESTIGATE,
    Ending.RESUMED: ExitCode.VERIFIED,
    Ending.LATE: ExitCode.FAILED,
    Ending.MANUAL: ExitCode.FAILED,
    # As for a command that rolls back, and is refused.
    Ending.REFUSED: ExitCode.USAGE,
    Ending.CUT_OFF: CODES_OF_SEVERITY[Severity.UNKNOWN],
}


def is_open(records: Sequence[Mapping[str, Any]]) -> bool:
    """Return True if `records` are of a response that has begun, and not ended."""
    events = [record["event"] for record in records]
    return ASSESSED in events and events[-1] != ENDED


def allowed_in(records: Iterable[Mapping[str, Any]]) -> Allowed:
    """Return all permissions in the response of `records`, whoever gave them."""
    allowed = Allowed()
    for record in records:
        if record["event"] == ALLOWED:
            given = {name: record[name] is True for name in ALLOWABLE}
            allowed = Allowed(record["confirm"], **given).with_earlier(allowed)
    return allowed


def allow(journal: Journal, records: Iterable[Mapping[str, Any]], given: Allowed, by: str) -> Allowed:
    """Return all permissions so far: those in `records`, and those `given` now, which are recorded."""
    earlier = allowed_in(records)
    allowed = given.with_earlier(earlier)
    if allowed != earlier:
        journal.write(ALLOWED, by=by, **asdict(given))
    return allowed


class Hands(Protocol):
    """The actions of a response in the outside world."""

    def assess(self) -> Assessed:
        """Assess the target now."""
        ...

    def assess_anew(self, why: str) -> Assessed:
        """Say why the decision so far holds no longer; assess the target now, and show the assessment."""
        ...

    def has_begun(self, since: Moment) -> bool:
        """Return whether a rollback that was commanded at `since` has begun to change the target."""
        ...

    def show(self, decision: Decision) -> Sequence[UsageProblem]:
        """Show the plan; return its refusals that nobody has overridden."""
        ...

    def agree(self, decision: Decision) -> str | None:
        """Ask for a yes to the shown plan; return the name of the person who said it, or None."""
        ...

    def roll_back(self, decision: Decision, begun: Moment | None) -> ExitCode:
        """Roll back, or resume a rollback that has `begun` and was interrupted; return its exit code.

        `ExitCode.USAGE` means that it was refused, and has changed nothing.
        """
        ...

    def verify(self) -> ExitCode:
        """Run phases 1 to 4; return their exit code."""
        ...

    def downtime(self, verified: Moment) -> Downtime | None:
        """Return the recorded downtime until `verified`, or None without a rollback."""
        ...

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ...


@dataclass(frozen=True, slots=True)
class ResponseOutcome:
    """How a response ended and why; `downtime` is in seconds, or None if the target stayed down."""

    ending: Ending
    reason: str
    downtime: float | None = None


class Response:
    """One response, in the journal that it resumes."""

    def __init__(
        self, target: Target, journal: Journal, records: Sequence[Mapping[str, Any]], hands: Hands
    ) -> None:
        """Resume from `records`, which the journal holds already."""
        self._target = target
        self._journal = journal
        self._records = [dict(record) for record in records]
        self._hands = hands

    def run(self, assessed: Assessed | None) -> ResponseOutcome:
        """Respond to `assessed`, or resume from the journal's records."""
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

    def _respond(self, assessed: Assessed | None) -> ResponseOutcome:
        if assessed is not None:
            self._assessed(assessed)
        decision = self._agreed(assessed)
        if isinstance(decision, ResponseOutcome):
            return decision
        code = self._rolled_back(decision)
        if code is not ExitCode.VERIFIED:
            return _not_rolled_back(decision, code)
        verified = self._last(VERIFIED) or self._verified()
        code = ExitCode(int(verified["code"]))
        if code is not ExitCode.VERIFIED:
            return ResponseOutcome(Ending.MANUAL, f"the verification ended with exit code {code:d}")
        return self._resumed(Moment.from_record(verified["at"]))

    def _agreed(self, assessed: Assessed | None) -> Decision | ResponseOutcome:
        """Return the rollback that a person said yes to and that still holds, or the outcome without one."""
        while True:
            why = self._lapsed()
            if why is not None:
                self._write(LAPSED, reason=why)
            if self._last(ASSESSED) is None:
                # Also if it was interrupted between the two.
                assessed = self._hands.assess_anew(self._why_lapsed())
                self._assessed(assessed)
            decision = self._decided(assessed)
            if decision.action is Action.MONITOR:
                return ResponseOutcome(Ending.MONITORING, decision.reason)
            if decision.kind is None:
                ending = Ending.CUT_OFF if self._last(DECIDED) is None else Ending.MANUAL
                return ResponseOutcome(ending, decision.reason)
            unagreed = self._unagreed(decision)
            if unagreed is not None:
                return unagreed
            # Somebody may have thought about it for longer than what they were shown holds.
            if self._lapsed() is None:
                return decision

    def _lapsed(self) -> str | None:
        """Return the reason why decision and yes hold no longer, or None if they do or are not there.

        A rollback that has begun is resumed whenever that may be: half of one is worse than either state.
        """
        decided = self._last(DECIDED)
        if decided is None or self._last(ROLLED_BACK) is not None:
            return None
        commanded = self._commanded()
        if commanded is not None and self._hands.has_begun(commanded):
            return None
        at, now = Moment.from_record(decided["at"]), Moment.now()
        seconds, limit = now.seconds_since(at), self._target.responding.agreement_seconds
        agreed = self._last(AGREED)
        by = "" if agreed is None else f", agreed to by {agreed['by']},"
        what = f"the {decided['action']}{by}"
        if at.boot != now.boot:
            return f"{what} was decided {age(seconds)} ago, on another boot or machine"
        if not 0 <= seconds <= limit:
            return f"{what} was decided {age(seconds)} ago, and holds for {age(limit)}"
        return None

    def _unagreed(self, decision: Decision) -> ResponseOutcome | None:
        """Return the outcome without a yes, or None after one. Nobody is asked about a refused plan."""
        if self._last(AGREED) is not None:
            return None
        refused = self._hands.show(decision)
        if refused:
            reasons = "; ".join(refusal.summary for refusal in refused)
            return ResponseOutcome(Ending.REFUSED, f"the {decision.action} is refused: {reasons}")
        who = self._hands.agree(decision)
        if who is None:
            return ResponseOutcome(Ending.DECLINED, f"nobody said yes to the {decision.action}")
        self._write(AGREED, by=who)
        return None

    def _verified(self) -> dict[str, Any]:
        self._write(VERIFYING)
        return self._write(VERIFIED, code=float(self._hands.verify()))

    def _resumed(self, verified: Moment) -> ResponseOutcome:
        downtime = self._hands.downtime(verified)
        if downtime is None:
            return ResponseOutcome(Ending.MANUAL, "it is verified, and no rollback is recorded")
        if downtime.late:
            reason = f"downtime: expected at most {downtime.objective:g} s, observed {downtime.seconds:.1f} s"
            return ResponseOutcome(Ending.LATE, reason, downtime.seconds)
        return ResponseOutcome(Ending.RESUMED, "the rollback is verified", downtime.seconds)

    def _decided(self, assessed: Assessed | None) -> Decision:
        """Return the decision once it can be made: after an investigation, if the case is not critical."""
        known = self._last(DECIDED)
        if known is not None:
            return Decision(Action(known["action"]), known["reason"], names_in(known))
        severity, still_bad = Severity(self._first(ASSESSED)["severity"]), None
        if severity is Severity.NON_CRITICAL:
            assessed = self._investigated()
            severity = assessed.assessment.severity
            if severity is not Severity.CRITICAL:
                still_bad = None if severity is Severity.UNKNOWN else severity is Severity.NON_CRITICAL
        elif assessed is None:
            # It was interrupted between the two: the present state counts.
            assessed = self._hands.assess()
            severity = assessed.assessment.severity
        decision = decision_by(self._target, assessed, still_bad=still_bad)
        if assessed.assessment.cut_off:
            return decision  # nothing was decided: whoever resumes this looks again
        self._write(
            DECIDED,
            severity=severity,
            action=decision.action,
            names=decision.names,
            reason=decision.reason,
        )
        return decision

    def _investigated(self) -> Assessed:
        """Wait until the investigation's time is over, or it is critical; return the last assessment."""
        began = self._last(INVESTIGATING) or self._write(INVESTIGATING, seconds=self._seconds)
        resumed = Moment.now()
        # After a reboot the wall clock decides, and may have been set back: the past must not become future.
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
        # It may have been done without a record: it is asked for again.
        begun = self._commanded()
        self._write(ROLLING_BACK, action=decision.action)
        code = self._hands.roll_back(decision, begun)
        self._write(ROLLED_BACK, code=float(code))
        return code

    def _assessed(self, assessed: Assessed) -> None:
        first = assessed.assessment.first_bad or Moment.now()
        self._write(
            ASSESSED,
            severity=assessed.assessment.severity,
            findings=as_json(assessed.assessment),
            monitored="yes" if assessed.monitored else "no",
            first_bad=first.record(),
            # With that sample as its time, `assess --at` gives the same result again.
            newest=assessed.samples[-1].at.wall if assessed.samples else None,
        )

    def _ended(self) -> ResponseOutcome | None:
        found = self._last(ENDED)
        if found is None:
            return None
        return ResponseOutcome(Ending(found["ending"]), found["reason"], found["downtime_seconds"])

    def _commanded(self) -> Moment | None:
        """Return the moment at which the rollback was first commanded, or None if it was not."""
        if self._last(ROLLING_BACK) is None:
            return None
        return Moment.from_record(self._first(ROLLING_BACK)["at"])

    def _first(self, event: str) -> dict[str, Any]:
        return next(record for record in self._valid() if record["event"] == event)

    def _last(self, event: str) -> dict[str, Any] | None:
        return next((record for record in reversed(self._valid()) if record["event"] == event), None)

    def _valid(self) -> list[dict[str, Any]]:
        """Return the records that still hold: those since the last lapse."""
        lapses = [number for number, record in enumerate(self._records, 1) if record["event"] == LAPSED]
        return self._records[lapses[-1] :] if lapses else self._records

    def _why_lapsed(self) -> str:
        lapsed = next(record for record in reversed(self._records) if record["event"] == LAPSED)
        return str(lapsed["reason"])

    def _write(self, event: str, **details: Detail) -> dict[str, Any]:
        self._journal.write(event, **details)
        record = {"event": event, "at": Moment.now().record(), **details}
        self._records.append(record)
        return record


def _not_rolled_back(decision: Decision, code: ExitCode) -> ResponseOutcome:
    if code is ExitCode.USAGE:
        return ResponseOutcome(Ending.REFUSED, f"the {decision.action} was refused: its message is above")
    return ResponseOutcome(Ending.MANUAL, f"the {decision.action} ended with exit code {code:d}")
