"""A response as it is commanded: its incident opened or found again, its commands run, its end told."""

from __future__ import annotations

import getpass
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from reports.answers.decision import assessment_lines, decision_lines, decision_record
from rollback_actions.check_run import CheckRun, run_ours
from rollback_actions.respond.response import (
    CODES,
    CODES_OF_SEVERITY,
    Response,
    ResponseOutcome,
    allow,
    is_open,
)
from rollback_actions.session.journal import Journal
from rollback_actions.session.lock import open_lock
from rollproof.application.maintenance import kept_out
from rollproof.errors import ExitCode, Problem, UsageProblem, describe
from rollproof.incident.downtime import Downtime, record_downtime
from rollproof.incident.incident import (
    Incident,
    RollbackRecord,
    find_or_create_incident,
    incident_of,
    load_incident,
    new_incident,
)
from rollproof.incident.journal import verify_journal
from rollproof.incident.kept_samples import samples_kept
from rollproof.incident.response_record import ENDED, Ending
from rollproof.incident.tally import tally
from rollproof.monitoring.assessment import Assessed, assess_target, decision_by
from rollproof.monitoring.samples import SampleWriter
from rollproof.monitoring.severity import Severity
from rollproof.monitoring.tree import Decision
from rollproof.planning.advice import Advice
from rollproof.planning.foresight import Foreseen
from rollproof.planning.lock_state import lock_state
from rollproof.planning.plan import Plan, plan_of
from rollproof.planning.refusals import Allowed, Asked, advice_of, refusals
from rollproof.planning.unfinished import interrupted, read_unfinished
from rollproof.profile.profile import Target, load_target
from rollproof.record_names import RESPONSE, RESPONSE_SAMPLES
from rollproof.sealing.seal import seal_state, sealed
from rollproof.system.clock import Moment
from rollproof.system.command import STANDARD_OUTPUT
from rollproof.system.file_lock import file_lock
from rollproof.team.contact_message import assessment_text, clock_command
from rollproof.verdict import Verdict

# A rollback has its own deadlines; this is for a rollback that misses them all.
_ROLLBACKS = 6


def run_response(profile: Path, incident: str | None, given: Allowed, *, auto: bool) -> None:
    """Run the emergency flow in `incident`, or a new one; end with its exit code unless it is verified.

    `given` are the permissions of the person at the keyboard.
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
    redact = target.redactor().text
    lock = target.folders.incidents / f".respond-{target.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(lock, f"respond to an incident of {target.name}"), ExitStack() as sealing:
        there = _open_response(target, incident)
        assessed = None
        if there is None:
            assessed = assess_target(target, typer.echo)
            for line in assessment_lines(assessed.assessment, monitored=assessed.monitored):
                typer.echo(redact(line))
            if assessed.assessment.cut_off:
                typer.echo(redact(f"next: {Advice(target, profile).reach()}"))
            severity = assessed.assessment.severity
            if severity in {Severity.HEALTHY, Severity.UNKNOWN}:
                decision = decision_by(target, assessed)
                typer.echo(f"no response is begun: {decision.action}: {redact(decision.reason)}")
                raise typer.Exit(CODES_OF_SEVERITY[severity])
            there = _begin(target, incident, assessed)
        else:
            typer.echo(f"resuming the response of incident {there.id}")
        # The contacts' own look at the samples would come later, when they may be too old to say anything.
        severity_said = redact(assessment_text(assessed.assessment)) if assessed else None
        sealing.enter_context(
            sealed(there.folder, target.signing, "respond", lambda text: typer.echo(redact(text)))
        )
        journal = Journal(there.folder / RESPONSE, redact)
        # Before the permissions are needed: whoever resumes this response need not give them again.
        allowed = allow(journal, verify_journal(journal.path), given, getpass.getuser())
        if allowed.options():
            typer.echo(f"allowed: {shlex.join(allowed.options())}")
        hands = _Hands(target, profile, there, allowed, severity_said, auto=auto)
        with samples_kept(target, there):
            hands.tell_people()
            outcome = Response(target, journal, verify_journal(journal.path), hands).run(assessed)
            hands.tell_people()
    for line in _ending(outcome, Advice(target, profile, allowed.words(target)), there):
        typer.echo(redact(line))
    if CODES[outcome.ending] is not ExitCode.VERIFIED:
        raise typer.Exit(CODES[outcome.ending])


def _open_response(target: Target, wanted: str | None) -> Incident | None:
    """Return the newest incident whose response has not ended, or the wanted incident if it has one.

    Raises:
        UsageProblem: the wanted incident cannot be used, or its response has ended.
    """
    incidents = target.folders.incidents
    if wanted is not None:
        # Now, and not after half a minute of assessment.
        named = incident_of(incidents, target.name, wanted)
        return named if named is not None and _goes_on(named) else None
    for path in sorted(incidents.glob(f"*/{RESPONSE}"), key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            found = load_incident(path.parent)
            if found.target == target.name and is_open(verify_journal(path)):
                return found
        except Problem as problem:
            # An unreadable response cannot be resumed; the present incident is assessed all the same.
            typer.echo(target.redactor().text(f"not resumed: {problem.summary}"), err=True)
    return None


def _goes_on(incident: Incident) -> bool:
    """Return True if there is a response to resume.

    Raises:
        UsageProblem: it has ended, and would report that end whatever the present state.
    """
    records = verify_journal(incident.folder / RESPONSE)
    if records and records[-1]["event"] == ENDED:
        raise UsageProblem(
            what=f"response of incident {incident.id}",
            expected="none yet, or one to resume",
            observed=f"one that has ended: {records[-1]['ending']}: {records[-1]['reason']}",
            source=str(incident.folder / RESPONSE),
            hint="leave --incident out: what is wrong now is an incident of its own",
        )
    return is_open(records)


def _begin(target: Target, wanted: str | None, assessed: Assessed) -> Incident:
    """Open the incident, and keep the samples that led to it."""
    incidents = target.folders.incidents
    there = (
        find_or_create_incident(incidents, target.name, wanted)
        if wanted
        else new_incident(incidents, target.name)
    )
    with closing(SampleWriter(there.folder / RESPONSE_SAMPLES)) as writer:
        for sample in assessed.samples:
            writer.write(sample)
    typer.echo(f"incident: {there.folder}")
    return there


@dataclass(frozen=True, slots=True)
class _Hands:
    """The commands that a person would type, each in a process with its own lock and journal.

    `severity` is told to people, in words, or None if the response is resumed and they know.
    """

    target: Target
    profile: Path
    incident: Incident
    allowed: Allowed
    severity: str | None
    auto: bool

    def assess(self) -> Assessed:
        """Assess the target now."""
        return assess_target(self.target, typer.echo)

    def assess_anew(self, why: str) -> Assessed:
        """Say why, assess the target now, and show the assessment."""
        redact = self.target.redactor().text
        typer.echo(redact(f"assessed and asked anew: {why}"))
        assessed = self.assess()
        for line in assessment_lines(assessed.assessment, monitored=assessed.monitored):
            typer.echo(redact(line))
        return assessed

    def has_begun(self, since: Moment) -> bool:
        """Return whether the rollback that was commanded at `since` has left a record of its own."""
        return read_unfinished(self.incident) is not None or self._finished(since) is not None

    def show(self, decision: Decision) -> Sequence[UsageProblem]:
        """Show the plan, and each refusal with the option to type to allow it."""
        redact, found = self.target.redactor().text, list[UsageProblem]()

        def refused(plan: Plan, foreseen: Sequence[Foreseen]) -> Sequence[UsageProblem]:
            lock = open_lock(self.target, f"rollback {plan.request}", take_over=self.allowed.take_over)
            found.extend(
                refusals(
                    Asked(
                        self.target,
                        plan,
                        self.allowed,
                        foreseen,
                        interrupted(self.target.folders.incidents, self.target.name, plan.request),
                        self.incident.id,
                        refuse_held=lock.refuse_held,
                    )
                )
            )
            return found

        for line in decision_lines(decision_record(self._advice, decision, None, refused)):
            typer.echo(redact(line))
        return found

    def agree(self, decision: Decision) -> str | None:
        """Ask the person at the keyboard, unless `auto` answers."""
        if self.auto:
            return "--auto, which the profile allows"
        return getpass.getuser() if typer.confirm("Roll back now?") else None

    def roll_back(self, decision: Decision, begun: Moment | None) -> ExitCode:
        """Run the command of the rollback, or the command that resumes it."""
        if begun is not None and read_unfinished(self.incident) is not None:
            # `--again` is left out, since nothing is done again.
            words = replace(self.allowed, again=False, take_over=True).options()
            code = self._run(Advice(self.target, self.profile, words).resume().words)
            return _once_begun(code)
        before = self.incident.rollback()
        ours = None if begun is None else self._finished(begun)
        if ours is not None and ours.verdict == Verdict.PASSED:
            return ExitCode.VERIFIED
        plan = plan_of(self.target, decision)
        if plan is None:
            raise ValueError(f"no rollback: {decision.action}")
        advice = Advice(self.target, self.profile, self.allowed.options())
        code = self._run([*advice.rollback(plan.request).words, f"--incident={self.incident.id}"])
        after = self.incident.rollback()
        if code is ExitCode.USAGE and (after != before or read_unfinished(self.incident) is not None):
            return _once_begun(code)
        # A secret in the record ends even a passed rollback with an error. It is verified all the same: the
        # checks find the secret too.
        passed = after is not None and after != before and after.verdict == Verdict.PASSED
        return ExitCode.VERIFIED if passed else code

    def _finished(self, since: Moment) -> RollbackRecord | None:
        """Return the record of a rollback that finished after `since`, or None: an earlier one is another."""
        found = self.incident.rollback()
        return found if found is not None and found.finished.seconds_since(since) > 0 else None

    def verify(self) -> ExitCode:
        """Run phases 1 to 4; users who were kept out until then are let in when they pass."""
        run = CheckRun.of(self.target, self.profile)
        code = run.run("verification", f"--incident={self.incident.id}")
        # An incident is not closed if a secret was found: that opens it again.
        if code is ExitCode.FAILED and self.incident.closed:
            # Everything was verified, but late: the response judges that itself.
            wrong = seal_state(self.incident.folder, self.target.signing).evidence
            if tally(self.incident, self.target.windows, wrong).verified:
                code = ExitCode.VERIFIED
        if code is ExitCode.VERIFIED and kept_out(self.target.application):
            return self._run(self._advice.let_in().words)
        return code

    def downtime(self, verified: Moment) -> Downtime | None:
        """Return the downtime that the verification recorded; record it if it was killed before that."""
        rollback = self.incident.rollback()
        if rollback is None:
            return None
        return record_downtime(self.target, self.incident, verified.seconds_since(rollback.started))

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass, then tell people everything due by then."""
        time.sleep(seconds)
        self.tell_people()

    def tell_people(self) -> None:
        """Alert the contacts who are due by now. A failed alert stops no response."""
        if not self.target.contacts.urls:
            return
        command = clock_command(self.profile, self.incident)
        said = [] if self.severity is None else [f"--severity={self.severity}"]
        code = self._run([*command.words, "--once", *said])
        if code is not ExitCode.VERIFIED:
            text = describe(
                what="contacts",
                expected="everybody alerted who is to be by now",
                observed=f"exit code {code:d}",
                source="contacts run",
                hint=f"its messages are above; call them yourself, then resume: {command}",
            )
            typer.echo(text, err=True)

    @property
    def _advice(self) -> Advice:
        return advice_of(self.target, self.profile)

    def _run(self, command: Sequence[str]) -> ExitCode:
        seconds = _ROLLBACKS * self.target.rollback_seconds
        code = run_ours(command, seconds, output=STANDARD_OUTPUT)
        return code if isinstance(code, ExitCode) else ExitCode.BROKEN


def _once_begun(code: ExitCode) -> ExitCode:
    """Return the exit code of a rollback that has begun: after that, a usage error is a failure."""
    return ExitCode.FAILED if code is ExitCode.USAGE else code


def _ending(outcome: ResponseOutcome, advice: Advice, incident: Incident) -> Iterator[str]:
    yield f"response: {outcome.ending}: {outcome.reason}"
    if outcome.downtime is not None:
        yield f"downtime: {outcome.downtime:.0f} s, from the first bad sample to the verified end"
    if outcome.ending is Ending.CUT_OFF:
        yield f"next: {advice.reach()}"
    if outcome.ending is Ending.MANUAL:
        yield "MANUAL INTERVENTION: what to type next"
        yield from _by_hand(advice, incident)
    yield f"incident: {incident.folder}"


def _by_hand(advice: Advice, incident: Incident) -> Iterator[str]:
    """Yield the commands to type, by how far the rollback came: there may be nothing to resume."""
    services = advice.target.application.services
    if read_unfinished(incident) is not None:
        yield from advice.go_on(services, take_over=lock_state(advice.target).ended)
    elif incident.rollback() is None:
        yield f"  nothing was changed; decide again: {advice.plan()}"
        return
    else:
        yield f"  it is rolled back; why it is not well: {advice.logs(services)}"
    yield f"  and verify:       {advice.verify(incident.id)}"
