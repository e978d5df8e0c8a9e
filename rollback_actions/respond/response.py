"""The response to an incident: the runbook's emergency flow, from the assessment to the verified end.

Assess, investigate if it is not critical, decide, ask, roll back, verify. Each step is written to the
incident's `response.jsonl`. An interrupted response resumes the rollback that it has begun, or verifies it.
If none has begun, it assesses and asks again.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import typer

from reports.answers.decision import assessment_lines, decision_lines, decision_record
from rollback_actions import check_run
from rollback_actions.contacts.contacts import alert_due
from rollback_actions.rollback.rollback_run import begin, let_in, resume
from rollback_actions.session.session import Detail, Journal
from rollproof.application.client import kept_out
from rollproof.errors import ExitCode, Mismatch, Problem, UsageProblem, code_of
from rollproof.incident.downtime import (
    AGREED,
    ALLOWED,
    ASSESSED,
    DECIDED,
    ENDED,
    INVESTIGATING,
    ROLLED_BACK,
    ROLLING_BACK,
    VERIFIED,
    VERIFYING,
    ResponseEnding,
    record_downtime,
)
from rollproof.incident.incident import Incident, find_or_create_incident, incident_of, load_incident
from rollproof.incident.journal import verify_journal
from rollproof.incident.samples import samples_kept
from rollproof.incident.severity import Assessment, BandState, Severity
from rollproof.incident.tally import tally
from rollproof.monitoring.assessment import Assessed, assess_target, decision_by
from rollproof.planning.advice import Advice
from rollproof.planning.foresight import Foreseen
from rollproof.planning.plan import Plan, plan_of
from rollproof.planning.refusals import Allowed, Asked, advice_of, refusals
from rollproof.planning.status import lock_state
from rollproof.planning.tree import Action, Decision
from rollproof.planning.unfinished import interrupted, read_unfinished
from rollproof.profile.profile import Target, load_target
from rollproof.record_names import RESPONSE
from rollproof.sealing.seal import seal_state, sealed
from rollproof.system.clock import Moment, age
from rollproof.system.holder import file_lock
from rollproof.system.record_files import as_json
from rollproof.team.contact_flow import assessment_text
from rollproof.verdict import Verdict

# An investigation assesses again every so many beats: a critical result is decided on at once.
_BEATS = 2

CODES_OF_SEVERITY = {
    Severity.HEALTHY: ExitCode.VERIFIED,
    Severity.CRITICAL: ExitCode.FAILED,
    Severity.UNKNOWN: ExitCode.BROKEN,
    Severity.NON_CRITICAL: ExitCode.INVESTIGATE,
}
CODES = {
    ResponseEnding.MONITORING: ExitCode.VERIFIED,
    ResponseEnding.DECLINED: ExitCode.INVESTIGATE,
    ResponseEnding.RESUMED: ExitCode.VERIFIED,
    ResponseEnding.LATE: ExitCode.FAILED,
    ResponseEnding.MANUAL: ExitCode.FAILED,
    # As for a command that rolls back, and is refused.
    ResponseEnding.REFUSED: ExitCode.USAGE,
    ResponseEnding.CUT_OFF: CODES_OF_SEVERITY[Severity.UNKNOWN],
}


@dataclass(frozen=True, slots=True)
class ResponseOutcome:
    """How a response ended and why; `downtime` is in seconds, None unless the rollback was verified."""

    ending: ResponseEnding
    reason: str
    downtime: float | None = None


def run_response(profile: Path, incident_id: str | None, allowed: Allowed, *, auto: bool) -> None:
    """Run the emergency flow in that incident, or in a new one; exit with its exit code unless that is 0.

    `allowed` are the permissions of the person at the keyboard.
    """
    target = load_target(profile)
    if auto and not target.responding.auto:
        raise UsageProblem(
            what="--auto",
            expected="a profile that allows it",
            observed="responding.auto = false",
            source=str(profile),
            hint="leave --auto out and say yes yourself, or allow it in the profile",
        )
    redact, incidents = target.redactor().text, target.folders.incidents

    def say(text: str) -> None:
        typer.echo(redact(text))

    lock = incidents / f".respond-{target.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(lock, f"respond to an incident of {target.name}"):
        # A mistyped incident is refused now, and not after half a minute of assessment.
        if incident_id:
            incident = incident_of(incidents, target.name, incident_id)
        else:
            incident = _interrupted_response(target, say)
        assessed = None
        if incident is not None and (incident.folder / RESPONSE).exists():
            _require_unended(incident)
            say(f"resuming the response of incident {incident.id}")
        else:
            assessed = _assess(target, say)
            if assessed.assessment.cut_off:
                say(f"next: {Advice(target, profile).reach()}")
            severity = assessed.assessment.severity
            if severity in {Severity.HEALTHY, Severity.UNKNOWN}:
                decision = decision_by(target, assessed)
                say(f"no response is begun: {decision.action}: {decision.reason}")
                raise typer.Exit(CODES_OF_SEVERITY[severity])
            incident = find_or_create_incident(incidents, target.name, incident_id)
            say(f"incident: {incident.folder}")
        own = () if assessed is None or assessed.monitored else assessed.samples
        with sealed(incident.folder, target.signing, "respond", say), samples_kept(target, incident, own):
            journal = Journal(incident.folder / RESPONSE, redact)
            outcome = _Response(target, profile, incident, allowed, journal, say, auto=auto).run(assessed)
    for line in _ending(outcome, Advice(target, profile, allowed.words(target)), incident):
        say(line)
    if CODES[outcome.ending] is not ExitCode.VERIFIED:
        raise typer.Exit(CODES[outcome.ending])


def _interrupted_response(target: Target, say: Callable[[str], None]) -> Incident | None:
    """Return the newest incident whose response has not ended, or None.

    One in which no rollback is unfinished is resumed within `hold_seconds`: later it is another outage.
    """
    found = target.folders.incidents.glob(f"*/{RESPONSE}")
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            incident = load_incident(path.parent)
            if incident.target != target.name or _end_of(incident) is not None:
                continue
            records = verify_journal(path)
            since = Moment.from_record(records[-1]["at"]).seconds_ago() if records else 0.0
            if since <= target.hold_seconds or read_unfinished(incident) is not None:
                return incident
            say(
                f"not resumed: the response of incident {incident.id} was left {age(since)} ago;"
                f" to go on with it: --incident={incident.id}"
            )
        except Problem as problem:
            # An unreadable response cannot be resumed; the present incident is assessed all the same.
            say(f"not resumed: {problem.summary}")
    return None


def _end_of(incident: Incident) -> Mapping[str, Any] | None:
    """Return the record with which the response of `incident` ended, or None."""
    records = verify_journal(incident.folder / RESPONSE)
    return records[-1] if records and records[-1]["event"] == ENDED else None


def _require_unended(incident: Incident) -> None:
    """Refuse a response that has ended: it would report that end whatever the present state."""
    if (end := _end_of(incident)) is not None:
        raise UsageProblem(
            what=f"response of incident {incident.id}",
            expected="none yet, or one to resume",
            observed=f"one that has ended: {end['ending']}: {end['reason']}",
            source=str(incident.folder / RESPONSE),
            hint="leave --incident out: what is wrong now is an incident of its own",
        )


def _assess(target: Target, say: Callable[[str], None]) -> Assessed:
    """Assess the target now, and show the assessment."""
    assessed = assess_target(target, say)
    for line in assessment_lines(assessed.assessment, monitored=assessed.monitored):
        say(line)
    return assessed


@dataclass(frozen=True, slots=True)
class _Response:
    """One response, in the journal that it continues."""

    target: Target
    profile: Path
    incident: Incident
    allowed: Allowed
    journal: Journal
    say: Callable[[str], None]
    auto: bool

    def run(self, assessed: Assessed | None) -> ResponseOutcome:
        """Respond to `assessed`, or continue an interrupted response; alert people before and after."""
        if self.allowed != Allowed():
            self.journal.write(ALLOWED, by=getpass.getuser(), **asdict(self.allowed))
        severity = assessment_text(assessed.assessment) if assessed else "unknown"
        self._tell_people(severity)
        outcome = self._respond(assessed)
        self.journal.write(
            ENDED,
            ending=outcome.ending,
            reason=outcome.reason,
            downtime_seconds=outcome.downtime,
            objective_seconds=float(self.target.rto_seconds),
        )
        self._tell_people(severity)
        return outcome

    def _respond(self, assessed: Assessed | None) -> ResponseOutcome:
        if read_unfinished(self.incident) is not None:
            # The lock of the killed response is taken over if its process has certainly ended.
            over = self.allowed.take_over or lock_state(self.target).ended
            code = self._roll_back(
                "rollback", partial(resume, self.profile, replace(self.allowed, take_over=over))
            )
        elif self._is_rolled_back():
            code = ExitCode.VERIFIED
        else:
            decision = self._decide(assessed)
            if isinstance(decision, ResponseOutcome):
                return decision
            plan = plan_of(self.target, decision)
            if plan is None:
                ending = (
                    ResponseEnding.MONITORING if decision.action is Action.MONITOR else ResponseEnding.MANUAL
                )
                return ResponseOutcome(ending, decision.reason)
            agreed = self._agree(decision)
            if agreed is not None:
                return agreed
            kind, name = plan.request.kind, plan.request.name
            roll_back = partial(begin, self.profile, kind, name, self.incident.id, self.allowed)
            code = self._roll_back(str(decision.action), roll_back)
        if code is ExitCode.USAGE:
            return ResponseOutcome(ResponseEnding.REFUSED, "the rollback was refused: its message is above")
        if code is not ExitCode.VERIFIED:
            return ResponseOutcome(ResponseEnding.MANUAL, f"the rollback ended with exit code {code:d}")
        return self._verify()

    def _decide(self, assessed: Assessed | None) -> Decision | ResponseOutcome:
        """Return the decision: after an investigation, if the case is not critical."""
        assessed = assessed or _assess(self.target, self.say)
        self.journal.write(ASSESSED, **assessed_details(assessed))
        still_bad = None
        if assessed.assessment.severity is Severity.NON_CRITICAL:
            assessed = self._investigate()
            self.journal.write(ASSESSED, **assessed_details(assessed))
            if assessed.assessment.severity is Severity.NON_CRITICAL:
                still_bad = True
            elif _is_over(assessed.assessment):
                still_bad = False
        decision = decision_by(self.target, assessed, still_bad=still_bad)
        if assessed.assessment.cut_off:
            return ResponseOutcome(ResponseEnding.CUT_OFF, decision.reason)
        self.journal.write(
            DECIDED,
            severity=assessed.assessment.severity,
            action=decision.action,
            names=decision.names,
            reason=decision.reason,
        )
        return decision

    def _investigate(self) -> Assessed:
        """Wait until the investigation's time is over, or it is critical; return the last assessment."""
        seconds = self.target.responding.investigation_seconds
        self.journal.write(INVESTIGATING, seconds=seconds)
        began, pause = Moment.now(), _BEATS * self.target.premigration.monitoring.beat_seconds
        while (left := seconds - began.seconds_ago()) > 0:
            time.sleep(min(left, pause))
            self._tell_people("unknown")
            assessed = assess_target(self.target, self.say)
            if assessed.assessment.severity is Severity.CRITICAL:
                return assessed
        return assess_target(self.target, self.say)

    def _agree(self, decision: Decision) -> ResponseOutcome | None:
        """Show the plan and ask; return None for a yes. Nobody is asked about a refused plan."""
        found: list[UsageProblem] = []

        def remember_refusals(plan: Plan, foreseen: Sequence[Foreseen]) -> Sequence[UsageProblem]:
            earlier = interrupted(self.target.folders.incidents, self.target.name, plan.request)
            asked = Asked(self.target, plan, self.allowed, foreseen, earlier, self.incident.id)
            found.extend(refusals(asked))
            return found

        advice = advice_of(self.target, self.profile)
        for line in decision_lines(decision_record(advice, decision, None, remember_refusals)):
            self.say(line)
        if found:
            reasons = "; ".join(refusal.summary for refusal in found)
            return ResponseOutcome(ResponseEnding.REFUSED, f"the {decision.action} is refused: {reasons}")
        if not self.auto and not typer.confirm("Roll back now?"):
            return ResponseOutcome(ResponseEnding.DECLINED, f"nobody said yes to the {decision.action}")
        self.journal.write(AGREED, by="--auto, which the profile allows" if self.auto else getpass.getuser())
        return None

    def _roll_back(self, action: str, command: Callable[[], None]) -> ExitCode:
        """Run the command of the rollback; return its exit code, `USAGE` if it changed nothing."""
        self.journal.write(ROLLING_BACK, action=action)
        code = self._run(command)
        if self._is_rolled_back():
            # A secret in the record ends even a passed rollback with an error: the checks find it too.
            code = ExitCode.VERIFIED
        elif code in {ExitCode.USAGE, ExitCode.VERIFIED} and read_unfinished(self.incident) is not None:
            # It was refused, or reported no error, but it is unfinished: something was changed.
            code = ExitCode.FAILED
        self.journal.write(ROLLED_BACK, code=float(code))
        return code

    def _run(self, command: Callable[[], None]) -> ExitCode:
        """Run a command of this suite, show its error; return its exit code."""
        try:
            command()
        except (Problem, Mismatch) as problem:
            self.say("\n".join([str(problem), *getattr(problem, "__notes__", [])]))
            return code_of(problem) if isinstance(problem, Problem) else ExitCode.FAILED
        return ExitCode.VERIFIED

    def _is_rolled_back(self) -> bool:
        """Return whether a rollback has passed that ended since this response began."""
        records, found = verify_journal(self.journal.path), self.incident.rollback()
        if not records or found is None or found.verdict is not Verdict.PASSED:
            return False
        return found.finished.seconds_since(Moment.from_record(records[0]["at"])) >= 0

    def _verify(self) -> ResponseOutcome:
        """Run phases 1 to 4, and judge the downtime; users who were kept out until then are let in."""
        self.journal.write(VERIFYING)
        incident = f"--incident={self.incident.id}"
        code = check_run.run_checks(self.target, self.profile, "verification", incident)
        # A found secret reopens the incident: one that is still closed has none.
        if code is ExitCode.FAILED and self.incident.closed:
            # Everything was verified, but late: that is judged below.
            wrong = seal_state(self.incident.folder, self.target.signing).evidence
            if tally(self.incident, self.target.windows, wrong).verified:
                code = ExitCode.VERIFIED
        if code is ExitCode.VERIFIED and kept_out(self.target.application):
            code = self._run(partial(let_in, self.profile, anyway=False, take_over=self.allowed.take_over))
        self.journal.write(VERIFIED, code=float(code))
        rollback, downtime = self.incident.rollback(), None
        if rollback is not None and code is ExitCode.VERIFIED:
            downtime = record_downtime(self.target, self.incident, rollback.started.seconds_ago())
        if downtime is None:
            return ResponseOutcome(ResponseEnding.MANUAL, f"the verification ended with exit code {code:d}")
        if downtime.late:
            return ResponseOutcome(ResponseEnding.LATE, str(downtime), downtime.seconds)
        return ResponseOutcome(ResponseEnding.RESUMED, "the rollback is verified", downtime.seconds)

    def _tell_people(self, severity: str) -> None:
        """Alert the contacts who are due by now. A failed alert stops no response."""
        if self.target.contacts.urls:
            self._run(partial(alert_due, self.target, self.profile, self.incident, severity, self.say))


def _is_over(assessment: Assessment) -> bool:
    """Return whether no band is met; figures of bands that are not critical may just have become bad."""
    unclear = [found for found in assessment.findings if found.state is not BandState.CLEAR]
    return not assessment.cut_off and all(
        found.state is BandState.LASTING and found.severity is Severity.NON_CRITICAL for found in unclear
    )


def assessed_details(assessed: Assessed) -> dict[str, Detail]:
    """Return what a response's journal records of an assessment."""
    first = assessed.assessment.first_bad or Moment.now()
    findings: dict[str, Any] = as_json(assessed.assessment)
    return {
        "severity": assessed.assessment.severity,
        "findings": findings,
        "monitored": "yes" if assessed.monitored else "no",
        "first_bad": first.record(),
        # With that sample as its time, `assess --samples` gives the same result again.
        "newest": assessed.samples[-1].at.wall if assessed.samples else None,
    }


def _ending(outcome: ResponseOutcome, advice: Advice, incident: Incident) -> Iterator[str]:
    yield f"response: {outcome.ending}: {outcome.reason}"
    if outcome.downtime is not None:
        yield f"downtime: {outcome.downtime:.0f} s, from the first bad sample to the verified end"
    if outcome.ending is ResponseEnding.CUT_OFF:
        yield f"next: {advice.reach()}"
    if outcome.ending is ResponseEnding.MANUAL:
        yield "MANUAL INTERVENTION: what to type next"
        services = advice.target.application.services
        if read_unfinished(incident) is not None:
            yield from advice.go_on(services, take_over=lock_state(advice.target).ended)
        elif incident.rollback() is None:
            yield "  nothing was changed: decide on another rollback"
        else:
            yield f"  it is rolled back; why it is not well: {advice.logs(services)}"
            yield f"  and verify:       {advice.verify(incident.id)}"
    yield f"incident: {incident.folder}"
