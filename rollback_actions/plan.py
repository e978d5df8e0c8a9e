"""The plan of a rollback: everything that it needs, found before anything is changed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from fixtures.baseline import Baseline
from fixtures.errors import ActionFailed, UsageProblem
from fixtures.files import sha256_of
from fixtures.git import resolve_commit
from fixtures.target import Target
from rollback_actions.backup import NEWEST, BackupSet, find_backup
from rollback_actions.configuration import require_configuration
from rollback_actions.index import read_index
from rollback_actions.known_good import baseline_named, baseline_of, current_baseline
from rollback_actions.stores.package import MANIFEST, read_package
from rollback_actions.unfinished import Unfinished
from rollback_actions.wish import Kind, Wish


@dataclass(frozen=True, slots=True)
class Plan:
    """A rollback that can be done.

    `stops` are the services that are stopped for it, in this order, group by group; `maintained` answers for
    them meanwhile, "" where none can; `images` are the services that are re-created, each on an image id;
    `stores` those that go back to `backup`.
    """

    wish: Wish
    baseline: Baseline
    stops: tuple[tuple[str, ...], ...]
    images: Mapping[str, str] = field(default_factory=dict)
    backup: BackupSet | None = None
    stores: tuple[str, ...] = ()
    maintained: str = ""

    @property
    def kind(self) -> Kind:
        """Which of the four it is."""
        return self.wish.kind

    @property
    def commit(self) -> str:
        """The full id of the commit to go back to."""
        return self.wish.commit

    @property
    def checks_out(self) -> bool:
        """Whether the working copy goes to the commit; a part of the system does not take the rest along."""
        return self.kind in {Kind.FULL, Kind.EMERGENCY}

    @property
    def stopped(self) -> tuple[str, ...]:
        """The services that are stopped, and started at the end."""
        return tuple(service for group in self.stops for service in group)


def plan_service(target: Target, name: str, baseline: Baseline | None = None) -> Plan:
    """Return the plan that puts the service `name` on the image that `baseline`, the current one, recorded.

    Raises:
        UsageProblem: there is no such service, no baseline, nothing to re-create a service from, or not the
            configuration of that commit.
    """
    require_services(target, [name])
    baseline = baseline or current_baseline(target)
    commit = _known_commit(target, baseline)
    _require_compose_files(target)
    require_configuration(target, commit, name)
    images = _images(baseline, [name])
    return Plan(Wish(Kind.SERVICE, commit, (name,)), baseline, ((name,),), images)


def plan_database(target: Target, name: str, baseline: Baseline | None = None, backup: str = NEWEST) -> Plan:
    """Return the plan that puts the data of store `name` back to the backup of `baseline`'s commit.

    `backup` is the name of the backup set's folder, the newest whole one without it.

    Raises:
        UsageProblem: there is no such store, no baseline, or no backup of its commit. `ActionFailed`: the
            backup of the store is not whole, or, that of none being named, its index is not.
    """
    require_stores(target, [name])
    baseline = baseline or current_baseline(target)
    wish = Wish(Kind.DATABASE, baseline.facts.commit, (name,))
    found = _whole_backup(target, wish.commit, [name], backup)
    stops, maintained = _writers_first(target)
    return Plan(wish, baseline, stops, backup=found, stores=(name,), maintained=maintained)


def plan_full(target: Target, commit: str, baseline: Baseline | None = None) -> Plan:
    """Return the plan that puts code and images of the application to `commit`, and leaves all data alone.

    Raises:
        UsageProblem: the commit or its baseline is not there, or nothing to re-create services from.
    """
    full = resolve_commit(target.application.repository, commit)
    baseline = baseline or baseline_of(target, full)
    images = _images(baseline, target.application.services)
    _require_compose_files(target)
    stops, maintained = _writers_first(target)
    return Plan(Wish(Kind.FULL, full), baseline, stops, images, maintained=maintained)


def plan_emergency(
    target: Target, commit: str, baseline: Baseline | None = None, backup: str = NEWEST
) -> Plan:
    """Return the plan that puts code, images and the data of every store to `commit`.

    `backup` is the name of the backup set's folder, the newest whole one without it.

    Raises:
        UsageProblem: the commit, its baseline or its backup is not there, or nothing to re-create services
            from. `ActionFailed`: the backup of a store is not whole, or, no set being named, its index.
    """
    full = resolve_commit(target.application.repository, commit)
    baseline = baseline or baseline_of(target, full)
    images = _images(baseline, target.application.services)
    found = _whole_backup(target, full, target.stores, backup)
    _require_compose_files(target)
    wish = Wish(Kind.EMERGENCY, full)
    stops, maintained = _writers_first(target)
    return Plan(wish, baseline, stops, images, found, tuple(target.stores), maintained)


def plan_unfinished(target: Target, unfinished: Unfinished) -> Plan:
    """Return the plan of a rollback that began before, with the baseline and the backup that it began with.

    Raises:
        Problem: as the plan of its kind; what was there when it began may be gone.
    """
    wish, named = unfinished.wish, unfinished.baseline
    baseline = baseline_named(target, named) if named else baseline_of(target, wish.commit)
    backup = unfinished.backup or NEWEST
    gone = [name for name in unfinished.stores if name not in target.stores]
    if gone:
        raise UsageProblem(
            what=f"stores of the rollback {wish}",
            expected=f"{', '.join(unfinished.stores)}, as when it began",
            observed=f"no store {', '.join(gone)} in the profile",
            source=str(unfinished.incident.folder),
            hint="what they hold may be half restored: put them back into the profile, and go on",
        )
    match wish.kind:
        case Kind.SERVICE:
            return plan_service(target, wish.names[0], baseline)
        case Kind.DATABASE:
            return plan_database(target, wish.names[0], baseline, backup)
        case Kind.FULL:
            return plan_full(target, wish.commit, baseline)
        case Kind.EMERGENCY:
            return plan_emergency(target, wish.commit, baseline, backup)


def require_services(target: Target, names: Iterable[str]) -> None:
    """Refuse a name that is no service of the application.

    Raises:
        UsageProblem: it names those that are, the nearest first, or the store that was meant.
    """
    for name in names:
        store = next((s for s, p in target.stores.items() if name == s or name in p.services), None)
        meant = f"that is of store {store}: rollback database {store}" if store else ""
        _require("service", name, target.application.services, meant)


def require_stores(target: Target, names: Iterable[str]) -> None:
    """Refuse a name that is no store.

    Raises:
        UsageProblem: it names those that are, the nearest first, or the service that was meant.
    """
    for name in names:
        service = name in target.application.services
        meant = f"that is a service: rollback service {name}" if service else ""
        _require("store", name, tuple(target.stores), meant)


def _require(what: str, name: str, names: tuple[str, ...], meant: str) -> None:
    if name in names:
        return
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = meant or (f"did you mean {' or '.join(near)}?" if near else "choose one of those")
    raise UsageProblem(
        what=what,
        expected=f"one of {', '.join(names)}",
        observed=repr(name[:80]),
        source="the command line",
        hint=hint,
    )


def _known_commit(target: Target, baseline: Baseline) -> str:
    """Return the commit of `baseline`, which the repository must have: the configuration comes from there."""
    return resolve_commit(target.application.repository, baseline.facts.commit)


def _writers_first(target: Target) -> tuple[tuple[tuple[str, ...], ...], str]:
    """Return the groups of services that stop, and the one that stays to answer for them, "" without one."""
    writers, maintenance = target.application.writers, target.application.maintenance
    stays = maintenance.service if maintenance else ""
    others = tuple(s for s in target.application.services if s not in writers and s != stays)
    stops = tuple(group for group in (writers, others) if group)
    # One that is all of the application has nobody to answer for.
    return (stops, stays) if stops else (((stays,),), "")


def _images(baseline: Baseline, services: Iterable[str]) -> dict[str, str]:
    wanted = tuple(services)
    images = {c.service: c.image_id for c in baseline.facts.containers if c.service in wanted}
    missing = [service for service in wanted if service not in images]
    if missing:
        raise UsageProblem(
            what="images of the baseline",
            expected=f"one for each of {', '.join(wanted)}",
            observed=f"none for {', '.join(missing)}",
            source=str(baseline.folder),
            hint="the profile names services that did not run when the baseline was captured",
        )
    return images


def _whole_backup(target: Target, commit: str, stores: Iterable[str], name: str) -> BackupSet:
    backup = find_backup(target.folders.backups, target.name, commit, name)
    for store in stores:
        # Every byte is read before the first service is stopped: a backup that is cut helps nobody halfway.
        folder = backup.folder / store
        read_package(folder, kind=target.stores[store].kind)
        if store not in backup.stores or backup.sealed.get(store) != sha256_of(folder / MANIFEST):
            raise ActionFailed(
                what=f"backup of {store}",
                expected=f"the {MANIFEST} that the set was sealed with",
                observed="another one" if store in backup.stores else f"a set without {store}",
                source=str(folder),
                hint="it is whole, and of another moment than the set says: put back what was moved",
            )
        if name == NEWEST:
            _require_index(backup, store)
    return backup


def _require_index(backup: BackupSet, store: str) -> None:
    """See that the set can tell which records of `store` it holds.

    Not asked of a set that is named, by a person or by the rollback that began with it: what cannot be told
    from it is exported before it is overwritten.
    """
    try:
        read_index(backup.folder, store, backup.index)
    except ActionFailed as problem:
        raise ActionFailed(
            what=f"index of the backup of {store}",
            expected=str(problem.expected),
            observed=str(problem.observed),
            source=problem.source,
            hint=f"put back what that folder had when the backup was taken; or go back to it as it is, and "
            f"have all that is there now exported: {shlex.join(['--backup', backup.folder.name])}",
        ) from None


def _require_compose_files(target: Target) -> None:
    if not target.engine.files:
        raise UsageProblem(
            what="compose files",
            expected="those that the services are created from",
            observed="none",
            source="engine.files of the profile",
            hint='add files = ["…/compose.yaml"] to [engine]',
        )
