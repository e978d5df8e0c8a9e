"""A folder of files, write side: a copy of every file, and its permissions."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from folder_store.descriptor import FolderProfile
from folder_store.reader import permissions
from rollproof.profile.store_descriptor import Means
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import Put, Restored, StoreKeeper
from rollproof.stores.package import Kept, read_package, write_package


class FolderKeeper(StoreKeeper):
    """Backs up a folder and restores it."""

    _profile: FolderProfile

    def back_up(self, folder: Path) -> Kept:
        """Copy every file; `write_package` seals the copy with a hash of each."""
        store = self._profile.folder
        modes = {str(path.relative_to(store)): permissions(path) for path in sorted(store.rglob("*"))}
        shutil.copytree(store, folder, dirs_exist_ok=True)
        records = {path.name: len([*path.iterdir()]) for path in store.iterdir()}
        return write_package(
            folder,
            kind=self.kind,
            method="a copy of each file",
            means=Means.COPIES,
            records=records,
            details={"modes": modes},
        )

    def restore(self, folder: Path) -> Restored:
        """Check the copy, then replace the folder by it; a second call after a kill ends the same."""
        package, store = read_package(folder, kind=self.kind), self._profile.folder
        for path in store.iterdir():
            shutil.rmtree(path)
        for name in package.records:
            (store / name).mkdir()
        for name in package.files:
            shutil.copyfile(package.path(name), store / name)
        for name, mode in package.details["modes"].items():
            (store / name).chmod(int(mode, 8))
        return Restored(package.records)

    @contextmanager
    def putting(self, collection: str, _folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Write exported records back as files."""

        def write(record: ExportedRecord) -> None:
            content: Any = record.content
            path = self._profile.folder / collection / record.key
            if path.exists() and not overwrite:
                raise self._failed("write", expected="no such file", observed=record.key, hint="--overwrite")
            path.write_text(content["text"])
            path.chmod(int(content["permissions"], 8))

        yield Put(write)
