"""The one engine of every rollback: it executes the plan, and is run again after any interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from reports.terminal.progress import ProgressStep
from rollback_actions.backup.taking import backup_written, bring_images, take_backup
from rollback_actions.containers.compose import ComposeControl
from rollback_actions.outside import Outside
from rollback_actions.rollback.checkout import check_out
from rollback_actions.rollback.losses import Losses
from rollback_actions.rollback.maintenance import MaintenanceMode, serve_again, watch_of
from rollback_actions.session.session import Recorder
from rollproof.baseline.configuration import configuration_key_of, setting_differences
from rollproof.engines.engine import ContainerEngine, images_of
from rollproof.errors import ActionFailed, Problem, Unverifiable
from rollproof.git.repository import head
from rollproof.incident.incident import Incident, Origin, RollbackRecord, is_commit_id
from rollproof.incident.journal import Step
from rollproof.incident.rollback_request import RollbackKind
from rollproof.incident.rollbacks import ROLLBACK_BEGAN
from rollproof.planning.configuration import configuration_at
from rollproof.planning.plan import Plan, PlannedStep, Stage
from rollproof.planning.schedule import Schedule, schedule_of
from rollproof.planning.unfinished import Unfinished, supersede_covered
from rollproof.planning.writers import WriterWatch
from rollproof.profile.profile import Target
from rollproof.record_names import ACCOUNTS
from rollproof.stores.keeper import StoreKeeper
from rollproof.system.clock import Moment
from rollproof.system.command import Deadline
from rollproof.system.files import make_folders
from rollproof.system.side_by_side import every
from rollproof.verdict import Verdict

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


@dataclass(slots=True)
class _Run:
    """One run of a rollback: the things that the actions of its steps work with.

    `limit` is the time that it has. It has `unfinished` from `begin` on, and `losses` and `maintenance` where
    steps of the plan need them. `besides` are groups of services that have to stop too. `down` are the stores
    that did not start, and `keepers` the write sides of the stores to restore.
    """

    target: Target
    plan: Plan
    engine: ContainerEngine
    control: ComposeControl
    steps: Recorder
    schedule: Schedule
    limit: Deadline
    outside: Outside
    unfinished: Unfinished = field(init=False)
    watch: WriterWatch = field(init=False)
    losses: Losses = field(init=False)
    maintenance: MaintenanceMode = field(init=False)
    besides: list[tuple[str, ...]] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    keepers: dict[str, StoreKeeper] = field(default_factory=dict)

    def begin(self, incident: Incident) -> None:
        """Record the beginning in `incident`: from here on there is something to resume."""
        target, plan = self.target, self.plan
        backup = plan.backup.folder.name if plan.backup else ""
        origin = origin_of(target, self.engine)
        self.unfinished = Unfinished.begin(
            incident, plan.request, plan.baseline.id, backup, plan.stores, origin
        )
        # What ran out of time before has more of it now.
        self.limit = replace(self.limit, seconds=self.limit.seconds + self.unfinished.worked())
        # A resumed run records the first run's origin.
        origin = self.unfinished.record.origin
        if origin is None:
            self.steps.note("what is deployed is not known: the gate of the next migration will ask for it")
        self.steps.record(
            ROLLBACK_BEGAN,
            kind=plan.kind,
            names=plan.request.names,
            commit=plan.commit,
            head=None if origin is None else origin.head,
            revisions=None if origin is None else origin.revisions,
            budget_seconds=float(target.rollback_seconds),
            objective_seconds=float(target.rto_seconds),
        )
        if plan.backup is not None:
            self.losses = Losses(target, self.engine, plan.backup, self.unfinished, self.outside)
        application = target.application
        if application.maintenance is not None:
            self.maintenance = MaintenanceMode(
                application, application.maintenance, self.control, self.steps, self.outside
            )

    def walk(self, steps: Iterable[PlannedStep]) -> None:
        """Do `steps` in their order; neighbours that are `side_by_side`, for all stores at once."""
        for side_by_side, some in groupby(steps, key=attrgetter("side_by_side")):
            if side_by_side:
                _restore_all(self, tuple(some))
            else:
                for step in some:
                    self.do(step)

    def do(self, step: PlannedStep) -> None:
        """Do one step; a step within another is done by that one."""
        if step.part_of is None:
            ACTIONS[step.id.step](self, step)

    def deadline(self, stage: Stage) -> float:
        """Return the seconds that a step of `stage` which begins now may take."""
        return self.schedule.deadline(stage, self.limit.remaining)

    @contextmanager
    def open(self, planned: PlannedStep, seconds: float | None = None) -> Iterator[ProgressStep]:
        """Open a step of the plan; it may take `seconds`, by default all that the rollback has for it."""
        if seconds is None and planned.id.step not in _UNTIMED:
            seconds = self.deadline(planned.stage)
        with self.steps(planned.id.step, planned.id.of, seconds) as shown:
            yield shown

    def supersede(self) -> None:
        """Give up the unfinished rollbacks that this one covers."""
        incidents, name = self.target.folders.incidents, self.target.name
        for other in supersede_covered(incidents, name, self.plan.request, self.unfinished.incident):
            self.steps.note(f"nothing is left to resume of the rollback of incident {other}")

    def keeper(self, name: str, deadline: float) -> StoreKeeper:
        """Return the write side of store `name`."""
        store = self.target.stores[name]
        return self.outside.open_keeper(name, store, self.engine, self.control, deadline)

    def serve_again(self, seconds: float) -> None:
        """See within `seconds` that a proxy hands requests on, or restart it."""
        serve_again(self.target, self.control, self.steps, seconds, self.outside)


def roll_back(
    target: Target,
    plan: Plan,
    incident: Incident,
    engine: ContainerEngine,
    control: ComposeControl,
    steps: Recorder,
    outside: Outside | None = None,
) -> RollbackRecord:
    """Roll `target` back by `plan`, and record its end, however it ends.

    Where possible, the application reports maintenance until every service is healthy again, or until it is
    verified: see `MaintenanceMode`. The writers stop first. A writer that is seen while data is restored
    fails the rollback before anything is started. Each store's current data is kept before it is overwritten,
    and data written since the backup is exported. When the stores are restored, every record is accounted
    for.

    The first step that fails ends the rollback. Nothing is undone, and what is stopped stays stopped. Only
    restores of other stores that have begun are finished. `rollproof rollback resume` goes on.

    After an interruption it is run again in the same incident, and repeats every restore from the backup. The
    stores' earlier data is kept already. Data that may have come since is kept in a further safety copy. Data
    that an earlier run has restored and accounted for is not restored again.
    """
    schedule = schedule_of(target, plan)
    limit = Deadline(max(schedule.budget, schedule.enough))
    outside = outside or Outside()
    run = _Run(target, plan, engine, control, steps, schedule, limit, outside)
    run.walk(plan.of(Step.LOOK))
    run.begin(incident)
    unfinished = run.unfinished
    if unfinished.record.records is not None:
        # It may have been weeks ago. Who types the command again expects the data of the backup.
        steps.note(
            f"{', '.join(unfinished.record.stores)} went back when this rollback first ran, at"
            f" {unfinished.record.started.wall}, and stays as it is now; once this has passed, --again"
            " restores it"
        )
    try:
        with watch_of(target, plan.stores, engine, steps.note, outside) as run.watch:
            run.walk(plan.left(restored=unfinished.record.records is not None))
        run.supersede()
    except BaseException as error:
        try:
            incident.write_rollback(unfinished.outcome(Verdict.FAILED, Moment.now()))
        except ActionFailed as second:
            # The first failure is the one to report.
            error.add_note(str(second))
        raise
    records = unfinished.record.records or {}
    missing, unknown = records.get("unaccounted", 0), records.get("unknown", 0)
    verdict = Verdict.FAILED if missing else Verdict.BROKEN if unknown else Verdict.PASSED
    record = unfinished.outcome(verdict, Moment.now())
    # In this order: a kill between the two leaves something to resume, never a success without its record.
    incident.write_rollback(record)
    unfinished.end()
    if missing or unknown:
        neither, unread = f"{missing:,} that are neither", f"{unknown:,} collections that could not be read"
        raise (RecordsMissing if missing else RecordsUnknown)(
            what="records of before the rollback",
            expected="each kept, restored or exported",
            observed=neither if missing else unread,
            source=str(incident.folder / (unfinished.record.windows or ("",))[0] / ACCOUNTS),
            # Another restore would change nothing about the missing records.
            hint=f"look for them in {', '.join(map(str, unfinished.copies))}; the rollback itself is done",
        )
    return record


class RecordsMissing(ActionFailed):
    """The rollback is done, and earlier records are neither in the stores nor in the lost window."""


class RecordsUnknown(Unverifiable):
    """The rollback is done, and the fate of earlier records is not known."""


def _look(run: _Run, look: PlannedStep) -> None:
    target, plan, seconds = run.target, run.plan, run.deadline(look.stage)
    with run.open(look, seconds) as step:
        step.result = bring_images(target.folders.backups, plan.images, run.control, deadline=seconds)
        # The files that a commit's compose files refer to are there only after its checkout.
        if not plan.checks_out:
            with configuration_at(target, plan.commit, plan.request.name):
                pass


def _maintenance_on(run: _Run, _: PlannedStep) -> None:
    run.besides += run.maintenance.begin()


def _stop(run: _Run, stop: PlannedStep) -> None:
    with run.open(stop):
        there = run.engine.containers()
        for group in (*run.plan.stops, *filter(None, [run.plan.removed]), *run.besides):
            present = [service for service in group if service in there]
            run.control.stop(present, deadline=run.deadline(stop.stage))


def _up(run: _Run, up: PlannedStep) -> None:
    """Start a store if it is down; one that stays down may still be kept and restored."""
    name = up.id.of
    stopped = run.keeper(name, 0.0).stopped
    seconds = run.schedule.share(up.stage) if stopped else run.deadline(up.stage)
    try:
        with run.open(up, seconds):
            run.control.start(run.target.stores[name].services, deadline=seconds)
    except Problem as problem:
        if not stopped:
            raise
        run.down.add(name)
        run.steps.note(f"{name} is down, its records cannot be asked for: {problem.summary}")


def _quiet(run: _Run, quiet: PlannedStep) -> None:
    with run.open(quiet) as step:
        step.result = run.watch.begin()


def _keep(run: _Run, keep: PlannedStep) -> None:
    """Keep the stores' current data, each as soon as the data written to it since the backup is exported.

    Nobody watched for writers between two runs. So a resumed run keeps again each store that may hold data
    which the earlier runs did not see. It fails when it cannot: see `Losses.window`.
    """
    limit, stores = Deadline(run.deadline(keep.stage)), run.plan.stores
    with run.open(keep, limit.remaining) as step:
        resumed = bool(run.unfinished.copies)
        with run.losses.window(run.down, run.steps, limit, partial(_load, run, limit)) as export:
            if resumed:
                unseen = every(export, stores, name="export")
            else:
                safety = _keep_safe(run, stores, limit, export)
        if resumed and (stores := tuple(name for name in stores if unseen[name])):
            safety = _keep_safe(run, stores, limit)
        if stores:
            run.unfinished.keep(safety)
        step.result = ", ".join(map(str, run.unfinished.copies))


def _keep_safe(
    run: _Run, stores: Sequence[str], limit: Deadline, first: Callable[[str], object] | None = None
) -> Path:
    """Take a safety copy of `stores`, each after `first` is done with it; return its folder."""
    folder = run.target.folders.backups / "safety"
    keepers = {
        name: partial(
            run.keeper(name, limit.remaining).keep_safe,
            up=name not in run.down,
            backup=run.losses.backup.folder / name,
        )
        for name in stores
    }
    with backup_written(folder):
        safety = _next_safety(folder, run.unfinished.incident.id)
    commit = f"before the rollback to {run.plan.commit}"
    take_backup(safety, run.target.name, commit, keepers, run.steps, first=first)
    return safety


def _load(run: _Run, limit: Deadline, name: str) -> None:
    """Load what could not be exported otherwise; the restore brings back the state of the backup."""
    try:
        loaded = run.keeper(name, limit.remaining).load()
    except Problem as problem:
        run.steps.note(f"{name} was not asked what is unloaded: {problem.summary}")
    else:
        if loaded:
            run.steps.note(f"{name}: {', '.join(loaded)} was not loaded, and is now, to be exported")


def _check_out(run: _Run, out: PlannedStep) -> None:
    with run.open(out) as step:
        seconds = run.deadline(out.stage)
        step.result = check_out(run.target.application.repository, run.plan.commit, seconds=seconds)


def _restore_all(run: _Run, steps: Sequence[PlannedStep]) -> None:
    """Restore every store, side by side, and account for its records before and after."""
    of_store: dict[str, list[PlannedStep]] = {}
    for step in steps:
        of_store.setdefault(step.id.of, []).append(step)
    # Before the first restore: none is overwritten where another's keeper cannot be opened.
    deadline = run.deadline(Stage.RESTORE)
    run.keepers = {name: run.keeper(name, deadline) for name in of_store}
    run.supersede()

    def restore(name: str) -> None:
        for step in of_store[name]:
            run.do(step)

    every(restore, of_store, name="restore")


def _restore(run: _Run, restore: PlannedStep) -> None:
    name = restore.id.of
    with run.open(restore) as step:
        # The first safety copy is of all stores, a later one of those with data that no earlier run saw.
        copies = [copy / name for copy in run.unfinished.copies]
        safety = next((copy for copy in reversed(copies) if copy.is_dir()), copies[0])
        restored = run.keepers[name].restore_kept(run.losses.backup.folder / name, safety)
        notes = "".join(f"; {note}" for note in restored.notes)
        step.result = f"{sum(restored.records.values()):,} records{notes}"


def _account(run: _Run, account: PlannedStep) -> None:
    run.losses.account(account.id.of, run.steps, Deadline(run.deadline(account.stage)))


def _watched(run: _Run, watched: PlannedStep) -> None:
    """End the watch; from here on the stores are restored, and stay so when the rollback is resumed."""
    with run.open(watched) as step:
        step.result = run.watch.end()
    run.losses.finish(run.watch.blind())


def _start_all(run: _Run, start: PlannedStep) -> None:
    with run.open(start):
        _complete(run)
        _start(run, run.plan.stopped)
        if not run.plan.maintained:
            run.serve_again(run.deadline(start.stage))


def _remove(run: _Run, remove: PlannedStep) -> None:
    with run.open(remove):
        run.control.remove(remove.id.of, deadline=run.deadline(remove.stage))


def _maintenance_off(run: _Run, _: PlannedStep) -> None:
    run.maintenance.end(lambda: _start(run, (run.plan.maintained,)))
    run.serve_again(run.deadline(Stage.START))


def _keep_out(run: _Run, _: PlannedStep) -> None:
    run.maintenance.keep_out()


ACTIONS: Mapping[Step, Callable[[_Run, PlannedStep], None]] = {
    Step.LOOK: _look,
    Step.MAINTENANCE_ON: _maintenance_on,
    Step.STOP: _stop,
    Step.UP: _up,
    Step.QUIET: _quiet,
    Step.KEEP: _keep,
    Step.CHECK_OUT: _check_out,
    Step.RESTORE: _restore,
    Step.ACCOUNT: _account,
    Step.WATCHED: _watched,
    Step.START: _start_all,
    Step.RECREATE: _start_all,
    Step.REMOVE: _remove,
    Step.MAINTENANCE_OFF: _maintenance_off,
    Step.KEEP_OUT: _keep_out,
}
"""The action of each step of a plan, whose list says which are done, and in which order."""


def _complete(run: _Run) -> None:
    """Re-create the services that end by themselves; wait until they did.

    One that is as recorded is left alone, unless it was named: it did its work so.
    """
    images = {
        service: image
        for service, image in run.plan.completing.items()
        if run.plan.kind is RollbackKind.SERVICE or not _is_as_recorded(run, service)
    }
    _recreate(run, images, completes=True)


def _is_as_recorded(run: _Run, service: str) -> bool:
    """Return whether image and configuration of a service's containers are those of the baseline."""
    facts, there = run.plan.baseline.facts, run.engine.containers().get(service, ())
    recorded = next(one for one in facts.containers if one.service == service)
    try:
        key = configuration_key_of(run.target, facts.surroundings.key)
    except Unverifiable:
        return False  # nobody knows
    return bool(there) and not any(
        one.image_id != recorded.image_id or any(setting_differences(recorded, one, recorded.inside, key))
        for one in there
    )


def _start(run: _Run, services: Sequence[str]) -> None:
    if run.plan.images:
        _recreate(run, {service: run.plan.images[service] for service in services}, completes=False)
    else:
        _start_present(run, services, Deadline(run.deadline(Stage.START)))


def _recreate(run: _Run, images: Mapping[str, str], *, completes: bool) -> None:
    """Re-create services on `images` by the commit's compose files; none where `images` are empty."""
    if images:
        with _compose_files(run.target, run.plan) as files:
            run.control.recreate(
                images,
                files=files,
                deadline=run.deadline(Stage.START),
                replicas=run.plan.baseline.facts.replicas(images),
                completes=completes,
            )


def _start_present(run: _Run, services: Sequence[str], limit: Deadline) -> None:
    """Start the services that have a container; those whose volumes went back are re-created.

    A container that is only started again has, apart from the volume, what its entrypoint wrote elsewhere.
    """
    there = run.engine.containers()
    again = images_of(there, [service for service in run.plan.recreated if service in services])
    if again:
        replicas = {service: len(there[service]) for service in again}
        run.control.recreate(again, deadline=limit.remaining, replicas=replicas)
    others = [service for service in services if service in there and service not in again]
    run.control.start(others, deadline=limit.remaining)


@contextmanager
def _compose_files(target: Target, plan: Plan) -> Iterator[tuple[Path, ...]]:
    if plan.checks_out:
        yield target.engine.files
        return
    # The working copy stays where the other services are; this service's configuration is the commit's.
    with configuration_at(target, plan.commit, plan.request.name) as committed:
        yield committed


def _next_safety(folder: Path, incident: str) -> Path:
    """Return a folder that does not exist yet: an earlier safety copy is never overwritten."""
    make_folders(folder)
    number = 1
    while any(folder.glob(f"{incident}-{number:02d}*")):  # an operator may have packed or renamed one
        number += 1
    return folder / f"{incident}-{number:02d}"
