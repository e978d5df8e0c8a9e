"""The newest backup set of a target: the set or its fault, but never an older set in its place.

A rollback takes the newest set that is whole. Before a migration that is not good enough: today's data would
come back from the newest set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from rollproof.backups.images import kept_image
from rollproof.backups.kept_backups import backup_hint
from rollproof.backups.sets import MANIFEST, BackupSet, read_backup, stamp_of, whole_package
from rollproof.errors import ActionFailed, Mismatch, Problem, Unverifiable, reason_of
from rollproof.profile.sections import StoreProfile
from rollproof.stores.package import Package

# A set's name has the time of its beginning; an unfinished set is hidden among the others.
_NAME = re.compile(r"\.?(?P<stamp>\d{8}T\d{9}Z)-(?P<target>.+?)(?:\.part)?")


def newest_backup(backups: Path, target: str) -> BackupSet:
    """Return the backup set of `target` below the folder `backups` that finished last.

    Its folder may have been renamed, as for `find_backup`, which passes a damaged set over: this does not.

    Raises:
        Mismatch: there is none, or the newest set is truncated, damaged, or another target's.
        Unverifiable: the folder cannot be read.
    """
    try:
        found = max(_sets(backups, target), key=lambda one: (one[0], one[1].name), default=None)
    except OSError as error:
        raise Unverifiable(
            what=f"backups of {target}",
            expected="a folder that can be read",
            observed=reason_of(error),
            source=str(backups),
            hint="correct folders.backups in the profile, or the folder's permissions",
        ) from None
    if found is None:
        raise _refused(target, backups, "none")
    _, folder, backup = found
    if isinstance(backup, str):
        raise _refused(target, folder, backup)
    return backup


def _sets(backups: Path, target: str) -> Iterator[tuple[str, Path, BackupSet | str]]:
    """Yield when each set of `target` finished, its folder, and the set, or its fault.

    A set with a fault has only its name to say whose it is, and when it began: a renamed one is left out.
    """
    for folder in backups.iterdir() if backups.exists() else ():
        name = _NAME.fullmatch(folder.name)
        owned = name["stamp"] if name is not None and name["target"] == target and folder.is_dir() else ""
        try:
            backup = read_backup(folder / MANIFEST)
            fault = "" if backup.target == target else f"one of target {backup.target}"
        except Problem as problem:
            fault = f"a damaged one: {problem.observed} in its manifest"
            if owned and not (folder / MANIFEST).is_file():
                fault = f"one without {MANIFEST}: it was cut"
        if folder.name.startswith("."):
            fault = "one that was begun and is not finished: it was cut, or it runs"
        if not fault:
            yield stamp_of(datetime.fromisoformat(backup.finished.wall)), folder, backup
        elif owned:
            yield owned, folder, fault


def read_store(backup: BackupSet, name: str, profile: StoreProfile) -> Package:
    """Return the backup of store `name`, after reading and comparing every byte, and those of its index.

    Raises:
        Mismatch: it is not whole.
    """
    try:
        return whole_package(backup, name, profile)
    except ActionFailed as problem:
        raise _wrong(name, problem) from None


def read_image(backups: Path, image: str) -> int:
    """Return the bytes of the kept copy of the image with the id `image`, after reading and comparing them.

    Raises:
        Mismatch: it is missing or damaged.
    """
    try:
        return kept_image(backups, image).stat().st_size
    except ActionFailed as problem:
        raise _wrong(f"image {image}", problem) from None


def _wrong(name: str, problem: ActionFailed) -> Mismatch:
    return Mismatch(
        what=f"backup of {name}",
        expected=problem.expected,
        observed=problem.observed,
        source=problem.source,
        hint=backup_hint(),
    )


def _refused(target: str, source: Path, observed: str) -> Mismatch:
    return Mismatch(
        what=f"newest backup of {target}",
        expected="a complete set",
        observed=observed,
        source=str(source),
        hint=backup_hint(),
    )
