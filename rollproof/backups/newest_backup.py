"""The newest backup set of a target: the set or its fault, but never an older set in its place.

A rollback takes the newest set that is whole. Before a migration that is not good enough: today's data would
come back from the newest set.
"""

from __future__ import annotations

from pathlib import Path

from rollproof.backups.images import kept_image
from rollproof.backups.kept_backups import backup_hint
from rollproof.backups.sets import BackupSet, sets_in, whole_package
from rollproof.errors import ActionFailed, Mismatch
from rollproof.profile.sections import StoreProfile
from rollproof.stores.package import Package


def newest_backup(backups: Path, target: str) -> BackupSet:
    """Return the backup set of `target` below the folder `backups` that finished last.

    Its folder may have been renamed, as for `find_backup`, which passes a damaged set over: this does not.

    Raises:
        Mismatch: there is none, or the newest set is truncated, damaged, or another target's.
        Unverifiable: the folder cannot be read.
    """
    found = sets_in(backups, target)
    if not found:
        raise _refused(target, backups, "none")
    _, folder, backup = found[-1]
    if isinstance(backup, str):
        raise _refused(target, folder, backup)
    return backup


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
