"""The newest backup set of a target: that one, or what is wrong with it, and never an older one in its place.

A rollback takes the newest set that is whole. Before a migration that is not good enough: the newest one is
what the data of today would come back from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from fixtures.errors import ActionFailed, Mismatch, Problem, Unverifiable
from fixtures.files import sha256_of
from fixtures.kept_backups import AGAIN, KeptStore, absent
from fixtures.stores.profiles import AnyStore
from rollback_actions.backup import MANIFEST, BackupSet, read_backup
from rollback_actions.index import read_index
from rollback_actions.stores import package as packages
from rollback_actions.stores.mysql import DUMP
from rollback_actions.stores.mysql_dump import read_dump

# A set has the time of its beginning in its name; one that is not finished is hidden beside the others.
_NAME = re.compile(r"\.?(?P<stamp>\d{8}T\d{9}Z)-(?P<target>.+?)(?:\.part)?")


def newest_backup(backups: Path, target: str) -> BackupSet:
    """Return the newest backup set of `target` below the folder `backups`.

    Raises:
        Mismatch: there is none, or the newest one was cut, is damaged, or is another target's.
        Unverifiable: the folder cannot be read.
    """
    try:
        found = sorted(_sets(backups, target))
    except OSError as error:
        raise Unverifiable(
            what=f"backups of {target}",
            expected="a folder that can be read",
            observed=error.strerror or type(error).__name__,
            source=str(backups),
            hint="correct folders.backups in the profile, or the folder's permissions",
        ) from None
    if not found:
        raise _refused(target, backups, "none")
    _, folder = found[-1]
    if folder.name.startswith("."):
        raise _refused(target, folder, "one that was begun and is not finished: it was cut, or it runs")
    if not (folder / MANIFEST).is_file():
        raise _refused(target, folder, f"one without {MANIFEST}: it was cut")
    try:
        of, backup = read_backup(folder / MANIFEST)
    except Problem as problem:
        raise _refused(target, folder, f"a damaged one: {problem.observed} in its manifest") from None
    if of != target:
        raise _refused(target, folder, f"one of target {of}")
    return backup


def _sets(backups: Path, target: str) -> Iterator[tuple[str, Path]]:
    for path in backups.iterdir() if backups.exists() else ():
        name = _NAME.fullmatch(path.name)
        if name is not None and name["target"] == target and path.is_dir():
            yield name["stamp"], path


def read_store(backup: BackupSet, name: str, profile: AnyStore) -> KeptStore:
    """Return the backup of store `name`, every byte of it and of its index read and compared.

    Raises:
        Mismatch: it is not there, not whole, not the one that the set was sealed with, or of another kind.
    """
    folder = backup.folder / name
    if name not in backup.stores:
        raise absent(name, backup.stores, backup.folder)
    try:
        package = packages.read_package(folder, kind=profile.kind)
    except ActionFailed as problem:
        raise _wrong(name, folder, str(problem.expected), str(problem.observed)) from None
    if backup.sealed.get(name) != sha256_of(folder / packages.MANIFEST):
        raise _wrong(name, folder, f"the {packages.MANIFEST} that the set was sealed with", "another one")
    if profile.kind == "mysql" and not read_dump(package.path(DUMP)).complete:
        raise _wrong(name, folder, "a dump with its trailer, '-- Dump completed'", "none: it was cut")
    try:
        read_index(backup.folder, name, backup.index)
    except ActionFailed as problem:
        observed = f"{problem.observed}: it was changed"
        raise _wrong(name, folder, "an index with SHA-256 as the set names them", observed) from None
    return KeptStore(folder, package.method, package.records, package.size)


def _wrong(name: str, folder: Path, expected: str, observed: str) -> Mismatch:
    return Mismatch(
        what=f"backup of {name}", expected=expected, observed=observed, source=str(folder), hint=AGAIN
    )


def _refused(target: str, source: Path, observed: str) -> Mismatch:
    return Mismatch(
        what=f"newest backup of {target}",
        expected="a complete set",
        observed=observed,
        source=str(source),
        hint=AGAIN,
    )
