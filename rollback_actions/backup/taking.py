"""The taking of a backup set: every store of a target, whole or absent.

Complete sets are never pruned: people do that.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from rollback_actions.containers.compose import ComposeControl
from rollproof.backups.images import FILE, KIND, image_folder, is_kept, kept_image, only_kept
from rollproof.backups.sets import FOLDER, MANIFEST, BackupSet, SetManifest, read_backup, stamp_of
from rollproof.errors import ActionFailed, reason_of
from rollproof.incident.journal import Step, Steps
from rollproof.stores.keeper import Keep
from rollproof.stores.package import MANIFEST as PACKAGE
from rollproof.stores.package import Kept, write_package
from rollproof.system.clock import Moment
from rollproof.system.files import (
    make_folders,
    part_of,
    rename_whole,
    sha256_of,
    sync_tree,
    write_whole,
)
from rollproof.system.record_files import sealed_json
from rollproof.system.side_by_side import every

Revisions = Mapping[str, tuple[str, ...]]
"""The revisions that alembic has recorded, by the service that brings its migrations."""
Names = Mapping[str, tuple[str, ...]]
"""Digests of names, by the reference in words."""
Index = Callable[[Path], int]
"""Writes the index of one store into a folder, and returns its number of records."""


@dataclass(slots=True)
class Meanwhile:
    """What is known of the target once the last store was copied: it may have changed meanwhile.

    `revisions` are those that are as before the first store was copied. `moved` are digests of the names that
    are not.
    """

    revisions: Revisions = field(default_factory=dict)
    moved: Names = field(default_factory=dict)


@contextmanager
def backup_written(folder: Path) -> Iterator[None]:
    """Turn an `OSError` of the body into an `ActionFailed` about space or permissions of `folder`."""
    try:
        yield
    except OSError as error:
        raise ActionFailed(
            what="backup",
            expected="a folder that it can be written into, and fits",
            observed=reason_of(error),
            source=str(error.filename or folder),
            hint="make room there, or correct folders.backups in the profile, or the folder's permissions",
        ) from None


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """Yield a folder to fill, which then becomes `folder`; it is removed if the body fails."""
    temporary = part_of(folder)
    shutil.rmtree(temporary, ignore_errors=True)
    make_folders(temporary, 0o700, exist_ok=False)
    try:
        yield temporary
        rename_whole(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def take_backup(
    folder: Path,
    target: str,
    commit: str,
    stores: Mapping[str, Keep],
    steps: Steps,
    *,
    first: Callable[[str], object] | None = None,
    index: Mapping[str, Index] = MappingProxyType({}),
    images: Mapping[str, str] = MappingProxyType({}),
    order: Sequence[Sequence[str]] = (),
    watched: AbstractContextManager[Meanwhile] | None = None,
) -> BackupSet:
    """Back up every store into `folder`, which must not exist: side by side, or wave by wave in an `order`.

    `first` is done with each store before its backup. `index` are the stores whose backups make no index. It
    is made before the first backup begins: records written after that are in the backup, or count as written
    since, or both. `images` are the ids of images that are kept with the set, by service. `watched` is open
    while the stores are copied; what it yields is complete once it is closed.

    Raises:
        Problem: a store could not be backed up, or the backup not written. The unfinished folder is removed.
    """
    started, taken, done = Moment.now(), dict[str, tuple[Moment, Moment]](), dict[str, Kept]()
    with backup_written(folder):
        _remove_left(folder, target)
        with made_whole(folder) as temporary:

            def keep(name: str) -> Kept:
                if first is not None:
                    first(name)
                began, below = Moment.now(), temporary / name
                below.mkdir(mode=0o700)
                with steps(Step.BACK_UP, name) as step:
                    kept = stores[name](below)
                    records, size = sum(kept.records.values()), kept.size / 1e6
                    step.result = f"{records:,} records, {size:.1f} MB, {kept.method}"
                taken[name] = began, Moment.now()
                return kept

            indexes = temporary / FOLDER
            _index(indexes, steps, index)
            index_seconds = [Moment.now().seconds_since(started)]
            with watched or nullcontext(Meanwhile()) as meanwhile:
                for wave in order or ([*stores],):
                    done |= every(keep, wave, name="backup")
            index_seconds += [
                taken[name][1].seconds_since(taken[name][0]) for name in done.keys() - index.keys()
            ]
            manifest = SetManifest(
                version=1,
                target=target,
                commit=commit,
                started=started,
                finished=Moment.now(),
                index={f"{FOLDER}/{path.name}": sha256_of(path) for path in sorted(indexes.glob("*"))},
                sealed={name: sha256_of(temporary / name / PACKAGE) for name in done},
                taken=taken,
                index_seconds=round(max(index_seconds), 3),
                stores=done,
                images=images,
                revisions=meanwhile.revisions,
                moved=meanwhile.moved,
            )
            # Before the manifest: where that is after a crash of the machine, all that it seals is there.
            sync_tree(temporary)
            write_whole(temporary / MANIFEST, sealed_json(manifest))
    return read_backup(folder / MANIFEST)


def _remove_left(folder: Path, target: str) -> None:
    """Remove what killed backups of the target left, whose lock this one has."""
    for left in folder.parent.glob(".*.part"):
        if re.fullmatch(rf"\.\d{{8}}T\d{{9}}Z-{re.escape(target)}\.part", left.name):
            shutil.rmtree(left)
    if folder.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))


def _index(folder: Path, steps: Steps, index: Mapping[str, Index]) -> None:
    def make(name: str) -> None:
        with steps(Step.INDEX, name) as step:
            step.result = f"{index[name](folder):,} records"

    every(make, index, name="index")


def new_backup_folder(backups: Path, target: str) -> Path:
    """Return the path of a new backup set; names sort by age."""
    return backups / f"{stamp_of(datetime.now(UTC))}-{target}"


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
