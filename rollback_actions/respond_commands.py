"""The command `python -m rollback_actions respond`."""

from __future__ import annotations

import getpass
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from fixtures.clock import Moment
from fixtures.errors import ExitCode, Problem, UsageProblem, describe
from fixtures.incident import Incident, find_incident, incident_of, load_incident, new_incident
from fixtures.journal import verify_journal
from fixtures.kept_samples import samples_kept
from fixtures.response_record import ENDED, RESPONSE, RESPONSE_SAMPLES
from fixtures.samples import SampleWriter
from fixtures.severity import Severity
from fixtures.tally import tally
from fixtures.target import Target, load_target
from fixtures.verdict import Verdict
from rollback_actions.advice import Advice
from rollback_actions.assess_commands import CODES as CODES_OF_SEVERITY
from rollback_actions.assessment import Assessed, assess_target, assessment_lines
from rollback_actions.check_run import ROOT, CheckRun
from rollback_actions.contact_message import assessment_text, run_command
from rollback_actions.decide import Decision
from rollback_actions.decision import decision_lines, plan_of
from rollback_actions.file_lock import file_lock
from rollback_actions.lock import lock_state
from rollback_actions.refusals import Allowed, advice_of
from rollback_actions.response import CODES, Ending, Outcome, Response
from rollback_actions.rollback_commands import Confirm, OverBudget
from rollback_actions.session import IncidentId, Profile, open_journal
from rollback_actions.unfinished import read_unfinished

respond_app = typer.Typer()
# A rollback has deadlines of its own; this is for one that keeps to none of them.
_ROLLBACKS = 6


@respond_app.command()
def respond(
    profile: Profile,
    incident: IncidentId = None,
    confirm: Confirm = None,
    *,
    auto: Annotated[
        bool, typer.Option("--auto", help="Roll back without a person's yes, where the profile allows it.")
    ] = False,
    over_budget: OverBudget = False,
) -> None:
    """Assess, decide, ask, roll back, verify: the runbook's emergency flow. Run again, it goes on."""
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
    with file_lock(lock, f"respond to an incident of {target.name}"):
        there = _open_response(target, incident)
        assessed = None
        if there is None:
            assessed = assess_target(target, typer.echo)
            for line in assessment_lines(assessed):
                typer.echo(redact(line))
            severity = assessed.assessment.severity
            if severity in {Severity.HEALTHY, Severity.UNKNOWN}:
                raise typer.Exit(CODES_OF_SEVERITY[severity])
            there = _begin(target, incident, assessed)
        else:
            typer.echo(f"going on with the response of incident {there.id}")
        allowed = Allowed(confirm, over_budget)
        # The contacts' own look at the samples would come later, when they may be too old to say anything.
        severity_said = redact(assessment_text(assessed.assessment)) if assessed else None
        hands = _Hands(target, profile, there, allowed, severity_said, auto=auto)
        journal = open_journal(there.folder / RESPONSE, redact, typer.echo)
        with samples_kept(target, there):
            hands.tell_people()
            outcome = Response(target, journal, verify_journal(journal.path), hands).run(assessed)
            hands.tell_people()
    for line in _ending(outcome, advice_of(target, profile), there):
        typer.echo(redact(line))
    if CODES[outcome.ending] is not ExitCode.VERIFIED:
        raise typer.Exit(CODES[outcome.ending])


def _open_response(target: Target, wanted: str | None) -> Incident | None:
    """Return the incident whose response has not ended, the newest; the one that is wanted, if it has one.

    Raises:
        UsageProblem: the one that is wanted cannot be one, or its response has ended.
    """
    incidents = target.folders.incidents
    if wanted is not None:
        # Now, and not when half a minute has gone into an assessment.
        named = incident_of(incidents, target.name, wanted)
        return named if named is not None and _goes_on(named) else None
    for path in sorted(incidents.glob(f"*/{RESPONSE}"), key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            found = load_incident(path.parent)
            if found.target == target.name and _last_event(verify_journal(path)) not in {None, ENDED}:
                return found
        except Problem as problem:
            # What cannot be read cannot be gone on with, and keeps nobody from what is wrong now.
            typer.echo(target.redactor().text(f"not gone on with: {problem.summary}"), err=True)
    return None


def _goes_on(incident: Incident) -> bool:
    """Return whether there is a response to go on with.

    Raises:
        UsageProblem: it has ended, and would say how that went, whatever is so now.
    """
    records = verify_journal(incident.folder / RESPONSE)
    if _last_event(records) == ENDED:
        raise UsageProblem(
            what=f"response of incident {incident.id}",
            expected="none yet, or one to go on with",
            observed=f"one that has ended: {records[-1]['ending']}: {records[-1]['reason']}",
            source=str(incident.folder / RESPONSE),
            hint="leave --incident out: what is wrong now is an incident of its own",
        )
    return bool(records)


def _last_event(records: Sequence[Mapping[str, Any]]) -> str | None:
    return str(records[-1]["event"]) if records else None


def _begin(target: Target, wanted: str | None, assessed: Assessed) -> Incident:
    """Open the incident, and keep the samples that led to it."""
    incidents = target.folders.incidents
    there = find_incident(incidents, target.name, wanted) if wanted else new_incident(incidents, target.name)
    with closing(SampleWriter(there.folder / RESPONSE_SAMPLES)) as writer:
        for sample in assessed.samples:
            writer.write(sample)
    typer.echo(f"incident: {there.folder}")
    return there


@dataclass(frozen=True, slots=True)
class _Hands:
    """The commands that a person would type, each in a process with a lock and a journal of its own.

    `severity` is what people are told, in words; None where the response goes on and they know.
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

    def agree(self, decision: Decision) -> str | None:
        """Show the plan; ask whoever is at the keyboard."""
        redact = self.target.redactor().text
        for line in decision_lines(self._advice, decision, None):
            typer.echo(redact(line))
        if self.auto:
            return "--auto, which the profile allows"
        return getpass.getuser() if typer.confirm("Roll back now?") else None

    def roll_back(self, decision: Decision, begun: Moment | None) -> ExitCode:
        """Run the command of the rollback, or the one that goes on with it."""
        if begun is not None and read_unfinished(self.incident) is not None:
            return self._run([*shlex.split(self._advice.resume(take_over=True))])
        before = self.incident.rollback()
        # One that the incident had already when this was begun is another one.
        ours = before is not None and begun is not None and before.finished.seconds_since(begun) > 0
        if before is not None and ours and before.verdict == Verdict.PASSED:
            return ExitCode.VERIFIED
        plan = plan_of(self._advice, decision)
        if plan is None:
            raise ValueError(f"no rollback: {decision.action}")
        command = shlex.split(self._advice.rollback(plan.wish))
        code = self._run([*command, f"--incident={self.incident.id}", *self._confirmed()])
        after = self.incident.rollback()
        # A secret in the record ends a rollback that passed with an error, and is no reason not to verify it:
        # the checks find the secret too.
        passed = after is not None and after != before and after.verdict == Verdict.PASSED
        return ExitCode.VERIFIED if passed else code

    def verify(self) -> ExitCode:
        """Run phases 1 to 4."""
        run = CheckRun.of(self.target, self.profile)
        code = run.run("verification", f"--incident={self.incident.id}")
        if code is not ExitCode.FAILED or not self.incident.closed:
            return code  # also where a secret was found: that opens the incident again
        # All of it was verified, and late: the response judges that itself.
        late = tally(self.incident, self.target.windows).late is not None
        return ExitCode.VERIFIED if late else code

    def wait(self, seconds: float) -> None:
        """Let that time pass, and tell people what is due meanwhile."""
        time.sleep(seconds)
        self.tell_people()

    def tell_people(self) -> None:
        """Alert those contacts who are to be alerted by now. Whom that does not reach stops no response."""
        if not self.target.contacts.urls:
            return
        command = [*shlex.split(run_command(self.profile, self.incident)), "--once"]
        said = [] if self.severity is None else [f"--severity={self.severity}"]
        code = self._run([sys.executable, *command[1:], *said])
        if code is not ExitCode.VERIFIED:
            text = describe(
                what="contacts",
                expected="everybody alerted who is to be by now",
                observed=f"exit code {code:d}",
                source="contacts run",
                hint=f"its messages are above; call them yourself, and go on: {shlex.join(command[:-1])}",
            )
            typer.echo(text, err=True)

    @property
    def _advice(self) -> Advice:
        return advice_of(self.target, self.profile)

    def _confirmed(self) -> Iterator[str]:
        if self.allowed.confirm is not None:
            yield f"--confirm={self.allowed.confirm}"
        if self.allowed.over_budget:
            yield "--over-budget"

    def _run(self, command: list[str]) -> ExitCode:
        seconds = _ROLLBACKS * self.target.rollback_seconds
        try:
            done = subprocess.run(command, cwd=ROOT, timeout=seconds, check=False, stdin=subprocess.DEVNULL)
            return ExitCode(done.returncode)
        except (subprocess.TimeoutExpired, ValueError):
            return ExitCode.BROKEN


def _ending(outcome: Outcome, advice: Advice, incident: Incident) -> Iterator[str]:
    yield f"response: {outcome.ending}: {outcome.reason}"
    if outcome.downtime is not None:
        yield f"downtime: {outcome.downtime:.0f} s, from the first bad sample to the verified end"
    if outcome.ending is Ending.MANUAL:
        yield "MANUAL INTERVENTION: what to type next"
        yield from _by_hand(advice, incident)
    yield f"incident: {incident.folder}"


def _by_hand(advice: Advice, incident: Incident) -> Iterator[str]:
    """Yield what to type, by how far the rollback came: there may be nothing to go on with."""
    services = advice.target.application.services
    if read_unfinished(incident) is not None:
        yield from advice.go_on(services, take_over=lock_state(advice.target).ended)
    elif incident.rollback() is None:
        yield f"  nothing was changed; decide anew: {advice.plan()}"
        return
    else:
        yield f"  it is rolled back; why it is not well: {advice.logs(services)}"
    yield f"  and verify:       {advice.verify(incident.id)}"
