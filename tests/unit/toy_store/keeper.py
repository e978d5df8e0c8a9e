"""A folder of files, write side: a copy of each file, and its permissions."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from rollproof.profile.store_descriptor import Means
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import Put, Restored
from rollproof.stores.package import Kept, read_package, write_package
from rollproof.stores.reach import Readable
from rollproof.stores.writable import StoreWriter, Writable
from rollproof.system.files import write_whole
from tests.unit.toy_store.content import Content, permissions
from tests.unit.toy_store.descriptor import FolderProfile


class Keeper(StoreWriter[FolderProfile]):
    """The write side of a folder. See `StoreKeeper`."""

    def __init__(self, writable: Writable[FolderProfile]) -> None:
        """Remember the folder."""
        super().__init__(writable)
        self._reader = Content(Readable(writable.store, writable.profile, writable.endpoint))

    def back_up(self, folder: Path) -> Kept:
        """Copy every file, and see that none was written meanwhile."""
        before = self._listed()
        modes: dict[str, str] = {}
        for collection, files in before.items():
            (folder / collection).mkdir()
            modes[collection] = permissions(self._profile.folder / collection)
            for name in files:
                path = self._profile.folder / collection / name
                _copy(path, folder / collection / name)
                modes[f"{collection}/{name}"] = permissions(path)
        if self._listed() != before:
            raise self._failed(
                "backup",
                expected="files that nobody writes meanwhile",
                observed="others at its end",
                hint="stop what writes there",
            )
        return write_package(
            folder,
            kind=self.kind,
            method="a copy of each file",
            means=Means.COPIES,
            records={collection: len(files) for collection, files in before.items()},
            details={"modes": modes, "collections": list(self._profile.collections)},
        )

    def restore(self, folder: Path) -> Restored:
        """Write each file of the backup again, and remove what came after."""
        package = read_package(folder, kind=self.kind)
        wanted = list(self._profile.collections)
        self._expect_same(package, "collections", package.details["collections"], wanted)
        notes, modes = [], package.details["modes"]
        for name in sorted(modes, key=lambda name: ("/" in name, name)):
            path = self._profile.folder / name
            if "/" in name:
                _copy(package.path(name), path)
            else:
                path.mkdir(exist_ok=True)
            path.chmod(int(modes[name], 8))
        for collection, files in self._listed().items():
            if collection not in modes:
                shutil.rmtree(self._profile.folder / collection)
                notes.append(f"removed {collection}, which came after the backup")
                continue
            for name in (one for one in files if f"{collection}/{one}" not in modes):
                (self._profile.folder / collection / name).unlink()
                notes.append(f"removed {collection}/{name}, which came after the backup")
        return Restored(dict(package.records), tuple(notes))

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Write each file again."""

        def write(record: ExportedRecord) -> None:
            path = self._profile.folder / collection / record.key
            with self._reader.translated():
                path.write_bytes(base64.b64decode(str(record.replay)))
                path.chmod(int(cast("Mapping[str, str]", record.content)["permissions"], 8))

        yield Put(write)

    def _listed(self) -> Mapping[str, Mapping[str, tuple[int, int]]]:
        """Return size and last change of every file, by collection and name."""
        with self._reader.translated():
            return {
                folder.name: {
                    path.name: (path.stat().st_size, path.stat().st_mtime_ns)
                    for path in self._reader.files(folder.name)
                }
                for folder in self._reader.folders()
            }


def _copy(source: Path, to: Path) -> None:
    """Copy a file, whole or not at all."""
    write_whole(to, source.read_bytes())
