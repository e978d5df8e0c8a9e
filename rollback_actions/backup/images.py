"""Keeps the images of the application next to the backup sets, and brings them back to the engine."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from rollback_actions.backup.taking import backup_written, made_whole
from rollback_actions.containers.compose import ComposeControl
from rollproof.backups.images import FILE, KIND, image_folder, is_kept, kept_image, only_kept
from rollproof.incident.journal_steps import Step, Steps
from rollproof.stores.package import write_package

# An image has up to some gigabytes, which a slow disk writes and reads again.
SAVE_SECONDS = 900.0
LOAD_SECONDS = 900.0


def keep_images(backups: Path, images: Mapping[str, str], control: ComposeControl, steps: Steps) -> None:
    """Keep each of the image ids `images`, by service, of which `backups` holds no copy yet.

    Raises:
        Problem: one could not be saved or written. What was begun of it is removed.
    """
    wanted = sorted(set(images.values()))
    with steps(Step.KEEP_IMAGES) as step, backup_written(backups):
        missing = [image for image in wanted if not is_kept(backups, image)]
        sizes = [_keep(image_folder(backups, image), image, control) for image in missing]
        step.result = f"{len(wanted)} images, {len(missing)} of them new, {sum(sizes) / 1e6:.1f} MB"


def _keep(folder: Path, image: str, control: ComposeControl) -> int:
    """Write the package of an image; return its bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    with made_whole(folder) as temporary:
        control.save_image(image, temporary / FILE, deadline=SAVE_SECONDS)
        kept = write_package(
            temporary,
            kind=KIND,
            method="docker image save",
            means=None,
            records={},
            details={"image": image},
        )
    return kept.size


def bring_images(
    backups: Path, images: Mapping[str, str], control: ComposeControl, *, deadline: float
) -> str:
    """See that the engine has the image ids `images`, by service; load those that only `backups` holds.

    Returns what was loaded, in words, "" if nothing was. `deadline` is for the look; each load may take
    `LOAD_SECONDS`.

    Raises:
        Problem: one is in neither place, its copy is damaged, or the engine did not take it.
    """
    kept = only_kept(backups, images, control, deadline)
    for image in kept:
        control.load_image(kept_image(backups, image), deadline=LOAD_SECONDS)
    control.require_images({s: image for s, image in images.items() if image in kept}, deadline=deadline)
    return f"{len(kept)} images were gone, and loaded from the backup" if kept else ""
