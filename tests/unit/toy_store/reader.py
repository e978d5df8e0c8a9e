"""A folder of files, read side: each file is a record, known by its name, its bytes and its permissions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from rollproof.collection import Json
from rollproof.stores.canonical import record_of
from rollproof.stores.contract import Answer, Digest, ExportedRecord, Pace, RecordHash, Selection
from rollproof.stores.policy import excluded_of
from rollproof.stores.reader import Reader
from tests.unit.toy_store.descriptor import FolderProfile

TOKENS, DOCUMENTS = "tokens", "documents"


class FolderReader(Reader):
    """Reads a folder; a part is a range of names."""

    _profile: FolderProfile
    blind_spots: tuple[str, ...] = ("owners of files, and when they were written",)

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

    def collections(self) -> Sequence[str]:
        """Return the folders."""
        with self.translated():
            return [folder.name for folder in self.folders()]

    def count(self, collection: str) -> int:
        """Return how many files a collection has."""
        with self.translated():
            return len(self.files(collection))

    def schemas(self) -> Mapping[str, Json]:
        """Return the permissions of the folder of each collection."""
        with self.translated():
            return {path.name: {"permissions": permissions(path)} for path in self.folders()}

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return a division by the names that there are."""
        with self.translated():
            return ("", *(path.name for path in self.files(collection)[records::records]))

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each of `parts`."""
        for part in parts:
            hashes = [record.hash for _, record in self.records(collection, division, [part], pace)]
            yield part, Digest(len(hashes), sum(hashes))

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], _pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        """Yield the records of `parts`."""
        for part in parts:
            for path in self.in_part(collection, division, part):
                yield part, self.record(collection, path)

    def in_part(self, collection: str, division: Sequence[str], part: int) -> list[Path]:
        """Return the files of a part."""
        with self.translated():
            return [path for path in self.files(collection) if bisect_right(division, path.name) - 1 == part]

    def record(self, collection: str, path: Path) -> RecordHash:
        """Return the hashes of a file, without the fields that the profile excludes."""
        with self.translated():
            fields: dict[str, bytes | None] = {
                "content": path.read_bytes(),
                "permissions": permissions(path).encode(),
            }
        for name in excluded_of(self._profile, collection):
            fields.pop(name, None)
        return record_of(path.name, path.name.encode(), fields)

    def export(self, _selection: Selection, _folder: Path, _pace: Pace) -> Iterator[ExportedRecord]:
        """Export nothing: a verification needs no export."""
        raise NotImplementedError


def permissions(path: Path) -> str:
    """Return the permissions of a file or folder, as octal digits."""
    return f"{path.stat().st_mode & 0o777:03o}"


def put(path: Path, content: bytes, mode: int = 0o640) -> None:
    """Write a file with its permissions."""
    path.write_bytes(content)
    path.chmod(mode)
