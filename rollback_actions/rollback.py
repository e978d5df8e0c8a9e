"""The one engine of every rollback: it does what the plan says, and is run again after any interruption."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fixtures.clock import Moment
from fixtures.command import Deadline
from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ActionFailed, Problem, Unverifiable
from fixtures.incident import Incident, RollbackRecord
from fixtures.rollbacks import ROLLBACK_BEGAN
from fixtures.target import Target
from fixtures.verdict import Verdict
from rollback_actions.backup import backup_written, each_store, take_backup
from rollback_actions.commit import check_out
from rollback_actions.configuration import configuration_at
from rollback_actions.containers import ContainerControl
from rollback_actions.losses import ACCOUNTS, Losses
from rollback_actions.maintenance import MaintenanceMode
from rollback_actions.origin import origin_of
from rollback_actions.plan import Plan
from rollback_actions.schedule import Schedule, Stage, schedule_of
from rollback_actions.steps import Recorder
from rollback_actions.stores.factory import open_keeper
from rollback_actions.stores.keeper import BacksUp, StoppedKeeper, StoreKeeper, kept_by
from rollback_actions.unfinished import Unfinished, supersede_covered, unsettle_others
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
        with steps(LOOK, schedule.deadline(Stage.LOOK)):
            control.require_images(plan.images, deadline=schedule.deadline(Stage.LOOK))
            # What a commit's files refer to is there only once that is checked out.
            if not plan.checks_out:
                with _compose_files(target, plan) as files:
                    control.described(files=files, deadline=schedule.deadline(Stage.LOOK))
    backup = plan.backup.folder.name if plan.backup else ""
    origin = origin_of(target, engine)
    unfinished = Unfinished.begin(incident, plan.wish, plan.baseline.id, backup, plan.stores, origin)
    _record_beginning(target, unfinished, steps)
    run = _Run(target, plan, unfinished, engine, control, steps, schedule)
    try:
        _roll_back(run)
        for other in supersede_covered(target.folders.incidents, target.name, plan.wish, incident):
            steps.note(f"nothing is left to do of the rollback of incident {other}")
    except BaseException as error:
        try:
            incident.write_rollback(unfinished.outcome(Verdict.FAILED, Moment.now()))
        except ActionFailed as second:
            # What failed first is what has to be said.
            error.add_note(str(second))
        raise
    records = unfinished.records or {}
    missing, unknown = records.get("unaccounted", 0), records.get("unknown", 0)
    verdict = Verdict.FAILED if missing else Verdict.BROKEN if unknown else Verdict.PASSED
    record = unfinished.outcome(verdict, Moment.now())
    # In this order: a kill between the two leaves something to resume, never a success without its record.
    incident.write_rollback(record)
    unfinished.end()
    if missing:
        raise RecordsMissing(**_unsettled(unfinished, f"{missing:,} that are neither"))
    if unknown:
        raise RecordsUnknown(**_unsettled(unfinished, f"{unknown:,} collections that could not be read"))
    return record


def _record_beginning(target: Target, unfinished: Unfinished, steps: Recorder) -> None:
    """Write down what it goes back from, and its limits: a run that goes on says what the first one found."""
    wish, origin = unfinished.wish, unfinished.origin
    if origin is None:
        steps.note("what is deployed could not be told: the gate of the next migration will ask for it")
    steps.record(
        ROLLBACK_BEGAN,
        kind=wish.kind,
        names=" ".join(wish.names),
        commit=wish.commit,
        head=None if origin is None else origin.head,
        revisions=None if origin is None else " ".join(origin.revisions),
        budget_seconds=float(target.rollback_seconds),
        objective_seconds=float(target.rto_seconds),
    )


class RecordsMissing(ActionFailed):
    """The rollback is done, and records of before are neither in the stores nor in the lost window."""


class RecordsUnknown(Unverifiable):
    """The rollback is done, and nobody knows what became of records of before."""


def _unsettled(unfinished: Unfinished, observed: str) -> dict[str, str]:
    folder = unfinished.incident.folder / (unfinished.windows or ("",))[0]
    return {
        "what": "records of before the rollback",
        "expected": "each kept, restored or exported",
        "observed": observed,
        "source": str(folder / ACCOUNTS),
        # The target is as it was; another restore would change nothing about what is missing.
        "hint": f"look for them in the safety copy, {unfinished.kept}; the rollback itself is done",
    }


def _roll_back(run: _Run) -> None:
    """Do the steps. What an earlier run has restored, and accounted for, is not restored again."""
    plan, steps = run.plan, run.steps
    maintenance = _maintenance(run)
    if run.unfinished.records is None:
        besides = maintenance.begin() if maintenance else ()
        with steps(stop_step(plan), run.schedule.deadline(Stage.STOP)):
            there = run.engine.containers()
            for group in (*plan.stops, *besides):
                present = [service for service in group if service in there]
                run.control.stop(present, deadline=run.schedule.deadline(Stage.STOP))
        with Watch(run.target, plan.stores, run.engine, steps) as watch:
            _put_back(run, watch)
    with steps(start_step(plan), run.schedule.deadline(Stage.START)):
        _start(run, plan.stopped)
    if maintenance:
        maintenance.end(lambda: _start(run, (plan.maintained,)))


def _maintenance(run: _Run) -> MaintenanceMode | None:
    application = run.target.application
    if not run.plan.maintained or application.maintenance is None:
        return None
    return MaintenanceMode(application, application.maintenance, run.control, run.steps)


def _put_back(run: _Run, watch: Watch) -> None:
    """Put data and working copy back while nothing of the application runs."""
    target, plan, steps = run.target, run.plan, run.steps
    down = _start_stores(run)
    if plan.stores:
        with steps(QUIET) as step:
            step.result = watch.begin()
    losses = None
    if plan.backup is not None:
        losses = Losses(target, run.engine, plan.backup, run.unfinished)
        _keep(run, losses, down)
    if plan.checks_out:
        with steps(CHECK_OUT, run.schedule.deadline(Stage.CHECK_OUT)) as step:
            folder, seconds = run.unfinished.incident.folder, run.schedule.deadline(Stage.CHECK_OUT)
            step.result = check_out(target.application.repository, plan.commit, folder, seconds=seconds)
    if losses is not None:
        _restore(run, losses)
        with steps(WATCHED) as step:
            step.result = watch.end()
        losses.finish()


def _keep(run: _Run, losses: Losses, down: Collection[str]) -> None:
    """Keep what the stores hold now, and export what was written since the backup.

    A run that goes on with another keeps no second copy: what is there may be half restored. What was written
    since the first run is exported all the same.
    """
    target, steps = run.target, run.steps
    limit = Deadline(run.schedule.deadline(Stage.KEEP))
    with steps(KEEP, limit.remaining) as step:
        losses.export(run.plan.stores, down, steps, limit)
        if run.unfinished.kept is None:
            keepers = {name: _keeps(run, name, limit.remaining, down) for name in run.plan.stores}
            folder = target.folders.backups / "safety"
            with backup_written(folder):
                safety = _next_safety(folder, run.unfinished.incident.id)
            take_backup(safety, target.name, f"before the rollback to {run.plan.commit}", keepers, steps)
            run.unfinished.keep(safety)
        step.result = str(run.unfinished.kept)


def _keeps(run: _Run, name: str, deadline: float, down: Collection[str]) -> BacksUp:
    """Return what keeps a store before its restore."""
    return kept_by(_keeper(run, name, deadline), up=name not in down)


def _restore(run: _Run, losses: Losses) -> None:
    """Restore every store, side by side, and account for what it held and holds."""
    for other in unsettle_others(run.target.folders.incidents, run.target.name, run.unfinished.incident):
        run.steps.note(f"what the rollback of incident {other} has restored is overwritten")
    deadline = run.schedule.deadline(Stage.RESTORE)
    keepers = {name: _keeper(run, name, deadline) for name in run.plan.stores}

    def restore(name: str) -> None:
        with run.steps(restore_step(name), deadline) as step:
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
        there = run.engine.containers()
        run.control.start([service for service in services if service in there], deadline=deadline)
        return
    images = {service: run.plan.images[service] for service in services}
    with _compose_files(run.target, run.plan) as files:
        run.control.up(images, images, files=files, deadline=deadline)


@contextmanager
def _compose_files(target: Target, plan: Plan) -> Iterator[tuple[Path, ...]]:
    if plan.checks_out:
        yield target.engine.files
        return
    # The working copy stays where the other services are; this one's configuration is the commit's.
    with configuration_at(target, plan.commit, plan.wish.names[0]) as committed:
        yield committed


def _start_stores(run: _Run) -> set[str]:
    """Start stores that are down; return those that stay so, and can be kept and restored all the same.

    Raises:
        Problem: another one does not start. It cannot be asked for what it holds, nor be restored.
    """
    down = set()
    for name in run.plan.stores:
        try:
            with run.steps(up_step(name), run.schedule.deadline(Stage.UP)):
                services = run.target.stores[name].services
                run.control.start(services, deadline=run.schedule.deadline(Stage.UP))
        except Problem as problem:
            if not isinstance(_keeper(run, name, 0.0), StoppedKeeper):
                raise
            down.add(name)
            run.steps.note(f"{name} is not up, its records cannot be asked for: {problem.summary}")
    return down


def _next_safety(folder: Path, incident: str) -> Path:
    """Return a folder that is not there yet: what was kept is never kept over."""
    folder.mkdir(parents=True, exist_ok=True)
    # Also where an operator has packed or renamed one: its number is not given again.
    numbered = re.compile(rf"{re.escape(incident)}-([0-9]+)(?![0-9]).*", re.ASCII | re.DOTALL)
    numbers = [int(found[1]) for path in folder.iterdir() if (found := numbered.fullmatch(path.name))]
    return folder / f"{incident}-{max(numbers, default=0) + 1:02d}"
