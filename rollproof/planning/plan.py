"""The plan of a rollback: everything that it needs, found before anything is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rollproof.backups.sets import NEWEST, BackupSet, find_backup, whole_package
from rollproof.baseline.folder import Baseline
from rollproof.baseline.known_good import baseline_named, baseline_of, current_baseline
from rollproof.engines.compose_project import ComposeProject
from rollproof.errors import Problem, UsageProblem, did_you_mean
from rollproof.git.repository import resolve_commit
from rollproof.home import typed
from rollproof.incident.journal import Step, StepId
from rollproof.incident.rollback_request import RollbackKind, RollbackRequest
from rollproof.planning.configuration import require_configuration, services_at
from rollproof.planning.tree import Decision
from rollproof.planning.unfinished import Unfinished
from rollproof.profile.profile import Target

_COMPOSE_SECONDS = 30.0


class Stage(StrEnum):
    """A part of a rollback with its own deadline, which its steps that run side by side share."""

    LOOK = "look"
    STOP = "stop"
    UP = "up"
    KEEP = "keep"
    CHECK_OUT = "check out"
    RESTORE = "restore"
    ACCOUNT = "account"
    START = "start"


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of a plan and its stage; `part_of` is the step that contains it, or None.

    `side_by_side` says that the steps of each store run alongside those of the others.
    """

    id: StepId
    stage: Stage
    part_of: Step | None = None
    side_by_side: bool = False

    @property
    def name(self) -> str:
        """The step's sentence in plan and journal."""
        return self.id.step.sentence(self.id.of)


@dataclass(frozen=True, slots=True)
class Plan:
    """A rollback that can be done.

    `stops` are the services to stop, group by group, in this order. `maintained` is the service that answers
    for them in the meantime, or "". `images` are the services to re-create, each with its image id. `stores`
    are the stores that go back to `backup`. `recreated` are the services to re-create on the images that they
    have: a store that goes back is in their volumes. `completing` are services that end when they have done
    their work, each with its image id. Of another image or configuration, they are re-created before those
    to be started.
    `removed` are the services that the commit lacks and the release before the rollback brought.
    `keeps_out` says that users stay out until the rollback is verified.
    """

    request: RollbackRequest
    baseline: Baseline
    stops: tuple[tuple[str, ...], ...]
    images: Mapping[str, str] = field(default_factory=dict)
    backup: BackupSet | None = None
    stores: tuple[str, ...] = ()
    maintained: str = ""
    recreated: tuple[str, ...] = ()
    completing: Mapping[str, str] = field(default_factory=dict)
    keeps_out: bool = False
    removed: tuple[str, ...] = ()

    @property
    def kind(self) -> RollbackKind:
        """The kind of rollback, one of four."""
        return self.request.kind

    @property
    def commit(self) -> str:
        """The full id of the commit to go back to."""
        return self.request.commit

    @property
    def checks_out(self) -> bool:
        """Whether the working copy goes to the commit: a rollback of one part leaves it where it is."""
        return not self.request.partial

    @property
    def stopped(self) -> tuple[str, ...]:
        """The services that are stopped first and started at the end."""
        return tuple(service for group in self.stops for service in group if service not in self.completing)

    @property
    def steps(self) -> tuple[PlannedStep, ...]:
        """Every step, in the order in which they begin; stores are restored side by side.

        It is shown, scheduled and done in this order, and each step is tested with a kill.
        """
        once = ("",)
        part = (self.request.name,) if self.kind is RollbackKind.SERVICE else once
        restored = self.stores if self.backup is not None else ()
        kept = once if self.backup is not None else ()
        maintained = once if self.maintained else ()
        return (
            *_each(Stage.LOOK, once if self.images else (), Step.LOOK),
            *_each(Stage.STOP, maintained, Step.MAINTENANCE_ON),
            *_each(Stage.STOP, part, Step.STOP),
            *_each(Stage.UP, self.stores, Step.UP),
            *_each(Stage.UP, once if self.stores else (), Step.QUIET),
            *_each(Stage.KEEP, kept, Step.KEEP),
            *_each(Stage.KEEP, restored, Step.EXPORT, part_of=Step.KEEP),
            *_each(Stage.KEEP, restored, Step.BACK_UP, part_of=Step.KEEP),
            *_each(Stage.CHECK_OUT, once if self.checks_out else (), Step.CHECK_OUT),
            *(step for store in restored for step in _put_back(store)),
            *_each(Stage.ACCOUNT, kept, Step.WATCHED),
            *_each(Stage.START, self.removed, Step.REMOVE),
            *_each(Stage.START, part, Step.RECREATE if self.images else Step.START),
            *_each(Stage.START, maintained, Step.MAINTENANCE_OFF),
            *_each(Stage.START, maintained if self.keeps_out else (), Step.KEEP_OUT),
        )

    def left(self, *, restored: bool) -> tuple[PlannedStep, ...]:
        """Return the steps of a rollback that has begun; those of its end if its data is `restored`."""
        # The working copy is checked out once more: another rollback may have moved it since.
        stages = {Stage.CHECK_OUT, Stage.START} if restored else {*Stage} - {Stage.LOOK}
        return tuple(planned for planned in self.steps if planned.stage in stages)

    def of(self, step: Step) -> tuple[PlannedStep, ...]:
        """Return each planned `step`: none if this rollback has none, or one for each store or service."""
        return tuple(planned for planned in self.steps if planned.id.step is step)


def _put_back(store: str) -> Iterator[PlannedStep]:
    yield PlannedStep(StepId(Step.RESTORE, store), Stage.RESTORE, side_by_side=True)
    yield PlannedStep(StepId(Step.ACCOUNT, store), Stage.ACCOUNT, side_by_side=True)


def _each(
    stage: Stage, names: Iterable[str], step: Step, *, part_of: Step | None = None
) -> Iterator[PlannedStep]:
    """Yield `step` for each of `names`; "" stands for the whole."""
    return (PlannedStep(StepId(step, name), stage, part_of) for name in names)


def plan_service(target: Target, name: str, baseline: Baseline | None = None) -> Plan:
    """Return the plan that puts the service `name` on the image in `baseline` (by default the current)."""
    require_known("service", name, target.application.services)
    baseline = baseline or current_baseline(target)
    commit = resolve_commit(target.application.repository, baseline.facts.commit)
    ComposeProject(target.engine).compose()
    require_configuration(target, commit, name)
    images = images_in(baseline, [name])
    request, completing = (
        RollbackRequest(RollbackKind.SERVICE, commit, (name,)),
        _completing(baseline, [name]),
    )
    return Plan(request, baseline, ((name,),), images, completing=completing)


def plan_database(target: Target, name: str, baseline: Baseline | None = None, backup: str = NEWEST) -> Plan:
    """Return the plan that puts the data of store `name` back to the backup of `baseline`'s commit.

    The stores `together` with it go back too. The application's state in volumes is a store.

    `backup` is the name of the backup set's folder; by default, the newest whole set.
    """
    require_known("store", name, target.stores)
    baseline = baseline or current_baseline(target)
    request = RollbackRequest(RollbackKind.DATABASE, baseline.facts.commit, (name,))
    stores = target.together(name)
    found = _whole_backup(target, request.commit, stores, backup)
    stops, maintained = _writers_first(target)
    mounting = {service for store in stores for service, _ in target.stores[store].mounts}
    recreated = tuple(service for service in target.application.services if service in mounting)
    if recreated:
        ComposeProject(target.engine).compose()
    return Plan(
        request,
        baseline,
        stops,
        backup=found,
        stores=stores,
        maintained=maintained,
        recreated=recreated,
        keeps_out=target.application.way_in is not None,
    )


def plan_full(target: Target, commit: str, baseline: Baseline | None = None, left: str | None = None) -> Plan:
    """Return the plan that puts the application's code and images to `commit`, and leaves all data alone.

    `left` is the commit that was deployed before the rollback; by default, that of the working copy.
    """
    return _plan_whole(target, RollbackKind.FULL, commit, baseline, None, left)


def plan_emergency(
    target: Target,
    commit: str,
    baseline: Baseline | None = None,
    backup: str = NEWEST,
    left: str | None = None,
) -> Plan:
    """Return the plan that puts code, images and every store's data to `commit`.

    `backup` as for `plan_database`, `left` as for `plan_full`.
    """
    return _plan_whole(target, RollbackKind.EMERGENCY, commit, baseline, backup, left)


def _plan_whole(
    target: Target,
    kind: RollbackKind,
    commit: str,
    baseline: Baseline | None,
    backup: str | None,
    left: str | None,
) -> Plan:
    full = resolve_commit(target.application.repository, commit)
    baseline = baseline or baseline_of(target, full)
    images = images_in(baseline, target.application.services)
    stores = () if backup is None else tuple(target.stores)
    found = None if backup is None else _whole_backup(target, full, stores, backup)
    ComposeProject(target.engine).compose()
    stops, maintained = _writers_first(target)
    described = _described(target, full)
    # Those that had ended, whether the profile names them or not, on whatever image. One that the commit is
    # not seen to have described has to be on an image of the application.
    on_ours = {c.service for c in baseline.facts.containers if c.image_id in images.values()}
    of_stores = {service for store in target.stores.values() for service in store.services}
    known = {*target.application.services, *of_stores, *(c.service for c in baseline.facts.containers)}
    # A commit whose compose files cannot be read lacks nothing for certain.
    brought = _described(target, left) - described - known if described else ()
    return Plan(
        RollbackRequest(kind, full),
        baseline,
        stops,
        images,
        found,
        stores,
        maintained,
        completing=_completing(baseline, (on_ours | described) - of_stores),
        keeps_out=target.application.way_in is not None,
        removed=tuple(sorted(brought)),
    )


def plan_for(
    target: Target,
    kind: RollbackKind,
    name: str,
    baseline: Baseline | None = None,
    backup: str = NEWEST,
    left: str | None = None,
) -> Plan:
    """Return the plan of a rollback of `kind`; `name` is its service, store or commit."""
    match kind:
        case RollbackKind.SERVICE:
            return plan_service(target, name, baseline)
        case RollbackKind.DATABASE:
            return plan_database(target, name, baseline, backup)
        case RollbackKind.FULL:
            return plan_full(target, name, baseline, left)
        case RollbackKind.EMERGENCY:
            return plan_emergency(target, name, baseline, backup, left)


def plan_unfinished(target: Target, unfinished: Unfinished) -> Plan:
    """Return the plan of a rollback that began earlier, with its own baseline and backup."""
    request, record = unfinished.request, unfinished.record
    gone = [name for name in record.stores if name not in target.stores]
    if gone:
        raise UsageProblem(
            what=f"stores of the rollback {request}",
            expected=f"{', '.join(record.stores)}, as when it began",
            observed=f"no store {', '.join(gone)} in the profile",
            source=str(unfinished.incident.folder),
            hint="their data may be half restored: put them back into the profile, then resume",
        )
    baseline = (
        baseline_named(target, record.baseline) if record.baseline else baseline_of(target, request.commit)
    )
    # The working copy may be on the requested commit by now.
    left = request.commit if record.origin is None else record.origin.head
    return plan_for(target, request.kind, request.name, baseline, record.backup or NEWEST, left)


def plan_of(target: Target, decision: Decision, commit: str | None = None) -> Plan | None:
    """Return the plan of the chosen rollback, or None if the decision is no rollback."""
    if decision.kind is None:
        return None
    if commit is None:
        commit = current_baseline(target).facts.commit
    plan = plan_for(target, decision.kind, decision.names[0] if decision.names else commit)
    if resolve_commit(target.application.repository, commit) != plan.commit:
        raise UsageProblem(
            what=f"commit of a {decision.action}",
            expected=f"the known-good one, {plan.commit[:12]}",
            observed=commit,
            source="--commit",
            hint="leave --commit out, or roll all back (--whole)",
        )
    return plan


def require_known(what: str, name: str, known: Collection[str]) -> None:
    """Refuse, as `UsageProblem`, the name of a service or store (`what`) that is none of the `known` ones."""
    if name not in known:
        raise UsageProblem(
            what=what,
            expected=f"one of {', '.join(known)}",
            observed=repr(name[:80]),
            source="the command line",
            hint=did_you_mean(name, known, "choose one of those"),
        )


def _writers_first(target: Target) -> tuple[tuple[tuple[str, ...], ...], str]:
    """Return the groups of services to stop, and the service that stays to answer for them, or ""."""
    writers, maintenance = target.application.writers, target.application.maintenance
    stays = maintenance.service if maintenance else ""
    others = tuple(s for s in target.application.services if s not in writers and s != stays)
    stops = tuple(group for group in (writers, others) if group)
    # A service that is the whole application answers for nobody.
    return (stops, stays) if stops else (((stays,),), "")


def images_in(baseline: Baseline, services: Iterable[str]) -> dict[str, str]:
    """Return the image id of each of `services`; refuse a baseline that lacks one."""
    wanted = tuple(services)
    images = baseline.facts.images(wanted)
    missing = [service for service in wanted if service not in images]
    if missing:
        raise UsageProblem(
            what="images of the baseline",
            expected=f"one for each of {', '.join(wanted)}",
            observed=f"none for {', '.join(missing)}",
            source=str(baseline.folder),
            hint=f"capture a new baseline while they run: {typed('capture')}",
        )
    return images


def _described(target: Target, commit: str | None) -> frozenset[str]:
    """Return the services of `commit`, or of the working copy's; none where its compose files cannot be read.

    No rollback is refused for that: it may be away from a release whose compose files are broken.
    """
    try:
        if commit is None:
            return ComposeProject(target.engine).described(deadline=_COMPOSE_SECONDS)
        return services_at(target, commit)
    except Problem:
        return frozenset()


def _completing(baseline: Baseline, services: Iterable[str]) -> dict[str, str]:
    """Return those of `services` that had done their work and ended, each with its image id."""
    wanted = frozenset(services)
    return {c.service: c.image_id for c in baseline.facts.containers if c.completed and c.service in wanted}


def _whole_backup(target: Target, commit: str, stores: Iterable[str], name: str) -> BackupSet:
    backup = find_backup(target.folders.backups, target.name, commit, name)
    for store in stores:
        # Every byte is read before the first service is stopped: a truncated backup must not show halfway.
        # A set that a person named, or with which the rollback began, may do without its index: records that
        # no index shows are exported before they are overwritten.
        whole_package(backup, store, target.stores[store], index=name == NEWEST)
    return backup
