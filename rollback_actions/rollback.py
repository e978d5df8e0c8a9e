"""The one engine of every rollback: it does what the plan says, and is run again after any interruption."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fixtures.clock import Moment
from fixtures.command import Deadline
from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ActionFailed, Problem
from fixtures.incident import Incident, RollbackRecord
from fixtures.target import Target
from fixtures.verdict import Verdict
from rollback_actions.accounting import Account
from rollback_actions.backup import each_store, take_backup
from rollback_actions.commit import check_out, files_at
from rollback_actions.containers import ContainerControl
from rollback_actions.losses import Losses
from rollback_actions.lost_window import FOLDER
from rollback_actions.maintenance import MaintenanceMode
from rollback_actions.plan import Plan
from rollback_actions.schedule import Schedule, Stage, schedule_of
from rollback_actions.steps import Recorder
from rollback_actions.stores.factory import open_keeper
from rollback_actions.stores.keeper import StoreKeeper
from rollback_actions.unfinished import Unfinished, supersede_covered
from rollback_actions.wish import Kind
from rollback_actions.writers import QUIET, WATCHED, Watch

LOOK = "see that the recorded images are there"
KEEP = "keep what is there now"
CHECK_OUT = "check out the commit"


def stop_step(plan: Plan) -> str:
    """Return the name of the step that stops services."""
    return f"stop {plan.stopped[0]}" if plan.kind is Kind.SERVICE else "stop the application"


def up_step(store: str) -> str:
    """Return the name of the step that starts a store that is down."""
    return f"see that {store} is up"


def restore_step(store: str) -> str:
    """Return the name of the step that restores a store."""
    return f"restore {store}"


def start_step(plan: Plan) -> str:
    """Return the name of the step that starts services."""
    match plan.kind:
        case Kind.SERVICE:
            return f"start {plan.stopped[0]} on its recorded image"
        case Kind.DATABASE:
            return "start the application"
        case _:
            return "start the application on the recorded images"


@dataclass(frozen=True, slots=True)
class _Run:
    """What the steps of one rollback work with."""

    target: Target
    plan: Plan
    unfinished: Unfinished
    engine: ContainerEngine
    control: ContainerControl
    steps: Recorder
    schedule: Schedule


def roll_back(
    target: Target,
    plan: Plan,
    incident: Incident,
    engine: ContainerEngine,
    control: ContainerControl,
    steps: Recorder,
) -> RollbackRecord:
    """Roll `target` back by `plan`, and record how it ended, whichever way.

    Where it can, the application says that it is in maintenance, until all of it is healthy again. The
    writers stop first, and one that is seen while data is restored fails the rollback before anything is
    started. What a store holds now is kept before any of it is overwritten, and what was written since the
    backup is exported; when the stores are restored, every record is accounted for.
    After an interruption it is run again in the same incident, does every restore anew from the backup, and
    keeps nothing twice: what is there then may be half restored, and what was there before is kept already.
    """
    schedule = schedule_of(target, plan)
    if plan.images:
        with steps(LOOK):
            control.require_images(plan.images, deadline=schedule.deadline(Stage.LOOK))
    run = _Run(
        target,
        plan,
        Unfinished.begin(incident, plan.wish, plan.baseline.id),
        engine,
        control,
        steps,
        schedule,
    )
    try:
        account = _roll_back(run)
        for other in supersede_covered(target.folders.incidents, target.name, plan.wish, incident):
            steps.note(f"nothing is left to do of the rollback of incident {other}")
    except BaseException:
        incident.write_rollback(run.unfinished.outcome(Verdict.FAILED, Moment.now()))
        raise
    return _record(run, account)


def _record(run: _Run, account: Account | None) -> RollbackRecord:
    """Record that nothing is left to do, and what became of the records."""
    incident = run.unfinished.incident
    lost = account is not None and account.unaccounted > 0
    record = replace(
        run.unfinished.outcome(Verdict.FAILED if lost else Verdict.PASSED, Moment.now()),
        records=None if account is None else account.counts(),
    )
    # In this order: a kill between the two leaves something to resume, never a success without its record.
    incident.write_rollback(record)
    run.unfinished.end()
    if account is not None and lost:
        # The target is as it was; what is lost would be no less so after another restore.
        raise ActionFailed(
            what="records of before the rollback",
            expected="each kept, restored or exported",
            observed=f"{account.unaccounted:,} that are neither: {account.first}",
            source=str(incident.folder / FOLDER),
            hint=f"look for them in the safety copy, {run.unfinished.kept}; the rollback itself is done",
        )
    return record


def _roll_back(run: _Run) -> Account | None:
    """Do the steps; return what became of the records of the stores that were restored."""
    plan, steps = run.plan, run.steps
    maintenance = _maintenance(run)
    besides = maintenance.begin() if maintenance else ()
    with steps(stop_step(plan)):
        there = run.engine.containers()
        for group in (*plan.stops, *besides):
            present = [service for service in group if service in there]
            run.control.stop(present, deadline=run.schedule.deadline(Stage.STOP))
    with Watch(run.target, plan.stores, run.engine, steps) as watch:
        losses = _put_back(run, watch)
    with steps(start_step(plan)):
        _start(run, plan.stopped)
    if maintenance:
        maintenance.end(lambda: _start(run, (plan.maintained,)))
    return None if losses is None else losses.finish()


def _maintenance(run: _Run) -> MaintenanceMode | None:
    application = run.target.application
    if not run.plan.maintained or application.maintenance is None:
        return None
    return MaintenanceMode(application, application.maintenance, run.control, run.steps)


def _put_back(run: _Run, watch: Watch) -> Losses | None:
    """Put data and working copy back while nothing of the application runs; return what is lost by that."""
    target, plan, steps = run.target, run.plan, run.steps
    down = _start_stores(run)
    if plan.stores:
        with steps(QUIET) as step:
            step.result = watch.begin()
    losses = None
    if plan.backup is not None:
        losses = Losses(target, run.engine, plan.backup, run.unfinished.incident.folder / FOLDER)
        if run.unfinished.kept is None:
            _keep(run, losses, down)
    if plan.checks_out:
        with steps(CHECK_OUT) as step:
            folder = run.unfinished.incident.folder
            step.result = check_out(target.application.repository, plan.commit, folder)
    if losses is not None:
        _restore(run, losses)
        with steps(WATCHED) as step:
            step.result = watch.end()
    return losses


def _keep(run: _Run, losses: Losses, down: Collection[str]) -> None:
    """Keep what the stores hold now, but for those that are `down`, and export what was written since."""
    target, steps = run.target, run.steps
    deadline = run.schedule.deadline(Stage.KEEP)
    safety = _next_safety(target.folders.backups / "safety", run.unfinished.incident.id)
    with steps(KEEP) as step:
        # A store that does not start cannot be asked for records: that is said, and no reason to stop.
        keepers = {name: _keeper(run, name, deadline) for name in run.plan.stores if name not in down}
        losses.export(run.plan.stores, down, steps, Deadline(deadline))
        of = f"before the rollback to {run.plan.commit}"
        take_backup(safety, target.name, of, keepers, steps, restored_next=True)
        run.unfinished.keep(safety)
        step.result = str(safety)


def _restore(run: _Run, losses: Losses) -> None:
    """Restore every store, side by side, and account for what it held and holds."""
    deadline = run.schedule.deadline(Stage.RESTORE)
    keepers = {name: _keeper(run, name, deadline) for name in run.plan.stores}

    def restore(name: str) -> None:
        with run.steps(restore_step(name)) as step:
            restored = keepers[name].restore(losses.backup.folder / name)
            notes = "".join(f"; {note}" for note in restored.notes)
            step.result = f"{sum(restored.records.values()):,} records{notes}"
        losses.account(name, run.steps, Deadline(run.schedule.deadline(Stage.ACCOUNT)))

    each_store(keepers, restore)


def _keeper(run: _Run, name: str, deadline: float) -> StoreKeeper:
    return open_keeper(name, run.target.stores[name], run.engine, run.control, deadline)


def _start(run: _Run, services: Sequence[str]) -> None:
    deadline = run.schedule.deadline(Stage.START)
    if not run.plan.images:
        run.control.start(services, deadline=deadline)
        return
    images = {service: run.plan.images[service] for service in services}
    with _compose_files(run) as files:
        run.control.up(images, images, files=files, deadline=deadline)


@contextmanager
def _compose_files(run: _Run) -> Iterator[tuple[Path, ...]]:
    files = run.target.engine.files
    if run.plan.checks_out:
        yield files
        return
    # The working copy stays where the other services are; this one's configuration is the commit's.
    with files_at(run.target.application.repository, run.plan.commit, files) as committed:
        yield committed


def _start_stores(run: _Run) -> set[str]:
    """Start stores that are down, and return those that stay so: their restore may be their cure."""
    down = set()
    for name in run.plan.stores:
        try:
            with run.steps(up_step(name)):
                services = run.target.stores[name].services
                run.control.start(services, deadline=run.schedule.deadline(Stage.UP))
        except Problem as problem:
            down.add(name)
            run.steps.note(f"{name} is not up, what it holds is not kept: {problem.summary}")
    return down


def _next_safety(folder: Path, incident: str) -> Path:
    """Return a folder that is not there yet: what was kept is never kept over."""
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob(f"{incident}-*"))) + 1
    return folder / f"{incident}-{number:02d}"
