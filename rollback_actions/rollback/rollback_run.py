"""A rollback as it is commanded: refused, or done under the target's lock; and its status."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import typer

from reports.answers.rollback_lines import done_line, status_lines, status_record
from reports.terminal.document import answer
from rollback_actions.containers.compose import ComposeControl
from rollback_actions.containers.control import open_control
from rollback_actions.outside import Outside
from rollback_actions.rollback.engine import RecordsMissing, RecordsUnknown, roll_back
from rollback_actions.rollback.maintenance import MaintenanceMode
from rollback_actions.session.session import open_lock, open_session, require_own_engine
from rollproof.application.client import kept_out
from rollproof.backups.sets import NEWEST
from rollproof.engines.engine import open_engine
from rollproof.errors import ExitCode, Problem, Unverifiable, UsageProblem
from rollproof.home import typed
from rollproof.incident.incident import Incident, RollbackRecord
from rollproof.incident.journal import Step
from rollproof.incident.rollback_request import RollbackKind, RollbackRequest
from rollproof.incident.samples import samples_kept
from rollproof.planning.advice import Advice
from rollproof.planning.foresight import foresee, not_judged
from rollproof.planning.plan import Plan, plan_for, plan_unfinished
from rollproof.planning.refusals import Allowed, Asked, advice_of, refusals
from rollproof.planning.status import lock_state, newest_rollback
from rollproof.planning.unfinished import interrupted, unfinished_of
from rollproof.profile.profile import load_target
from rollproof.record_names import UNFINISHED
from rollproof.sealing.seal import seal_state
from rollproof.verdict import code_of_verdict


def begin(
    profile: Path,
    kind: RollbackKind,
    name: str,
    incident: str | None,
    allowed: Allowed,
    backup: str | None = None,
) -> None:
    """Do the rollback of `kind`; `name` is its service, store or commit, `backup` the named set or None."""
    target = load_target(profile)
    # Everything that can be wrong with the request is found before an incident is opened or a lock taken.
    plan = plan_for(target, kind, name, backup=NEWEST if backup is None else backup)
    _run(Advice(target, profile), plan, incident, allowed, backup=backup)


def resume(profile: Path, allowed: Allowed) -> None:
    """Resume the newest rollback that did not succeed; it does not count as repeated."""
    target = load_target(profile)
    incidents = target.folders.incidents
    unfinished = unfinished_of(incidents, target.name)
    if not unfinished:
        raise UsageProblem(
            what=f"unfinished rollback of {target.name}",
            expected="one that began and did not succeed",
            observed="none",
            source=str(incidents),
            hint=f"nothing is to be resumed; how the last one went: {typed('rollback status')}",
        )
    _run(Advice(target, profile), plan_unfinished(target, unfinished[0]), None, replace(allowed, again=True))


def show_status(profile: Path, *, as_json: bool) -> None:
    """Show how the newest rollback went; end with its verdict's exit code unless it passed."""
    target = load_target(profile)
    lock = lock_state(target)
    found = newest_rollback(target.folders.incidents, target.name, running=lock.rolls_back)
    seal = seal_state(found.incident.folder, target.signing)
    code = code_of_verdict(found.verdict)
    if code is ExitCode.VERIFIED and seal.wrong:
        code = ExitCode.BROKEN
    record = status_record(found, lock, seal, advice_of(target, profile))
    answer(record, status_lines, target.redactor().text, code, as_json=as_json)


def _run(
    advice: Advice, plan: Plan, incident: str | None, allowed: Allowed, *, backup: str | None = None
) -> None:
    """Roll back by `plan`; `backup` is the set that a person named for it."""
    target = advice.target
    advice = replace(advice, options=allowed.words(target))
    unfinished = interrupted(target.folders.incidents, target.name, plan.request)
    if unfinished is not None:
        # It resumes with its own baseline and backup, even if there are newer ones by now.
        plan = plan_unfinished(target, unfinished)

    # A rollback that began was asked this before; it is half done, and nothing is better than its end.
    foreseen = () if unfinished else foresee(target, plan, open_engine(target.engine))
    asked = Asked(target, plan, allowed, foreseen, unfinished, incident, backup)

    def choose() -> str | None:
        # Another process's changes in the meantime count too: this is asked before the lock, and under it.
        for refusal in refusals(asked):
            raise refusal
        return unfinished.incident.id if unfinished else incident

    choose()
    lock = open_lock(target, f"rollback {plan.request}", take_over=allowed.take_over)
    begun: Incident | None = None
    record: RollbackRecord | None = None
    try:
        # Foresight has a deadline, and lets a silent engine pass: here it must say which one it is.
        require_own_engine(target, plan.baseline)
        with open_session(target, lock, Step.ROLLBACK, choose) as session:
            begun = session.incident
            for text in not_judged(foreseen):
                session.steps.note(target.redactor().text(text))
            engine, control = open_engine(target.engine), open_control(target.engine)
            with samples_kept(target, begun):
                record = roll_back(target, plan, begun, engine, control, session.steps)
            if plan.keeps_out and kept_out(target.application):
                session.steps.note(f"users stay out until it is verified: {advice.let_in()}")
    except BaseException as error:
        # A refusal itself says what to do.
        if record is None and (begun is not None or isinstance(error, Unverifiable)):
            begun = begun or (unfinished.incident if unfinished else None)
            lines = _manual(error, advice, plan, begun, backup, lost=lock.lost)
            text = target.redactor().text("\n".join(lines))
            if isinstance(error, Problem):
                error.add_note(text)
            else:
                typer.echo(text, err=True)
        raise
    finally:
        if record is not None:
            typer.echo(done_line(record))


def let_in(
    profile: Path,
    *,
    anyway: bool,
    take_over: bool,
    control: ComposeControl | None = None,
    outside: Outside | None = None,
) -> None:
    """Take the application out of the maintenance that a rollback left on until it is verified."""
    target = load_target(profile)
    advice = Advice(target, profile)
    application = target.application
    if application.maintenance is None:
        raise UsageProblem(
            what="application.maintenance",
            expected="the commands that take it off",
            observed="none in the profile",
            source=str(profile),
            hint="this profile knows of nothing that keeps users out",
        )
    require_own_engine(target)
    lock = open_lock(target, Step.LET_IN, take_over=take_over)
    found = newest_rollback(target.folders.incidents, target.name, running=None)

    def choose() -> str:
        # Asked under the lock: a rollback that has begun meanwhile is not verified.
        unfinished = unfinished_of(target.folders.incidents, target.name)
        if not anyway and (unfinished or not found.incident.closed):
            raise UsageProblem(
                what=f"rollback of incident {found.incident.id}",
                expected="verified, before users write again",
                observed="not finished" if unfinished else "not verified",
                source=str(found.incident.folder),
                hint="let users in all the same with --anyway, or verify it:"
                f" {advice.verify(found.incident.id)}",
            )
        return found.incident.id

    with open_session(target, lock, Step.LET_IN, choose) as session:
        control, outside = control or open_control(target.engine), outside or Outside()
        MaintenanceMode(application, application.maintenance, control, session.steps, outside).let_in()
    typer.echo("users are let in")


def _manual(
    error: BaseException,
    advice: Advice,
    plan: Plan,
    incident: Incident | None,
    backup: str | None,
    *,
    lost: bool,
) -> list[str]:
    """Return the commands to type now, a line each; `lost` says that another process has taken the lock."""
    if incident is not None and isinstance(error, RecordsMissing | RecordsUnknown):
        # Only the accounting failed: the target is as it was at the commit, and runs.
        return [
            f"MANUAL INTERVENTION: the rollback {plan.request} is done, and records are not accounted for",
            f"  what became of them: {error.source}",
            f"  verify the target:   {advice.verify(incident.id)}",
        ]
    head = f"MANUAL INTERVENTION: the rollback {plan.request} did not succeed"
    if incident is not None:
        head += f"; its record is {incident.folder}"
    if lost:
        return [head, f"  who continues, and how far: {advice.status()}"]
    if incident is None or not (incident.folder / UNFINISHED).exists():
        return [head, "  nothing was changed; when that is mended, give the same command again"]
    services = [*plan.stopped, *(s for name in plan.stores for s in advice.target.stores[name].services)]
    wider = advice.rollback(RollbackRequest(RollbackKind.EMERGENCY, plan.commit), backup=backup)
    lines = [head, *advice.go_on(services, take_over=False)]
    if plan.kind is not RollbackKind.EMERGENCY:
        lines.append(f"  or roll all back: {wider}")
    if plan.maintained:
        lines.append(f"  users get 503 until then; to let them in: {advice.let_in()} --anyway")
    return lines
