"""The commands of `python -m rollback_actions rollback …`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from fixtures.engines.factory import open_engine
from fixtures.errors import ExitCode, Problem, Unverifiable, UsageProblem
from fixtures.incident import CHANGE, UNFINISHED, Incident, RollbackRecord, load_incident
from fixtures.kept_samples import samples_kept
from fixtures.target import Target, load_target
from fixtures.verdict import Verdict
from rollback_actions.advice import Advice
from rollback_actions.backup import NEWEST
from rollback_actions.compose import ComposeControl
from rollback_actions.holder import Life
from rollback_actions.leaks import SecretInRecord
from rollback_actions.lock import LockState, TargetLock, lock_state, open_lock
from rollback_actions.losses import ACCOUNTS
from rollback_actions.lost_window import FOLDER
from rollback_actions.maintenance import left_on
from rollback_actions.plan import (
    Plan,
    plan_database,
    plan_emergency,
    plan_full,
    plan_service,
    plan_unfinished,
)
from rollback_actions.refusals import Allowed, advice_of, refuse
from rollback_actions.rollback import RecordsMissing, RecordsUnknown, roll_back
from rollback_actions.session import IncidentId, Profile, TakeOver, open_session
from rollback_actions.status import ROLLBACK, State, Status, newest_rollback
from rollback_actions.unfinished import (
    Unfinished,
    interrupted,
    refuse_beside_unfinished,
    refuse_over_half_restored,
    unfinished_of,
)
from rollback_actions.wish import Kind, Wish

rollback_app = typer.Typer(help="Roll a target back.", no_args_is_help=True)

Commit = Annotated[str, typer.Argument(help="Hash of the commit to go back to.")]
Confirm = Annotated[
    str | None,
    typer.Option(help="Name of the target, which a protected one asks for.", show_default=False),
]
OverBudget = Annotated[
    bool, typer.Option("--over-budget", help="Roll back though it is expected to take too long.")
]
BackupName = Annotated[
    str | None,
    typer.Option(
        "--backup",
        help="Folder name of the backup set to go back to, the newest whole one without it. One that is "
        "named is taken even where its index is damaged: all that is there now is exported.",
        show_default=False,
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Roll back once more within the hold time.")]


@rollback_app.command()
def service(
    name: Annotated[str, typer.Argument(help="A service of the application.")],
    profile: Profile,
    incident: IncidentId = None,
    confirm: Confirm = None,
    *,
    take_over: TakeOver = False,
    over_budget: OverBudget = False,
    again: Again = False,
) -> None:
    """Put the service NAME back on the image and configuration of the known-good commit."""
    target = load_target(profile)
    allowed = Allowed(confirm, over_budget, again)
    _run(Advice(target, profile), plan_service(target, name), incident, allowed, take_over=take_over)


@rollback_app.command()
def database(
    name: Annotated[str, typer.Argument(help="A store.")],
    profile: Profile,
    incident: IncidentId = None,
    confirm: Confirm = None,
    backup: BackupName = None,
    *,
    take_over: TakeOver = False,
    over_budget: OverBudget = False,
    again: Again = False,
) -> None:
    """Put the data of store NAME back to the backup of the known-good commit."""
    target = load_target(profile)
    allowed = Allowed(confirm, over_budget, again)
    plan = plan_database(target, name, backup=NEWEST if backup is None else backup)
    _run(Advice(target, profile), plan, incident, allowed, take_over=take_over, backup=backup)


@rollback_app.command()
def full(
    commit: Commit,
    profile: Profile,
    incident: IncidentId = None,
    confirm: Confirm = None,
    *,
    take_over: TakeOver = False,
    over_budget: OverBudget = False,
    again: Again = False,
) -> None:
    """Put code and images of the application back to what they were at COMMIT; data stays as it is."""
    target = load_target(profile)
    allowed = Allowed(confirm, over_budget, again)
    _run(Advice(target, profile), plan_full(target, commit), incident, allowed, take_over=take_over)


@rollback_app.command()
def emergency(
    commit: Commit,
    profile: Profile,
    incident: IncidentId = None,
    confirm: Confirm = None,
    backup: BackupName = None,
    *,
    take_over: TakeOver = False,
    over_budget: OverBudget = False,
    again: Again = False,
) -> None:
    """Put code, images and the data of every store back to what they were at COMMIT."""
    target = load_target(profile)
    # Everything that can be wrong with the wish is found before an incident is opened or a lock taken.
    allowed = Allowed(confirm, over_budget, again)
    plan = plan_emergency(target, commit, backup=NEWEST if backup is None else backup)
    _run(Advice(target, profile), plan, incident, allowed, take_over=take_over, backup=backup)


@rollback_app.command()
def resume(
    profile: Profile,
    confirm: Confirm = None,
    *,
    take_over: TakeOver = False,
    over_budget: OverBudget = False,
) -> None:
    """Go on with the newest rollback that began and did not succeed, in its incident."""
    target = load_target(profile)
    incidents = target.folders.incidents
    unfinished = unfinished_of(incidents, target.name)
    if not unfinished:
        raise UsageProblem(
            what=f"unfinished rollback of {target.name}",
            expected="one that began and did not succeed",
            observed="none",
            source=str(incidents),
            hint="there is nothing to go on with: rollback status says how the last one went",
        )
    allowed = Allowed(confirm, over_budget, again=True)
    _run(Advice(target, profile), plan_unfinished(target, unfinished[0]), None, allowed, take_over=take_over)


@rollback_app.command()
def status(profile: Profile) -> None:
    """Say how the newest rollback went, step by step, and what to do next; changes nothing."""
    target = load_target(profile)
    lock = lock_state(target)
    found = newest_rollback(target.folders.incidents, target.name, lock.runs)
    redact = target.redactor().text
    for line in _status_lines(found, lock, advice_of(target, profile)):
        typer.echo(redact(line))
    if found.verdict is not Verdict.PASSED:
        raise typer.Exit(ExitCode.FAILED if found.verdict is Verdict.FAILED else ExitCode.BROKEN)


def _run(
    advice: Advice,
    plan: Plan,
    incident: str | None,
    allowed: Allowed,
    *,
    take_over: bool,
    backup: str | None = None,
) -> None:
    """Roll back by `plan`; `backup` is the set that a person named for it."""
    target = advice.target
    advice = replace(advice, options=allowed.words(target))
    unfinished = interrupted(target.folders.incidents, target.name, plan.wish)
    if unfinished is not None:
        # It goes on with what it began with, whatever is newer by now.
        _require_the_same(unfinished, incident, backup)
        plan = plan_unfinished(target, unfinished)

    def choose() -> str | None:
        # What another one has done or left meanwhile counts too: this is asked before the lock, and under it.
        refuse_over_half_restored(target.folders.incidents, target.name, plan.wish)
        if incident is not None:
            _require_fit(target, incident, plan.wish)
        refuse(target, plan, allowed, resumed=unfinished is not None and unfinished.kept is not None)
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
    lock = open_lock(target, f"{ROLLBACK}{plan.wish}", take_over=take_over)
    begun: Incident | None = None
    record: RollbackRecord | None = None
    try:
        with open_session(target, lock, choose) as session:
            begun = session.incident
            engine, control = open_engine(target.engine), ComposeControl(target.engine)
            with samples_kept(target, begun):
                record = roll_back(target, plan, begun, engine, control, session.steps)
    except SecretInRecord:
        if record is not None:
            typer.echo(_done_line(record))
        raise
    except BaseException as error:
        # Only now is it known how the lock fares. A refusal says itself what to do.
        if record is None and (begun is not None or isinstance(error, Unverifiable)):
            _call_for_hands(error, advice, _manual(error, advice, plan, begun, lock, backup))
        raise
    typer.echo(_done_line(record))


def _done_line(record: RollbackRecord) -> str:
    return f"rollback: {record.verdict} in {record.seconds:.1f} s"


def _require_the_same(unfinished: Unfinished, incident: str | None, backup: str | None) -> None:
    """Refuse to go on with `unfinished` where another incident or another backup set is named for it."""
    if incident not in {None, unfinished.incident.id}:
        raise UsageProblem(
            what=f"incident of the rollback {unfinished.wish}",
            expected=f"{unfinished.incident.id}, in which it began and did not succeed",
            observed=str(incident),
            source="--incident",
            hint="leave --incident out: what was there before it began is recorded in that incident",
        )
    if backup not in {None, unfinished.backup}:
        raise UsageProblem(
            what=f"backup set of the rollback {unfinished.wish}",
            expected=f"{unfinished.backup or 'the newest'}, with which it began and did not succeed",
            observed=repr(backup),
            source="--backup",
            hint="go on with that one (rollback resume), and then roll back once more: --again --backup NAME",
        )


def _require_fit(target: Target, incident: str, wish: Wish) -> None:
    """Refuse an incident in which the rollback `wish` would not be found, or make another one forgotten."""
    records = target.folders.incidents.glob("*/incident.json")
    if any(path.parent.name == incident and load_incident(path.parent).kind == CHANGE for path in records):
        raise UsageProblem(
            what="incident of a rollback",
            expected="one of its own, or an incident",
            observed=f"{incident}, the record of a migration that is yet to be",
            source="--incident",
            hint="leave --incident out: the gate looks for rollbacks in incidents",
        )
    refuse_beside_unfinished(target.folders.incidents, target.name, wish, incident)


def _call_for_hands(error: BaseException, advice: Advice, lines: list[str]) -> None:
    """Say what to type now: after the error where it will be shown as it is, else at once."""
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
    # This process is about to end: a lock that it could not give back is for the next one to take over.
    over = lock.left_behind
    if lock.lost:
        return [head, f"  who goes on, and how far that is: {advice.status()}"]
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


def _status_lines(found: Status, lock: LockState, advice: Advice) -> list[str]:
    what = _what(found)
    lines = [f"incident: {found.incident.folder}", f"rollback: {what}"]
    lines += [f"runs: {found.runs}"] if found.runs > 1 else []
    for step in found.steps:
        seconds = f" ({step.seconds:.1f} s)" if step.seconds is not None else ""
        text = f": {step.text}" if step.text else ""
        lines.append(f"  {step.state:<8} {step.name}{seconds}{text}")
    lines.append(_ending(found))
    return [*lines, f"lock: {lock}", f"next: {_next(found, lock, advice)}"]


def _ending(found: Status) -> str:
    if any(step.state is State.RUNNING for step in found.steps):
        return "verdict: not yet, it is running"
    if any(step.state is State.OPEN for step in found.steps):
        return "verdict: none yet; whether it runs cannot be known from here"
    if found.record is None:
        return "verdict: none, it was cut off"
    return f"verdict: {found.record.verdict} in {found.record.seconds:.1f} s"


def _what(found: Status) -> str:
    if found.unfinished is not None:
        return str(found.unfinished.wish)
    if found.record is None or found.record.kind not in set(Kind):
        return "unknown"
    return str(Wish(Kind(found.record.kind), found.record.commit, found.record.names))


def _next(found: Status, lock: LockState, advice: Advice) -> str:
    if lock.life in {Life.RUNS, Life.UNKNOWN}:
        return _wait(found, lock, advice)
    if found.unfinished is not None:
        return f"see why ({_logs(found, advice)}), then go on: {advice.resume(take_over=lock.ended)}"
    return _done(found, advice)


def _done(found: Status, advice: Advice) -> str:
    """Return what is next where nothing is left to go on with."""
    verify, folder = advice.verify(found.incident.id), found.incident.folder
    if any(step.state is State.BROKEN for step in found.steps):
        return f"keep {folder}, and verify the target: {verify}"
    records = (found.record and found.record.records) or {}
    if records.get("unaccounted") or records.get("unknown"):
        return f"look for records that are not accounted for: {folder / f'{FOLDER}*' / ACCOUNTS}"
    if found.verdict is not Verdict.PASSED:
        return f"a later rollback has done its work; decide anew: {advice.plan()}"
    return "nothing: it is verified" if found.incident.closed else f"verify it: {verify}"


def _wait(found: Status, lock: LockState, advice: Advice) -> str:
    if lock.life is Life.RUNS:
        return f"wait for {lock.holder}, and ask again: {advice.status()}"
    then = advice.resume(take_over=True) if found.unfinished else advice.status()
    return f"see whether {lock.holder} still runs; when it has ended: {then}"


def _logs(found: Status, advice: Advice) -> str:
    wish = found.unfinished.wish if found.unfinished else None
    target: Target = advice.target
    if wish is None or not wish.names:
        return advice.logs(target.application.services)
    stores = [s for name in wish.names if name in target.stores for s in target.stores[name].services]
    return advice.logs(stores or wish.names)
