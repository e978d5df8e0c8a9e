"""A rollback as it is commanded: refused, or done under the target's lock; and its status, told to people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from fixtures.application.maintenance import kept_out
from fixtures.backups.sets import NEWEST
from fixtures.decision.wish import Kind, Wish
from fixtures.engines.factory import open_engine
from fixtures.errors import ExitCode, Problem, Unverifiable, UsageProblem
from fixtures.incident.incident import Incident, RollbackRecord
from fixtures.incident.journal_steps import Step
from fixtures.incident.kept_samples import samples_kept
from fixtures.losses.lost_window import FOLDER
from fixtures.record_names import ACCOUNTS, UNFINISHED
from fixtures.rollback.advice import Advice
from fixtures.rollback.command_refusals import refusals_in, require_the_same
from fixtures.rollback.foresight import foresee, said
from fixtures.rollback.plan import (
    Plan,
    plan_database,
    plan_emergency,
    plan_full,
    plan_service,
    plan_unfinished,
)
from fixtures.rollback.refusals import Allowed, advice_of
from fixtures.rollback.status import Ran, State, Status, newest_rollback
from fixtures.rollback.unfinished import interrupted, unfinished_of
from fixtures.sealing.chain import Standing, standing
from fixtures.system.command import Command
from fixtures.target.profile import Target, load_target
from fixtures.verdict import Verdict, blind_at, code_of_verdict
from reports.terminal.document import answer
from rollback_actions.containers.compose import ComposeControl
from rollback_actions.rollback.engine import RecordsMissing, RecordsUnknown, roll_back
from rollback_actions.rollback.maintenance import MaintenanceMode, left_on
from rollback_actions.session.holder import Life
from rollback_actions.session.leaks import SecretInRecord
from rollback_actions.session.lock import LockState, TargetLock, lock_state, open_lock
from rollback_actions.session.session import open_session
from rollback_actions.session.steps import Recorder


def begin(
    profile: Path,
    kind: Kind,
    name: str,
    incident: str | None,
    allowed: Allowed,
    backup: str | None = None,
) -> None:
    """Do the rollback of `kind`; `name` is its service, store or commit, `backup` the named set or None."""
    target = load_target(profile)
    # Everything that can be wrong with the wish is found before an incident is opened or a lock taken.
    plan = _plan_of(target, kind, name, NEWEST if backup is None else backup)
    _run(Advice(target, profile), plan, incident, allowed, backup=backup)


def _plan_of(target: Target, kind: Kind, name: str, backup: str) -> Plan:
    match kind:
        case Kind.SERVICE:
            return plan_service(target, name)
        case Kind.DATABASE:
            return plan_database(target, name, backup=backup)
        case Kind.FULL:
            return plan_full(target, name)
        case Kind.EMERGENCY:
            return plan_emergency(target, name, backup=backup)


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
            hint="there is nothing to resume: rollback status says how the last one went",
        )
    _run(Advice(target, profile), plan_unfinished(target, unfinished[0]), None, replace(allowed, again=True))


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """How the newest rollback went: `verdict` is *broken* until it is known.

    `kind`, `commit` and `names` are what was asked for, as far as that is known. `seconds` is how long it
    took, None before its end; `blind` are stores where a writer may have been unseen. `locked` tells whether
    the target's lock has a holder, or None if it cannot be read. `doubts` are why the record does not hold.
    """

    incident: str
    folder: str
    kind: Kind | None
    commit: str | None
    names: tuple[str, ...]
    runs: int
    steps: tuple[Ran, ...]
    verdict: Verdict
    recorded: Verdict | None
    seconds: float | None
    blind: tuple[str, ...]
    locked: bool | None
    lock: str
    record: str
    doubts: tuple[str, ...]
    next: str


def show_status(profile: Path, *, as_json: bool) -> None:
    """Show how the newest rollback went; end with its verdict's exit code unless it passed."""
    target = load_target(profile)
    lock = lock_state(target)
    found = newest_rollback(target.folders.incidents, target.name, lock.runs)
    seal = standing(found.incident.folder, target.signing)
    code = code_of_verdict(found.verdict)
    if code is ExitCode.VERIFIED and seal.wrong:
        code = ExitCode.BROKEN
    record = _status_record(found, lock, seal, advice_of(target, profile))
    answer(record, _status_lines, target.redactor().text, code, as_json=as_json)


def _run(
    advice: Advice,
    plan: Plan,
    incident: str | None,
    allowed: Allowed,
    *,
    backup: str | None = None,
) -> None:
    """Roll back by `plan`; `backup` is the set that a person named for it."""
    target = advice.target
    advice = replace(advice, options=allowed.words(target))
    unfinished = interrupted(target.folders.incidents, target.name, plan.wish)
    if unfinished is not None:
        # It resumes with its own baseline and backup, even if there are newer ones by now.
        require_the_same(unfinished, incident, backup)
        plan = plan_unfinished(target, unfinished)

    # A rollback that began was asked this before; it is half done, and nothing is better than its end.
    foreseen = () if unfinished else foresee(target, plan, open_engine(target.engine))

    def choose() -> str | None:
        # Another process's changes in the meantime count too: this is asked before the lock, and under it.
        for refusal in refusals_in(target, plan, foreseen, incident, allowed, unfinished):
            raise refusal
        now = interrupted(target.folders.incidents, target.name, plan.wish)
        if (now and now.incident.id) != (unfinished and unfinished.incident.id):
            raise UsageProblem(
                what=f"rollback {plan.wish}",
                expected=f"{'unfinished' if unfinished else 'not begun'}, as a moment ago",
                observed=f"{'unfinished' if now else 'not unfinished'} now",
                source=str(target.folders.incidents),
                hint="another one was quicker: see how that went (rollback status), and decide again",
            )
        return unfinished.incident.id if unfinished else incident

    choose()
    lock = open_lock(target, f"rollback {plan.wish}", take_over=allowed.take_over)
    begun: Incident | None = None
    record: RollbackRecord | None = None
    try:
        with open_session(target, lock, Step.ROLLBACK, choose) as session:
            begun = session.incident
            _note(session.steps, map(target.redactor().text, said(foreseen)))
            engine, control = open_engine(target.engine), ComposeControl(target.engine)
            with samples_kept(target, begun):
                record = roll_back(target, plan, begun, engine, control, session.steps)
            if plan.keeps_out and kept_out(target.application):
                _note(session.steps, [f"users stay out until it is verified: {advice.let_in()}"])
    except SecretInRecord:
        if record is not None:
            typer.echo(_done_line(record))
        raise
    except BaseException as error:
        # Only now is the state of the lock known. A refusal itself says what to do.
        if record is None and (begun is not None or isinstance(error, Unverifiable)):
            _call_for_hands(error, advice, _manual(error, advice, plan, begun, lock, backup))
        raise
    typer.echo(_done_line(record))


def let_in(profile: Path, *, anyway: bool, take_over: bool) -> None:
    """Take the application out of the maintenance that a rollback left on until it is verified."""
    target = load_target(profile)
    advice = Advice(target, profile)
    application = target.application
    if application.maintenance is None:
        raise UsageProblem(
            what="application.maintenance",
            expected="how maintenance is taken off",
            observed="none in the profile",
            source=str(profile),
            hint="nothing keeps users out that this profile knows of",
        )
    lock = open_lock(target, Step.LET_IN, take_over=take_over)
    found = newest_rollback(target.folders.incidents, target.name, lock_state(target).runs)

    def choose() -> str:
        # Asked under the lock: a rollback that has begun meanwhile is not verified.
        unfinished = unfinished_of(target.folders.incidents, target.name)
        if not anyway and (unfinished or not found.incident.closed):
            raise UsageProblem(
                what=f"rollback of incident {found.incident.id}",
                expected="verified, before users write again",
                observed="not finished" if unfinished else "not verified",
                source=str(found.incident.folder),
                hint=f"{advice.verify(found.incident.id)} (or let users in all the same: --anyway)",
            )
        return found.incident.id

    with open_session(target, lock, Step.LET_IN, choose) as session:
        control = ComposeControl(target.engine)
        MaintenanceMode(application, application.maintenance, control, session.steps).let_in()
    typer.echo("users are let in")


def _note(steps: Recorder, lines: Iterable[str]) -> None:
    for line in lines:
        steps.note(line)


def _done_line(record: RollbackRecord) -> str:
    return f"rollback: {_verdict(record.verdict, record.seconds, sorted(record.blind))}"


def _verdict(verdict: Verdict, seconds: float, blind: Sequence[str]) -> str:
    """Return the verdict in words, with the stores where a writer may have been unseen."""
    return f"{verdict} in {seconds:.1f} s{blind_at(blind)}"


def _call_for_hands(error: BaseException, advice: Advice, lines: list[str]) -> None:
    """Show the commands to type now: after the error if it is shown as it is, else at once."""
    text = advice.target.redactor().text("\n".join(lines))
    if isinstance(error, Problem):
        error.add_note(text)
    else:
        typer.echo(text, err=True)


def _manual(
    error: BaseException,
    advice: Advice,
    plan: Plan,
    incident: Incident | None,
    lock: TargetLock,
    backup: str | None,
) -> list[str]:
    if incident is not None and isinstance(error, RecordsMissing | RecordsUnknown):
        # Only the accounting failed: the target is as it was at the commit, and runs.
        return [
            f"MANUAL INTERVENTION: the rollback {plan.wish} is done, and records are not accounted for",
            f"  what became of them: {error.source}",
            f"  verify the target:   {advice.verify(incident.id)}",
        ]
    head = f"MANUAL INTERVENTION: the rollback {plan.wish} did not succeed"
    if incident is not None:
        head += f"; its record is {incident.folder}"
    # This process is about to end: a lock that it could not give back is for the next process to take over.
    over = lock.left_behind
    if lock.lost:
        return [head, f"  who continues, and how far: {advice.status()}"]
    if incident is None or not (incident.folder / UNFINISHED).exists():
        again = advice.rollback(plan.wish, take_over=over, backup=backup)
        return [head, f"  nothing was changed; when that is mended: {again}"]
    services = [*plan.stopped, *(s for name in plan.stores for s in advice.target.stores[name].services)]
    wider = advice.rollback(Wish(Kind.EMERGENCY, plan.commit), take_over=over, backup=backup)
    return [
        head,
        *advice.go_on(services, take_over=over),
        *([f"  or roll all back: {wider}"] if plan.kind is not Kind.EMERGENCY else []),
        *(left_on(advice) if plan.maintained else []),
    ]


def _status_record(found: Status, lock: LockState, seal: Standing, advice: Advice) -> StatusRecord:
    wish, record = _wish(found), found.record
    return StatusRecord(
        incident=found.incident.id,
        folder=str(found.incident.folder),
        kind=wish.kind if wish else None,
        commit=wish.commit if wish else None,
        names=wish.names if wish else (),
        runs=found.runs,
        steps=found.steps,
        verdict=found.verdict,
        recorded=record.verdict if record else None,
        seconds=round(record.seconds, 3) if record else None,
        blind=tuple(sorted(record.blind)) if record else (),
        locked=None if lock.problem is not None else lock.holder is not None,
        lock=str(lock),
        record=str(seal),
        doubts=tuple(seal.doubts),
        next=_next(found, lock, advice),
    )


def _status_lines(found: StatusRecord) -> Iterator[str]:
    """Yield the status for people; the last line says what to do next."""
    yield f"record: {found.record}"
    yield from (f"the record does not hold: {doubt}" for doubt in found.doubts)
    yield f"incident: {found.folder}"
    asked = found.kind and found.commit and Wish(found.kind, found.commit, found.names)
    yield f"rollback: {asked or 'unknown'}"
    if found.runs > 1:
        yield f"runs: {found.runs}"
    for step in found.steps:
        seconds = f" ({step.seconds:.1f} s)" if step.seconds is not None else ""
        text = f": {step.text}" if step.text else ""
        yield f"  {step.state:<8} {step.name}{seconds}{text}"
    yield f"verdict: {_ending(found)}"
    yield f"lock: {found.lock}"
    yield f"next: {found.next}"


def _ending(found: StatusRecord) -> str:
    if any(step.state is State.RUNNING for step in found.steps):
        return "not yet, it is running"
    if any(step.state is State.OPEN for step in found.steps):
        return "none yet; whether it runs cannot be known from here"
    if found.recorded is None or found.seconds is None:
        return "none, it was cut off"
    return _verdict(found.recorded, found.seconds, found.blind)


def _wish(found: Status) -> Wish | None:
    """Return what was asked for, or None if that is unknown."""
    if found.unfinished is not None:
        return found.unfinished.wish
    if found.record is None or found.record.kind not in set(Kind):
        return None
    return Wish(Kind(found.record.kind), found.record.commit, found.record.names)


def _next(found: Status, lock: LockState, advice: Advice) -> str:
    if lock.life in {Life.RUNS, Life.UNKNOWN}:
        return _wait(found, lock, advice)
    if found.unfinished is not None:
        return f"see why ({_logs(found, advice)}), then resume: {advice.resume(take_over=lock.ended)}"
    return _done(found, advice)


def _done(found: Status, advice: Advice) -> str:
    """Return the next action if nothing is left to resume."""
    verify, folder = advice.verify(found.incident.id), found.incident.folder
    if any(step.state is State.BROKEN for step in found.steps):
        return f"keep {folder}, and verify the target: {verify}"
    records = (found.record and found.record.records) or {}
    if records.get("unaccounted") or records.get("unknown"):
        return f"look for records that are not accounted for: {folder / f'{FOLDER}*' / ACCOUNTS}"
    if found.verdict is not Verdict.PASSED:
        return f"nothing is left to resume; decide again: {advice.plan()}"
    if found.incident.closed and kept_out(advice.target.application):
        return f"it is verified, let users in: {advice.let_in()}"
    return "nothing: it is verified" if found.incident.closed else f"verify it: {verify}"


def _wait(found: Status, lock: LockState, advice: Advice) -> str:
    if lock.life is Life.RUNS:
        return f"wait for {lock.holder}, and ask again: {advice.status()}"
    then = advice.resume(take_over=True) if found.unfinished else advice.status()
    return f"see whether {lock.holder} still runs; when it has ended: {then}"


def _logs(found: Status, advice: Advice) -> Command:
    wish = found.unfinished.wish if found.unfinished else None
    target: Target = advice.target
    if wish is None or not wish.names:
        return advice.logs(target.application.services)
    stores = [s for name in wish.names if name in target.stores for s in target.stores[name].services]
    return advice.logs(stores or wish.names)
