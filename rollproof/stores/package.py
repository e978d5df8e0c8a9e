"""A backup on disk that is whole or refused.

A keeper writes its data files into an empty folder and then calls `write_package`, which writes
``backup.json`` last. It holds the size and SHA-256 of every data file, and a SHA-256 of itself. A folder
without it is a truncated backup. `read_package` reads everything again before a restore may touch a store.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Never

from rollproof.errors import ActionFailed, reason_of
from rollproof.profile.store_descriptor import Means
from rollproof.reading import open_regular, read_regular
from rollproof.system.files import create_file, rename_whole, sha256_of, sync_folder
from rollproof.system.record_files import LEFT_OUT, Must, WrongRecord, read_sealed, sealed_json

MANIFEST = "backup.json"
VERSION = 1
_UNFINISHED = "backup.json.unfinished"
# It names every file: an object store may have hundreds of thousands.
_LARGEST_MANIFEST = 256 * 1024 * 1024
_REFUSED = "do not restore from this folder; take another backup, or use an older one"


@dataclass(frozen=True, slots=True)
class Kept:
    """The content of a backup: records by collection (the names of `Reader.counts`) and bytes on disk.

    `method` tells people how it was taken, `means` the runbook's data safety matrix. What is no store's has
    no `means`.
    """

    method: str
    records: Mapping[str, int]
    size: int
    means: Means | None = None


@dataclass(frozen=True, slots=True)
class DataFile:
    """The expected state of a data file: its bytes on disk and their SHA-256 in hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PackageContent:
    """The content of ``backup.json``: a backup's kind, counts by collection and data files.

    See `Kept` for `method` and `means`. `details` is JSON that the keeper of this `kind` wrote for itself,
    such as the server's version.
    """

    kind: str
    method: str
    records: Mapping[str, int]
    details: Mapping[str, Any]
    files: Mapping[str, DataFile]
    version: Annotated[int, Must(f"version {VERSION}", VERSION.__eq__)]
    means: Means | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True)
class Package(PackageContent):
    """A backup in `folder` that was read and found whole; `files` are relative paths."""

    folder: Path = field(kw_only=True)

    @property
    def size(self) -> int:
        """Bytes of all data files."""
        return sum(file.size for file in self.files.values())

    def path(self, name: str) -> Path:
        """Return the path of the data file `name`; raises `ActionFailed` if the backup does not list it."""
        if name not in self.files:
            _refuse(self.folder, f"a data file {name}", "none of that name")
        return self.folder / name


def write_package(
    folder: Path,
    *,
    kind: str,
    method: str,
    means: Means | None,
    records: Mapping[str, int],
    details: Mapping[str, Any],
) -> Kept:
    """Seal the data files in `folder`: hash them, bring them to the disk, then write ``backup.json``.

    `details` must be JSON. `means` is None for what is no store's, and satisfies no risk's demand. Raises
    `ActionFailed` if the folder is already sealed or cannot be written.
    """
    if (folder / MANIFEST).exists():
        _refuse(folder, "an unsealed backup", f"a {MANIFEST} from an earlier one")
    try:
        (folder / _UNFINISHED).unlink(missing_ok=True)
        names = _names(folder)
        files = {name: _seal(folder / name) for name in names}
        content = PackageContent(
            version=VERSION,
            kind=kind,
            method=method,
            means=means,
            records=dict(sorted(records.items())),
            # As it will be read: JSON has only text as keys, and no tuples.
            details=json.loads(json.dumps(dict(details), allow_nan=False)),
            files=files,
        )
        with create_file(folder / _UNFINISHED) as stream:
            stream.write(sealed_json(content))
            stream.flush()
            os.fsync(stream.fileno())
        for directory in sorted({(folder / name).parent for name in names} | {folder}):
            sync_folder(directory)
        rename_whole(folder / _UNFINISHED, folder / MANIFEST)
    except OSError as error:
        raise ActionFailed(
            what="backup",
            expected="data files that reach the disk",
            observed=f"{reason_of(error)}: {error.filename}",
            source=str(folder),
            hint="check the free space and the permissions of the backup folder",
        ) from error
    return Kept(method, content.records, sum(file.size for file in files.values()), means)


def read_package(folder: Path, *, kind: str, only: str = "") -> Package:
    """Return the backup in `folder`, after reading and comparing every byte, or those of the file `only`.

    Raises `ActionFailed` naming the file that is missing, truncated, changed or added, or if the backup is of
    another kind of store.
    """
    content = _manifest(folder)
    if content.kind != kind:
        _refuse(folder, f"a backup of a store of kind {kind}", f"one of kind {content.kind}")
    try:
        found = set(_names(folder))
        for name in sorted(found - set(content.files)):
            _refuse(folder, f"only the files that {MANIFEST} lists", f"another one, {name}")
        for name, file in sorted(content.files.items()):
            if name not in found:
                _refuse(folder, f"the data file {name}", "it is missing")
            size = (folder / name).stat().st_size
            if size < file.size:
                _refuse(folder, f"{name} of {file.size} bytes", f"{size}: it was cut")
            if size > file.size:
                _refuse(folder, f"{name} of {file.size} bytes", f"{size}: it has grown")
            if only in {"", name} and sha256_of(folder / name) != file.sha256:
                _refuse(folder, f"{name} with SHA-256 {file.sha256}", "another one: it was changed")
    except OSError as error:
        _refuse(folder, "readable data files", f"{reason_of(error)}: {error.filename}")
    return Package(**{one.name: getattr(content, one.name) for one in fields(content)}, folder=folder)


def read_details(folder: Path) -> Mapping[str, Any]:
    """Return the `details` of the backup in `folder`, whose data files are not read.

    Raises:
        ActionFailed: its manifest is missing or damaged.
    """
    return _manifest(folder).details


def _manifest(folder: Path) -> PackageContent:
    try:
        text = read_regular(folder / MANIFEST, _LARGEST_MANIFEST)
    except FileNotFoundError:
        _refuse(folder, f"a {MANIFEST}", "none: the backup was never finished, or the folder is another one")
    except OSError as error:
        _refuse(folder, f"a readable {MANIFEST}", reason_of(error))
    try:
        return read_sealed(PackageContent, text)
    except WrongRecord as error:
        _refuse(folder, f"a {MANIFEST} of this program", str(error))


def _names(folder: Path) -> list[str]:
    """Return the relative paths of all files in `folder`, without the manifest."""
    names = []
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            _refuse(folder, "regular files and directories", f"another kind of file, {path.name}")
        if path.is_file():
            names.append(str(path.relative_to(folder)))
    return sorted(name for name in names if name != MANIFEST)


def _seal(path: Path) -> DataFile:
    path.chmod(0o600)
    sha256 = sha256_of(path)
    with open_regular(path) as stream:
        os.fsync(stream.fileno())
        size = os.fstat(stream.fileno()).st_size
    return DataFile(size=size, sha256=sha256)


def _refuse(folder: Path, expected: str, observed: str) -> Never:
    raise ActionFailed(what="backup", expected=expected, observed=observed, source=str(folder), hint=_REFUSED)
