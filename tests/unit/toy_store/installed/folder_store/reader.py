"""A folder of files, read side: each file is a record, known by its name, its bytes and its permissions."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from folder_store.descriptor import FolderProfile
from rollproof.collection import Json
from rollproof.stores.canonical import record_of, text_json
from rollproof.stores.contract import ExportedRecord, Pace, QueryAnswer, RecordHash, Selection
from rollproof.stores.listed import Listed
from rollproof.stores.policy import excluded_of


class FolderReader(Listed):
    """Reads a folder. `Listed` sorts the names of a collection into parts."""

    _profile: FolderProfile
    blind_spots = ("owners of files, and when they were written",)

    @contextmanager
    def asked(self, expected: str = "a folder that can be read") -> Iterator[Path]:
        """Yield the folder; what the file system refuses becomes `Unverifiable`."""
        try:
            yield self._profile.folder
        except OSError as error:
            raise self._reach.failed(f"{error.strerror}: {error.filename}", expected=expected) from None

    def collections(self) -> Sequence[str]:
        """Return the folders."""
        with self.asked() as folder:
            return sorted(path.name for path in folder.iterdir() if path.is_dir())

    def files(self, collection: str) -> list[Path]:
        """Return the files of a collection; one that is not there is no empty one."""
        with self.asked(f"folder {collection}") as folder:
            return sorted((folder / collection).iterdir())

    def count(self, collection: str) -> int:
        """Return the number of files."""
        return len(self.files(collection))

    def ask(self) -> QueryAnswer:
        """Read the first file of the first collection that has any."""
        files = [(name, file) for name in self.collections() for file in self.files(name)]
        if not files:
            raise self._reach.failed("none", expected="a file in the folder")
        name, file = files[0]
        with self.asked():
            file.read_bytes()
        return QueryAnswer("first file", name, self.count(name), f"folder {self._profile.folder.name}")

    def schemas(self) -> Mapping[str, Json]:
        """Return the permissions of the folder of each collection."""
        with self.asked() as folder:
            return {name: {"permissions": permissions(folder / name)} for name in self.collections()}

    def place(self, name: Path) -> str:
        """Return the key, by which records are in parts."""
        return name.name

    def _listed(self, collection: str, _pace: Pace) -> Iterator[Path]:
        yield from self.files(collection)

    def _read(self, collection: str, names: Sequence[Path], _pace: Pace) -> Iterator[RecordHash]:
        for path in names:
            yield self.record(collection, path)

    def record(self, collection: str, path: Path) -> RecordHash:
        """Return the hashes of a file, without the fields that the profile excludes."""
        with self.asked():
            fields = {"content": path.read_bytes(), "permissions": permissions(path).encode()}
        excluded = excluded_of(self._profile, collection)
        shown = {name: value for name, value in fields.items() if name not in excluded}
        return record_of(path.name, path.name.encode(), shown)

    def export(self, selection: Selection, _folder: Path, _pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted files that are there as they were."""
        for path in self.files(selection.collection):
            record = self.record(selection.collection, path)
            if (record.key, record.hash) in selection.pairs:
                content = {"text": text_json(path.read_bytes()), "permissions": permissions(path)}
                yield ExportedRecord(record.key, record.hash, content)


def permissions(path: Path) -> str:
    """Return the permissions of a file or folder, as octal digits."""
    return f"{path.stat().st_mode & 0o777:03o}"
