"""The backup of a whole target: its stores, and the images of its application."""

from __future__ import annotations

from functools import partial

from fixtures.backups.index import write_index
from fixtures.backups.sets import BackupSet
from fixtures.engines.engine import ContainerEngine, images_of
from fixtures.target.profile import Target
from rollback_actions.backup.images import keep_images
from rollback_actions.backup.taking import Steps, new_backup_folder, take_backup
from rollback_actions.containers.control import ContainerControl
from rollback_actions.stores.registry import open_keepers


def back_up(
    target: Target, commit: str, engine: ContainerEngine, control: ContainerControl, steps: Steps
) -> BackupSet:
    """Take a new backup set of `target` as of `commit`, and keep the images that its application runs on.

    Raises:
        Problem: a store could not be backed up, an image not be kept, or either not be written.
    """
    images = images_of(engine.containers(), target.application.services)
    keep_images(target.folders.backups, images, control, steps)
    return take_backup(
        new_backup_folder(target.folders.backups, target.name),
        target.name,
        commit,
        open_keepers(target, engine, control),
        steps,
        partial(write_index, target, engine),
        images,
    )
