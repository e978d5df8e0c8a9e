"""The one engine of every rollback: it does what the plan says, and is run again after any interruption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fixtures.clock import Moment
from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ActionFailed, Problem
from fixtures.incident import Incident, RollbackRecord
from fixtures.target import Target
from fixtures.verdict import Verdict
from rollback_actions.accounting import Account
from rollback_actions.backup import BackupSet, each_store, take_backup
from rollback_actions.commit import check_out, files_at
from rollback_actions.containers import ContainerControl
from rollback_actions.losses import Losses
from rollback_actions.lost_window import FOLDER
from rollback_actions.maintenance import MaintenanceMode
from rollback_actions.plan import Plan
from rollback_actions.steps import Recorder
from rollback_actions.stores.factory import open_keeper
from rollback_actions.stores.keeper import StoreKeeper
from rollback_actions.unfinished import Unfinished, supersede_covered
from rollback_actions.wish import Kind
from rollback_actions.writers import QUIET, WATCHED, Watch

_START_SECONDS = 60.0

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
    started. What a store holds now is kept before any of it is overwritten.
    After an interruption it is run again in the same incident, does every restore anew from the backup, and
    keeps nothing twice: what is there then may be half restored, and what was there before is kept already.
    """
    if plan.images:
        with steps(LOOK):
            control.require_images(plan.images, deadline=float(target.rollback_seconds))
    unfinished = Unfinished.begin(incident, plan.wish, plan.baseline.id)
    try:
        account = _roll_back(target, plan, unfinished, engine, control, steps)
        for other in supersede_covered(target.folders.incidents, target.name, plan.wish, incident):
            steps.note(f"nothing is left to do of the rollback of incident {other}")
    except BaseException:
        incident.write_rollback(unfinished.outcome(Verdict.FAILED, Moment.now()))
        raise
    lost = account is not None and account.unaccounted > 0
    record = replace(
        unfinished.outcome(Verdict.FAILED if lost else Verdict.PASSED, Moment.now()),
        records=account.counts() if account is not None else None,
    )
    # In this order: a kill between the two leaves something to resume, never a success without its record.
    incident.write_rollback(record)
    unfinished.end()
    if account is not None and lost:
        # The target is as it was; what is lost would be no less so after another restore.
        raise ActionFailed(
            what="records of before the rollback",
            expected="each kept, restored or exported",
            observed=f"{account.unaccounted:,} that are neither: {account.first}",
            source=str(incident.folder / FOLDER),
            hint=f"look for them in the safety copy, {unfinished.kept}; the rollback itself is done",
        )
    return record


def _roll_back(
    target: Target,
    plan: Plan,
    unfinished: Unfinished,
    engine: ContainerEngine,
    control: ContainerControl,
    steps: Recorder,
) -> Account | None:
    """Do the steps; return what became of the records of the stores that were restored."""
    deadline = float(target.rollback_seconds)
    maintenance = _maintenance(target, plan, control, steps)
    besides = maintenance.begin() if maintenance else ()
    with steps(stop_step(plan)):
        there = engine.containers()
        for group in (*plan.stops, *besides):
            control.stop([service for service in group if service in there], deadline=deadline)
    with Watch(target, plan.stores, engine, steps) as watch:
        losses = _put_back(target, plan, unfinished, engine, control, steps, watch)
    with steps(start_step(plan)):
        _start(target, plan, plan.stopped, control, deadline)
    if maintenance:
        maintenance.end(lambda: _start(target, plan, (plan.maintained,), control, deadline))
    return None if losses is None else losses.finish()


def _maintenance(
    target: Target, plan: Plan, control: ContainerControl, steps: Recorder
) -> MaintenanceMode | None:
    application = target.application
    if not plan.maintained or application.maintenance is None:
        return None
    return MaintenanceMode(application, application.maintenance, control, steps)


def _put_back(
    target: Target,
    plan: Plan,
    unfinished: Unfinished,
    engine: ContainerEngine,
    control: ContainerControl,
    steps: Recorder,
    watch: Watch,
) -> Losses | None:
    """Put data and working copy back while nothing of the application runs; return what is lost by that."""
    down = _start_stores(target, plan, control, steps)
    if plan.stores:
        with steps(QUIET) as step:
            step.result = watch.begin()
    keepers = {name: open_keeper(name, target.stores[name], engine, control) for name in plan.stores}
    losses = None if plan.backup is None else _losses(target, plan.backup, unfinished, engine)
    if losses is not None and unfinished.kept is None:
        safety = _next_safety(target.folders.backups / "safety", unfinished.incident.id)
        with steps(KEEP) as step:
            # A store that does not start cannot be asked for records: that is said, and no reason to stop.
            up = {name: keeper for name, keeper in keepers.items() if name not in down}
            losses.export(keepers, down, steps)
            of = f"before the rollback to {plan.commit}"
            take_backup(safety, target.name, of, up, steps, restored_next=True)
            unfinished.keep(safety)
            step.result = str(safety)
    if plan.checks_out:
        with steps(CHECK_OUT) as step:
            step.result = check_out(target.application.repository, plan.commit, unfinished.incident.folder)
    if losses is not None:
        _restore(losses, keepers, steps)
        with steps(WATCHED) as step:
            step.result = watch.end()
    return losses


def _losses(target: Target, backup: BackupSet, unfinished: Unfinished, engine: ContainerEngine) -> Losses:
    return Losses(target, engine, backup, unfinished.incident.folder / FOLDER)


def _restore(losses: Losses, keepers: Mapping[str, StoreKeeper], steps: Recorder) -> None:
    """Restore every store, side by side, and account for what it held and holds."""

    def restore(name: str) -> None:
        with steps(restore_step(name)) as step:
            restored = keepers[name].restore(losses.backup.folder / name)
            notes = "".join(f"; {note}" for note in restored.notes)
            step.result = f"{sum(restored.records.values()):,} records{notes}"
        losses.account(name, steps)

    each_store(keepers, restore)


def _start(
    target: Target, plan: Plan, services: Sequence[str], control: ContainerControl, deadline: float
) -> None:
    if not plan.images:
        control.start(services, deadline=deadline)
        return
    images = {service: plan.images[service] for service in services}
    with _compose_files(target, plan) as files:
        control.up(images, images, files=files, deadline=deadline)


@contextmanager
def _compose_files(target: Target, plan: Plan) -> Iterator[tuple[Path, ...]]:
    if plan.checks_out:
        yield target.engine.files
        return
    # The working copy stays where the other services are; this one's configuration is the commit's.
    with files_at(target.application.repository, plan.commit, target.engine.files) as files:
        yield files


def _start_stores(target: Target, plan: Plan, control: ContainerControl, steps: Recorder) -> set[str]:
    """Start stores that are down, and return those that stay so: their restore may be their cure."""
    down = set()
    for name in plan.stores:
        try:
            with steps(up_step(name)):
                control.start(target.stores[name].services, deadline=_START_SECONDS)
        except Problem as problem:
            down.add(name)
            steps.note(f"{name} is not up, what it holds is not kept: {problem.summary}")
    return down


def _next_safety(folder: Path, incident: str) -> Path:
    """Return a folder that is not there yet: what was kept is never kept over."""
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob(f"{incident}-*"))) + 1
    return folder / f"{incident}-{number:02d}"
