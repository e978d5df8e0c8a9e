"""The backup of a whole target: its stores in their order, and the images of its application."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path

from rollback_actions.backup.taking import Meanwhile, keep_images, new_backup_folder, take_backup
from rollback_actions.containers.compose import ComposeControl
from rollback_actions.outside import Outside
from rollproof.backups.moved_names import read_names, references_of
from rollproof.backups.sets import FOLDER, BackupSet, new_index, write_index
from rollproof.backups.stray_mounts import require_held
from rollproof.engines.engine import ContainerEngine, images_of
from rollproof.errors import Problem
from rollproof.incident.journal import Step, Steps
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target
from rollproof.profile.store_descriptor import Means
from rollproof.stores.keeper import RecordKeeper, StoreKeeper
from rollproof.stores.keepers import open_keepers
from rollproof.stores.package import Kept
from rollproof.stores.registry import ReaderOpener


def back_up(
    target: Target,
    commit: str,
    engine: ContainerEngine,
    control: ComposeControl,
    steps: Steps,
    outside: Outside | None = None,
) -> BackupSet:
    """Take a new backup set of `target` as of `commit`, and keep the images that its application runs on.

    Raises:
        Problem: a volume of the application is of no store. Or a store could not be backed up, an image not
            be kept, or either not be written.
    """
    outside = outside or Outside()
    require_held(target, engine)
    images = images_of(engine.containers(), target.application.services)
    keep_images(target.folders.backups, images, control, steps)
    keepers = open_keepers(target, engine, control, outside.open_keeper)
    return take_backup(
        new_backup_folder(target.folders.backups, target.name),
        target.name,
        commit,
        {name: partial(_keep, name, keeper) for name, keeper in keepers.items()},
        steps,
        index={
            name: partial(write_index, target, engine, name, open_reader=outside.open_reader)
            for name, keeper in keepers.items()
            if not isinstance(keeper, RecordKeeper)
        },
        images=images,
        order=waves(target),
        watched=_watched(target, engine, steps, outside.open_reader),
    )


def _keep(name: str, keeper: StoreKeeper, folder: Path) -> Kept:
    """Back up a store, together with its index if its keeper makes it."""
    if not isinstance(keeper, RecordKeeper):
        return keeper.back_up(folder)
    with new_index(folder.parent / FOLDER, name) as index:
        return keeper.back_up_indexed(folder, index)


@contextmanager
def _watched(
    target: Target, engine: ContainerEngine, steps: Steps, open_reader: ReaderOpener
) -> Iterator[Meanwhile]:
    """Read revisions and the names of all references before the body and after it."""
    found, names = Meanwhile(), bool(references_of(target))
    revisions = _revisions(target, engine, open_reader)
    if names:
        with steps(Step.NAMES) as step:
            before = read_names(target, engine, open_reader=open_reader)
            step.result = str(before)
    yield found
    if names:
        with steps(Step.NAMES) as step:
            found.moved = before.moved(read_names(target, engine, open_reader=open_reader))
            moved, of = sum(map(len, found.moved.values())), len(references_of(target))
            step.result = f"{moved:,} names moved; of {of} references {len(found.moved)} were read"
    after = _revisions(target, engine, open_reader)
    found.revisions = {name: one for name, one in revisions.items() if after.get(name) == one}


def _revisions(
    target: Target, engine: ContainerEngine, open_reader: ReaderOpener
) -> dict[str, tuple[str, ...]]:
    """Return the revisions that can be read now: a backup needs none, and a plan says which it misses."""
    found = {}
    for service, migrations in target.application.migrations.items():
        store = migrations.store
        with suppress(Problem), open_reader(store, target.stores[store], engine) as reader:
            found[service] = reader.revisions(migrations.table)
    return found


def waves(target: Target) -> tuple[tuple[str, ...], ...]:
    """Return the stores of `target` in waves, each of which is backed up side by side after the one before.

    Who names records goes before who holds them: users write meanwhile. An application puts a document in its
    place before it names it, and names it last. A store that is copied before the one that its records name
    has no name then that the other lacks. What users delete meanwhile may be named all the same.
    Step 1 of the gate finds a reference that dangles for that. Phase 4 tolerates a few such names: the set
    holds the digests of those that moved.

    Stores that name each other's records, and those that go back together, are of one wave.
    """
    named: dict[str, set[str]] = {name: set() for name in target.stores}
    for one in references_of(target):
        named[one.referencing.store].add(one.referenced.store)
    for name, store in target.stores.items():
        for other in store.together:
            named[name].add(other)
            named[other].add(name)
    return _waves(named)


def _waves(named: Mapping[str, set[str]]) -> tuple[tuple[str, ...], ...]:
    """Return the names in waves: one comes after each that leads to it, unless it leads back."""

    @cache
    def reached(name: str) -> frozenset[str]:
        found, waiting = set[str](), [name]
        while waiting:
            waiting += (new := named[waiting.pop()] - found)
            found |= new
        return frozenset(found)

    @cache
    def wave(name: str) -> int:
        before = {one for one in named if name in reached(one)} - reached(name) - {name}
        return 1 + max(map(wave, before), default=-1)

    numbers = sorted({wave(name) for name in named})
    return tuple(tuple(name for name in named if wave(name) == number) for number in numbers)


def away_during_backup(target: Target) -> Iterator[str]:
    """Yield a line for each store that is stopped while it is copied."""
    for name, store in target.stores.items():
        if descriptor_of(store).means(store) is Means.VOLUMES:
            yield f"{name} is stopped while it is copied, and answers nobody meanwhile"
