"""The images of the application, kept next to the backup sets by their ids: one copy for all sets.

A prune, or a registry that is down or has withdrawn an image, then ends no rollback.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rollproof.engines.compose_project import ComposeProject
from rollproof.engines.engine import IMAGE_ID
from rollproof.stores.package import MANIFEST, read_package

FOLDER = "images"
KIND = "image"
FILE = "image.tar"


def image_folder(backups: Path, image: str) -> Path:
    """Return the folder of the image with the id `image`, whether it is kept or not."""
    if not IMAGE_ID.fullmatch(image):
        raise ValueError(f"expected an image id, observed {image[:80]!r}")
    return backups / FOLDER / image.removeprefix("sha256:")


def is_kept(backups: Path, image: str) -> bool:
    """Return whether a copy of the image with the id `image` was finished; its bytes are not read."""
    return IMAGE_ID.fullmatch(image) is not None and (image_folder(backups, image) / MANIFEST).is_file()


def kept_image(backups: Path, image: str) -> Path:
    """Return the file of the image with the id `image`, every byte of which was read and compared.

    Raises:
        ActionFailed: it is not kept, or damaged.
    """
    return read_package(image_folder(backups, image), kind=KIND).path(FILE)


def images_to_load(
    backups: Path, images: Mapping[str, str], engine: ComposeProject, *, deadline: float
) -> int:
    """See that a rollback could have the image ids `images`, by service; return how many it would load.

    Raises:
        Problem: one is neither in the engine nor in `backups`, or its copy is damaged.
    """
    kept = only_kept(backups, images, engine, deadline)
    for image in kept:
        kept_image(backups, image)
    return len(kept)


def only_kept(
    backups: Path, images: Mapping[str, str], engine: ComposeProject, deadline: float
) -> tuple[str, ...]:
    """Return those of `images` that only `backups` holds, after the engine was seen to have the others."""
    there = engine.image_ids(deadline=deadline)
    kept = tuple(sorted(i for i in set(images.values()) - there if is_kept(backups, i)))
    engine.require_images({s: image for s, image in images.items() if image not in kept}, deadline=deadline)
    return kept
