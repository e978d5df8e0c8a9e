"""The backup of a whole target: its stores, and the images of its application."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

from fixtures.backups.index import write_index
from fixtures.backups.order import waves
from fixtures.backups.sets import BackupSet
from fixtures.backups.stray_mounts import require_held
from fixtures.engines.engine import ContainerEngine, images_of
from fixtures.errors import Problem
from fixtures.incident.journal_steps import Steps
from fixtures.stores.registry import LONG_SECONDS, apart_by_kind, open_revisions
from fixtures.target.profile import Target
from rollback_actions.backup.images import keep_images
from rollback_actions.backup.taking import new_backup_folder, take_backup
from rollback_actions.containers.compose import ComposeControl
from rollback_actions.stores.registry import open_keepers


def back_up(
    target: Target, commit: str, engine: ContainerEngine, control: ComposeControl, steps: Steps
) -> BackupSet:
    """Take a new backup set of `target` as of `commit`, and keep the images that its application runs on.

    Raises:
        Problem: a volume of the application is of no store. Or a store could not be backed up, an image not
            be kept, or either not be written.
    """

    def index(name: str, folder: Path) -> int:
        profile, what = target.stores[name], f"index of store {name}"
        return apart_by_kind(profile, what, LONG_SECONDS, write_index, target, engine, name, folder)

    require_held(target, engine)
    images = images_of(engine.containers(), target.application.services)
    keep_images(target.folders.backups, images, control, steps)
    return take_backup(
        new_backup_folder(target.folders.backups, target.name),
        target.name,
        commit,
        {name: keeper.back_up for name, keeper in open_keepers(target, engine, control).items()},
        steps,
        index,
        images,
        partial(_revisions, target, engine),
        waves(target),
    )


def _revisions(target: Target, engine: ContainerEngine) -> dict[str, tuple[str, ...]]:
    """Return the revisions that can be read now: a backup needs none, and a plan says which it misses."""
    found = {}
    for service, migrations in target.application.migrations.items():
        store = migrations.store
        with suppress(Problem):
            found[service] = open_revisions(store, target.stores[store], engine, migrations.table)
    return found
