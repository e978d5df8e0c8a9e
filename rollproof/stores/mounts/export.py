"""The application's own state, export: each file as a tar of its own."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO, cast

from rollproof.collection import Json
from rollproof.stores.contract import ExportedRecord, Pace, Selection
from rollproof.stores.mounts.content import Content, Hashing, key_of
from rollproof.stores.mounts.view import File
from rollproof.system.files import create_file

FILES = "files"


class Export(Content):
    """Reads whole files. See `RecordExport`."""

    def export(self, selection: Selection, folder: Path, _pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted files; each is a tar in ``files`` below `folder`."""
        pairs = selection.pairs
        keys = {key for key, _ in pairs}
        held = self.mounted(selection.collection)
        below = folder / FILES
        with self._written():
            below.mkdir(mode=0o700, exist_ok=True)
        written: list[tuple[Path, Json]] = []

        def keep(file: File, content: Hashing) -> None:
            written.clear()
            if key_of(file.path) in keys:
                path = below / f"{_unique(selection.collection, file.path)}.tar"
                with self._written():
                    path.unlink(missing_ok=True)
                    written.append((path, _write(file, content, path)))

        with self.files(held) as files:
            for record in self.hashed(selection.collection, files, keep):
                for path, shown in written:
                    if (record.key, record.hash) not in pairs:
                        path.unlink()
                        continue
                    yield ExportedRecord(record.key, record.hash, shown)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # An answer that broke off is an `OSError` too, without a number.
            if error.errno is None:
                raise
            raise self._reach.failed(error) from None


def _unique(collection: str, path: str) -> str:
    """Return a name for a file's tar: several mounts are exported side by side."""
    return blake2b(f"{collection}/{path}".encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _write(file: File, content: Hashing, path: Path) -> Json:
    """Write a tar of one file, and return what people are shown of it."""
    info = file.below(".")
    with create_file(path) as stream:
        with tarfile.open(
            fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape"
        ) as tar:
            tar.addfile(info, cast("IO[bytes]", content) if info.isreg() else None)
        stream.flush()
        os.fsync(stream.fileno())
    shown: dict[str, Json] = {
        "permissions": f"{info.mode & 0o7777:04o}",
        "owner": f"{info.uid}:{info.gid}",
        "tar": f"{FILES}/{path.name}",
    }
    if info.issym() or info.islnk():
        shown["target"] = key_of(info.linkname)
    return shown
