"""The one engine of every rollback: it executes the plan, and is run again after any interruption."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.decision.wish import Kind
from fixtures.engines.engine import ContainerEngine, images_of
from fixtures.errors import ActionFailed, Problem, Unverifiable
from fixtures.git.repository import head
from fixtures.incident.incident import Incident, RollbackRecord
from fixtures.incident.journal_steps import Step
from fixtures.incident.origin import Origin, is_commit_id
from fixtures.incident.rollbacks import ROLLBACK_BEGAN
from fixtures.record_names import ACCOUNTS
from fixtures.rollback.configuration import configuration_at
from fixtures.rollback.plan import Plan, PlannedStep, Stage
from fixtures.rollback.schedule import Schedule, schedule_of
from fixtures.rollback.unfinished import Unfinished, supersede_covered, unsettle_others
from fixtures.rollback.writers import Watch
from fixtures.system.clock import Moment
from fixtures.system.command import Deadline
from fixtures.system.files import make_folders
from fixtures.system.side_by_side import every
from fixtures.target.profile import Target
from fixtures.verdict import Verdict
from reports.terminal.progress import Step as Shown
from rollback_actions.backup.images import bring_images
from rollback_actions.backup.taking import backup_written, finish_sets, take_backup
from rollback_actions.containers.control import ContainerControl
from rollback_actions.rollback.checkout import check_out
from rollback_actions.rollback.connections import watch_of
from rollback_actions.rollback.losses import Losses
from rollback_actions.rollback.maintenance import MaintenanceMode
from rollback_actions.session.steps import Recorder
from rollback_actions.stores.contract import BacksUp, LoadingKeeper, StoppedKeeper, StoreKeeper, kept_by
from rollback_actions.stores.registry import open_keeper

# These steps keep their own time.
_UNTIMED = frozenset({Step.QUIET, Step.WATCHED})


def origin_of(target: Target, engine: ContainerEngine) -> Origin | None:
    """Return the deployed commit and revisions, or None if git or the engine cannot tell.

    Never a reason not to roll back: an unknown origin keeps the next migration's gate closed instead.
    """
    try:
        commit = head(target.application.repository)
        found = engine.containers()
    except Problem:
        return None
    labels = {container.revision for name in target.application.services for container in found.get(name, ())}
    return Origin(commit, tuple(sorted(label for label in labels if label and is_commit_id(label))))


@dataclass(frozen=True, slots=True)
class _Run:
    """The things that the steps of one rollback work with."""

    target: Target
    plan: Plan
    unfinished: Unfinished
    engine: ContainerEngine
    control: ContainerControl
    steps: Recorder
    schedule: Schedule

    def open(self, planned: PlannedStep, seconds: float | None = None) -> AbstractContextManager[Shown]:
        """Open a step of the plan; it may take `seconds`, by default its stage's deadline in the schedule."""
        if seconds is None and planned.id.step not in _UNTIMED:
            seconds = self.schedule.deadline(planned.stage)
        return self.steps(planned.id.step, planned.id.of, seconds)


def roll_back(
    target: Target,
    plan: Plan,
    incident: Incident,
    engine: ContainerEngine,
    control: ContainerControl,
    steps: Recorder,
) -> RollbackRecord:
    """Roll `target` back by `plan`, and record its end, however it ends.

    Where possible, the application reports maintenance until every service is healthy again, or until it is
    verified: see `MaintenanceMode`. The writers stop first. A writer that is seen while data is restored
    fails the rollback before anything is started. Each store's current data is kept before it is overwritten,
    and data written since the backup is exported. When the stores are restored, every record is accounted
    for.

    After an interruption it is run again in the same incident, and repeats every restore from the backup. The
    stores' earlier data is kept already. Data that may have come since is kept in a further safety copy.
    """
    schedule = schedule_of(target, plan)
    for look in plan.of(Step.LOOK):
        seconds = schedule.deadline(look.stage)
        with steps(look.id.step, look.id.of, seconds) as step:
            step.result = bring_images(target.folders.backups, plan.images, control, deadline=seconds)
            # The files that a commit's compose files refer to are there only after its checkout.
            if not plan.checks_out:
                with _compose_files(target, plan) as files:
                    control.described(files=files, deadline=seconds)
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
            # The first failure is the one to report.
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
    """Record the rollback's origin and its limits; a resumed run records the first run's origin."""
    wish, origin = unfinished.wish, unfinished.origin
    if origin is None:
        steps.note("what is deployed could not be told: the gate of the next migration will ask for it")
    steps.record(
        ROLLBACK_BEGAN,
        kind=wish.kind,
        names=wish.names,
        commit=wish.commit,
        head=None if origin is None else origin.head,
        revisions=None if origin is None else origin.revisions,
        budget_seconds=float(target.rollback_seconds),
        objective_seconds=float(target.rto_seconds),
    )


class RecordsMissing(ActionFailed):
    """The rollback is done, and earlier records are neither in the stores nor in the lost window."""


class RecordsUnknown(Unverifiable):
    """The rollback is done, and the fate of earlier records is not known."""


def _unsettled(unfinished: Unfinished, observed: str) -> dict[str, Any]:
    folder = unfinished.incident.folder / (unfinished.windows or ("",))[0]
    return {
        "what": "records of before the rollback",
        "expected": "each kept, restored or exported",
        "observed": observed,
        "source": str(folder / ACCOUNTS),
        # The rollback is done; another restore would change nothing about the missing records.
        "hint": f"look for them in {_copies(unfinished)}; the rollback itself is done",
    }


def _copies(unfinished: Unfinished) -> str:
    """Return the safety copies in words."""
    copies = [str(one) for one in unfinished.copies]
    return f"the safety {'copy' if len(copies) == 1 else 'copies'}, {', '.join(copies)}"


def _roll_back(run: _Run) -> None:
    """Do the steps. Data that an earlier run has restored and accounted for is not restored again."""
    plan, steps = run.plan, run.steps
    maintenance = _maintenance(run)
    if run.unfinished.records is None:
        besides = maintenance.begin() if maintenance else ()
        for stop in plan.of(Step.STOP):
            with run.open(stop):
                there = run.engine.containers()
                for group in (*plan.stops, *besides):
                    present = [service for service in group if service in there]
                    run.control.stop(present, deadline=run.schedule.deadline(stop.stage))
        with watch_of(run.target, plan.stores, run.engine, steps.note) as watch:
            _put_back(run, watch)
    for start in (*plan.of(Step.START), *plan.of(Step.RECREATE)):
        with run.open(start):
            _complete(run)
            _start(run, plan.stopped)
    if maintenance:
        maintenance.end(lambda: _start(run, (plan.maintained,)))
        if plan.keeps_out:
            maintenance.keep_out()


def _maintenance(run: _Run) -> MaintenanceMode | None:
    application = run.target.application
    if not run.plan.maintained or application.maintenance is None:
        return None
    return MaintenanceMode(application, application.maintenance, run.control, run.steps)


def _put_back(run: _Run, watch: Watch) -> None:
    """Put data and working copy back while nothing of the application runs."""
    target, plan = run.target, run.plan
    down = _start_stores(run)
    for quiet in plan.of(Step.QUIET):
        with run.open(quiet) as step:
            step.result = watch.begin()
    losses = None
    if plan.backup is not None:
        losses = Losses(target, run.engine, plan.backup, run.unfinished)
        for keep in plan.of(Step.KEEP):
            _keep(run, keep, losses, down)
    for out in plan.of(Step.CHECK_OUT):
        with run.open(out) as step:
            folder, seconds = run.unfinished.incident.folder, run.schedule.deadline(out.stage)
            step.result = check_out(target.application.repository, plan.commit, folder, seconds=seconds)
    if losses is not None:
        _restore(run, losses)
        for watched in plan.of(Step.WATCHED):
            with run.open(watched) as step:
                step.result = watch.end()
        losses.finish(watch.blind())


def _keep(run: _Run, keep: PlannedStep, losses: Losses, down: Collection[str]) -> None:
    """Keep the stores' current data, and export the data written since the backup.

    Nobody watched for writers between two runs. So a resumed run keeps again each store that may hold data
    which the earlier runs did not see. It fails when it cannot: see `Losses.export`.
    """
    target, steps = run.target, run.steps
    limit = Deadline(run.schedule.deadline(keep.stage))
    folder = target.folders.backups / "safety"
    with run.open(keep, limit.remaining) as step:
        with backup_written(folder):
            for finished in finish_sets(folder, target.name):
                steps.note(f"the safety copy {finished} was whole, and has its name now")
        _load(run, [name for name in run.plan.stores if name not in down], limit)
        unseen = losses.export(run.plan.stores, down, steps, limit)
        stores = [name for name in run.plan.stores if run.unfinished.kept is None or name in unseen]
        if stores:
            keepers = {name: _keeps(run, name, limit.remaining, down) for name in stores}
            with backup_written(folder):
                safety = _next_safety(folder, run.unfinished.incident.id)
            take_backup(safety, target.name, f"before the rollback to {run.plan.commit}", keepers, steps)
            run.unfinished.keep(safety)
        step.result = ", ".join(map(str, run.unfinished.copies))


def _load(run: _Run, names: Sequence[str], limit: Deadline) -> None:
    """Load what could not be exported otherwise; the restore brings back the state of the backup."""
    for name in names:
        keeper = _keeper(run, name, limit.remaining)
        if isinstance(keeper, LoadingKeeper):
            try:
                loaded = keeper.load()
            except Problem as problem:
                run.steps.note(f"{name} was not asked what is unloaded: {problem.summary}")
            else:
                if loaded:
                    run.steps.note(f"{name}: {', '.join(loaded)} was not loaded, and is now, to be exported")


def _keeps(run: _Run, name: str, deadline: float, down: Collection[str]) -> BacksUp:
    """Return the writer of a store's safety copy before its restore."""
    return kept_by(_keeper(run, name, deadline), up=name not in down)


def _restore(run: _Run, losses: Losses) -> None:
    """Restore every store, side by side, and account for its records before and after."""
    for other in unsettle_others(run.target.folders.incidents, run.target.name, run.unfinished.incident):
        run.steps.note(f"what the rollback of incident {other} has restored is overwritten")
    deadline = run.schedule.deadline(Stage.RESTORE)
    planned = {restore.id.of: restore for restore in run.plan.of(Step.RESTORE)}
    keepers = {name: _keeper(run, name, deadline) for name in planned}

    def restore(name: str) -> None:
        with run.open(planned[name]) as step:
            restored = keepers[name].restore(losses.backup.folder / name)
            notes = "".join(f"; {note}" for note in restored.notes)
            step.result = f"{sum(restored.records.values()):,} records{notes}"
        losses.account(name, run.steps, Deadline(run.schedule.deadline(Stage.ACCOUNT)))

    every(restore, keepers, name="restore")


def _keeper(run: _Run, name: str, deadline: float) -> StoreKeeper:
    return open_keeper(name, run.target.stores[name], run.engine, run.control, deadline)


def _complete(run: _Run) -> None:
    """Re-create the services that end by themselves; wait until they did.

    One that has its image is left alone, unless it was named: it did its work on that.
    """
    there = run.engine.containers()
    images = {
        service: image
        for service, image in run.plan.completing.items()
        if run.plan.kind is Kind.SERVICE or {one.image_id for one in there.get(service, ())} != {image}
    }
    if images:
        deadline = run.schedule.deadline(Stage.START)
        with _compose_files(run.target, run.plan) as files:
            run.control.up(images, images, files=files, deadline=deadline, completes=True)


def _start(run: _Run, services: Sequence[str]) -> None:
    deadline = run.schedule.deadline(Stage.START)
    if not run.plan.images:
        _start_present(run, services, Deadline(deadline))
        return
    images = {service: run.plan.images[service] for service in services}
    if not images:  # a service that has ended
        return
    with _compose_files(run.target, run.plan) as files:
        run.control.up(images, images, files=files, deadline=deadline)


def _start_present(run: _Run, services: Sequence[str], limit: Deadline) -> None:
    """Start the services that have a container; those whose volumes went back are re-created.

    A container that is only started again has, beside the volume, what its entrypoint wrote elsewhere.
    """
    there = run.engine.containers()
    anew = images_of(there, [service for service in run.plan.recreated if service in services])
    if anew:
        run.control.up(anew, anew, deadline=limit.remaining)
    others = [service for service in services if service in there and service not in anew]
    run.control.start(others, deadline=limit.remaining)


@contextmanager
def _compose_files(target: Target, plan: Plan) -> Iterator[tuple[Path, ...]]:
    if plan.checks_out:
        yield target.engine.files
        return
    # The working copy stays where the other services are; this service's configuration is the commit's.
    with configuration_at(target, plan.commit, plan.wish.names[0]) as committed:
        yield committed


def _start_stores(run: _Run) -> set[str]:
    """Start stores that are down; return the ones that stay down but can still be kept and restored.

    Raises:
        Problem: another store does not start. It can neither list its records nor be restored.
    """
    down = set()
    for up in run.plan.of(Step.UP):
        name = up.id.of
        try:
            with run.open(up):
                services = run.target.stores[name].services
                run.control.start(services, deadline=run.schedule.deadline(up.stage))
        except Problem as problem:
            if not isinstance(_keeper(run, name, 0.0), StoppedKeeper):
                raise
            down.add(name)
            run.steps.note(f"{name} is down, its records cannot be asked for: {problem.summary}")
    return down


def _next_safety(folder: Path, incident: str) -> Path:
    """Return a folder that does not exist yet: an earlier safety copy is never overwritten."""
    make_folders(folder)
    # Also where an operator has packed or renamed one: its number is not given again.
    numbered = re.compile(rf"{re.escape(incident)}-([0-9]+)(?![0-9]).*", re.ASCII | re.DOTALL)
    numbers = [int(found[1]) for path in folder.iterdir() if (found := numbered.fullmatch(path.name))]
    return folder / f"{incident}-{max(numbers, default=0) + 1:02d}"
