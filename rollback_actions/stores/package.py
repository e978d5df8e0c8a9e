"""A backup on disk that is whole or refused.

A keeper writes its data files into an empty folder and then calls `write_package`, which writes
``backup.json`` last: the size and SHA-256 of every data file, and a SHA-256 of itself. A folder without it is
a backup that was cut. `read_package` reads all of it again before a restore may touch a store.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Never

from pydantic import BaseModel, ConfigDict, ValidationError

from fixtures.errors import ActionFailed
from fixtures.files import sha256_of
from rollback_actions.stores.keeper import Kept

MANIFEST = "backup.json"
_UNFINISHED = "backup.json.unfinished"
_REFUSED = "do not restore from this folder; take another backup, or use an older one"


class DataFile(BaseModel):
    """What a data file must be: its bytes on disk and their SHA-256 in hexadecimal."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    size: int
    sha256: str


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1]
    kind: str
    method: str
    records: dict[str, int]
    details: dict[str, Any]
    files: dict[str, DataFile]

    def sha256(self) -> str:
        text = json.dumps(self.model_dump(), sort_keys=True, ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    content: _Content
    sha256: str


@dataclass(frozen=True, slots=True)
class Package:
    """A backup that was read and found whole.

    `records` counts by collection, `files` are relative paths, `details` is what the keeper of this `kind`
    wrote for itself: JSON, such as the server's version.
    """

    folder: Path
    kind: str
    method: str
    records: Mapping[str, int]
    details: Mapping[str, Any]
    files: Mapping[str, DataFile]

    @property
    def size(self) -> int:
        """Bytes of all data files."""
        return sum(file.size for file in self.files.values())

    def path(self, name: str) -> Path:
        """Return the data file `name`; raises `ActionFailed` when the backup does not list it."""
        if name not in self.files:
            _refuse(self.folder, f"a data file {name}", "none of that name")
        return self.folder / name


def create_file(path: Path) -> BinaryIO:
    """Open a new file for writing that only its owner may read; raises FileExistsError when it is there."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def write_package(
    folder: Path,
    *,
    kind: str,
    method: str,
    records: Mapping[str, int],
    details: Mapping[str, Any],
) -> Kept:
    """Seal the data files in `folder`: hash them, bring them to the disk, then write ``backup.json``.

    `details` must be JSON. Raises `ActionFailed` when the folder is sealed already or cannot be written.
    """
    if (folder / MANIFEST).exists():
        _refuse(folder, "an unsealed backup", f"a {MANIFEST} from an earlier one")
    try:
        (folder / _UNFINISHED).unlink(missing_ok=True)
        names = _names(folder)
        files = {name: _seal(folder / name) for name in names}
        content = _Content(
            version=1,
            kind=kind,
            method=method,
            records=dict(sorted(records.items())),
            # As it will be read: JSON has no tuples and no keys but text.
            details=json.loads(json.dumps(dict(details), allow_nan=False)),
            files=files,
        )
        manifest = _Manifest(content=content, sha256=content.sha256())
        with create_file(folder / _UNFINISHED) as stream:
            stream.write(json.dumps(manifest.model_dump(), indent=1, sort_keys=True).encode())
            stream.flush()
            os.fsync(stream.fileno())
        for directory in sorted({(folder / name).parent for name in names} | {folder}):
            _sync_directory(directory)
        (folder / _UNFINISHED).rename(folder / MANIFEST)
        _sync_directory(folder)
    except OSError as error:
        raise ActionFailed(
            what="backup",
            expected="data files that reach the disk",
            observed=f"{error.strerror}: {error.filename}",
            source=str(folder),
            hint="check the free space and the permissions of the backup folder",
        ) from error
    return Kept(method=method, records=content.records, size=sum(file.size for file in files.values()))


def read_package(folder: Path, *, kind: str) -> Package:
    """Return the backup in `folder`, every byte of it read and compared.

    Raises `ActionFailed` naming the file that is missing, cut, changed or added, or when the backup is one of
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
            if sha256_of(folder / name) != file.sha256:
                _refuse(folder, f"{name} with SHA-256 {file.sha256}", "another one: it was changed")
    except OSError as error:
        _refuse(folder, "readable data files", f"{error.strerror}: {error.filename}")
    return Package(
        folder=folder,
        kind=kind,
        method=content.method,
        records=content.records,
        details=content.details,
        files=content.files,
    )


def _manifest(folder: Path) -> _Content:
    try:
        text = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        _refuse(folder, f"a {MANIFEST}", "none: the backup was never finished, or the folder is another one")
    except OSError as error:
        _refuse(folder, f"a readable {MANIFEST}", error.strerror or type(error).__name__)
    try:
        manifest = _Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        _refuse(folder, f"a {MANIFEST} of this program", f"{first['msg']} at {where}")
    if manifest.content.sha256() != manifest.sha256:
        _refuse(folder, f"{MANIFEST} with SHA-256 {manifest.sha256}", "another one: it was changed")
    return manifest.content


def _names(folder: Path) -> list[str]:
    """Return the relative paths of everything in `folder` that is no directory, the manifest left out."""
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
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        size = os.fstat(stream.fileno()).st_size
    return DataFile(size=size, sha256=sha256)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse(folder: Path, expected: str, observed: str) -> Never:
    raise ActionFailed(what="backup", expected=expected, observed=observed, source=str(folder), hint=_REFUSED)
