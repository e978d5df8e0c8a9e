"""A folder of files, content: each file by its bytes and its permissions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rollproof.collection import Json
from rollproof.stores.contract import Digest, Pace, RecordHash
from rollproof.stores.policy import excluded_of
from rollproof.stores.vectors import field_hash, record_hash
from tests.unit.toy_store.view import FolderReader


class Content(FolderReader):
    """The content reader of a folder. See `ContentView`; a part is a range of names."""

    blind_spots: tuple[str, ...] = ("owners of files, and when they were written",)

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
            fields = {"content": path.read_bytes(), "permissions": permissions(path).encode()}
        for name in excluded_of(self._profile, collection):
            fields.pop(name, None)
        hashes = {name: field_hash(value) for name, value in fields.items()}
        return RecordHash(path.name, record_hash(path.name, sorted(fields.items())), hashes)


def permissions(path: Path) -> str:
    """Return the permissions of a file or folder, as octal digits."""
    return f"{path.stat().st_mode & 0o777:03o}"
