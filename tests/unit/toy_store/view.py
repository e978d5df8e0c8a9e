"""A folder of files, read side: each file is a record, known by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from rollproof.stores.contract import Answer
from rollproof.stores.reach import StoreReader
from tests.unit.toy_store.descriptor import FolderProfile

TOKENS, DOCUMENTS = "tokens", "documents"


class FolderReader(StoreReader[FolderProfile]):
    """What the view, the content reader and the export of a folder have."""

    kind = "folder"

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Say what the file system refuses."""
        try:
            yield
        except OSError as error:
            where = f"{error.strerror}: {error.filename}"
            raise self._reach.failed(where, expected="a folder that can be read") from None

    def folders(self) -> list[Path]:
        """Return the folders of the collections, by name."""
        return [path for path in sorted(self._profile.folder.iterdir()) if self._chosen(path)]

    def files(self, collection: str) -> list[Path]:
        """Return the files of a collection, by name; one that is not there is no empty one."""
        if collection not in {path.name for path in self._profile.folder.iterdir()}:
            raise self._reach.failed(f"no folder {collection}", expected=f"folder {collection}")
        return sorted((self._profile.folder / collection).iterdir())

    def _chosen(self, path: Path) -> bool:
        return path.is_dir() and any(fnmatchcase(path.name, one) for one in self._profile.collections)


class View(FolderReader):
    """Read-only view of a folder. See `StoreView`."""

    def ask(self) -> Answer:
        """Read the first file of the first collection that has any."""
        with self.translated():
            counts = self.counts()
            if not counts:
                raise self._reach.failed("none", expected="a collection in the folder")
            name = next((name for name, count in counts.items() if count), next(iter(counts)))
            for path in self.files(name)[:1]:
                path.read_bytes()
            return Answer("list of files", name, counts[name], f"folder {self._profile.folder.name}")

    def counts(self) -> Mapping[str, int]:
        """Return how many files each collection has."""
        with self.translated():
            return {folder.name: len(self.files(folder.name)) for folder in self.folders()}


def put(path: Path, content: bytes, mode: int = 0o640) -> None:
    """Write a file with its permissions."""
    path.write_bytes(content)
    path.chmod(mode)
