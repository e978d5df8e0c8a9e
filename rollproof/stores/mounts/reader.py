"""The application's own state, read side: each file by its bytes, its permissions and its owner.

The engine sends a mount's files as a tar, whether the container runs or not; nothing is run in it.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from tarfile import TarInfo
from tempfile import TemporaryDirectory
from typing import IO, Any, cast

from rollproof.collection import Json
from rollproof.engines.engine import Container, ContainerEngine, Mount, NotThere
from rollproof.errors import Unverifiable
from rollproof.stores.canonical import record_of
from rollproof.stores.contract import Digest, ExportedRecord, Pace, QueryAnswer, RecordHash, Selection
from rollproof.stores.listed import Listed
from rollproof.stores.mounts.descriptor import PLACE, MountsProfile
from rollproof.stores.mounts.sqlite import COMPANIONS, LOGS, MAGIC, Database, log_length, shown_value
from rollproof.stores.names import Name
from rollproof.stores.policy import chosen, excluded_of
from rollproof.stores.reach import Readable
from rollproof.system.files import create_file

MOST_FILES = 200_000
"""Of one mount: their keys are held in memory."""
FIRST = 100
"""Files that one question looks at: it is asked with every beat."""
MOST_READINGS = 30
"""Of a SQLite file, until it stands still for one of them."""
# The end of a tar. The engine ends its answer in order even where it could not read a file to its end.
_END = bytes(2 * 512)
# The prefix of an extended attribute's name in a tar.
_ATTRIBUTE = "SCHILY.xattr."
_CHUNK = 1 << 20
_KINDS = ("isreg", "file"), ("isdir", "folder"), ("issym", "link"), ("isfifo", "pipe"), ("isdev", "device")
FILES = "files"


@dataclass(frozen=True, slots=True)
class HeldMount:
    """A mount of the profile as a container has it. `nested` are the places of other mounts inside it."""

    name: str
    container: Container
    mount: Mount
    nested: tuple[str, ...]


@dataclass(slots=True)
class File:
    """A file, folder or link: its path in the mount, "" for the mount itself, and what the engine says."""

    path: str
    info: tarfile.TarInfo
    tar: tarfile.TarFile

    def opened(self) -> IO[bytes]:
        """Return the content of a regular file, of others nothing; to be read before the next file."""
        return (self.tar.extractfile(self.info) if self.info.isreg() else None) or io.BytesIO()

    def of_size(self, size: int) -> File:
        """Return the file with another size."""
        info = copy(self.info)
        info.size, info.pax_headers = size, {k: v for k, v in info.pax_headers.items() if k != "size"}
        return File(self.path, info, self.tar)

    def below(self, folder: str) -> tarfile.TarInfo:
        """Return what the engine says of it, with its path, and that of a hard link, below `folder`."""
        info = copy(self.info)
        info.name = f"{folder}/{self.path}" if self.path else folder
        if info.islnk():
            first = self.info.name.removesuffix(self.path)
            info.linkname = f"{folder}/{info.linkname.removeprefix(first)}"
        # These would win over the two above.
        info.pax_headers = {k: v for k, v in info.pax_headers.items() if k not in {"path", "linkpath"}}
        return info


@dataclass(slots=True)
class Copy:
    """A copy of a SQLite file with the logs next to it, as they were read one after the other.

    It is `cut` if one of them became shorter while it was sent.
    """

    file: Path
    hashes: dict[str, bytes] = field(default_factory=dict)
    cut: bool = False

    def take(self, end: str, stream: IO[bytes]) -> None:
        """Copy the file itself, or the one with such an `end`; an index of a log in memory is no content."""
        if end not in {"", *LOGS}:
            return
        content = Hashing(stream)
        with create_file(self._of(end)) as copy:
            while chunk := content.read(_CHUNK):
                copy.write(chunk)
        self.hashes[end] = content.digest()

    def follows(self, before: Copy) -> bool:
        """Return whether nothing but the end of the write-ahead log was written since `before`.

        Then `before` is as the file was when its log had been read: the file itself was the same from before
        that until now, and what its log had is still in it.
        """
        wal, *others = LOGS
        if self.cut or before.cut:
            return False
        if any(self.hashes.get(end) != before.hashes.get(end) for end in ("", *others)):
            return False
        if wal not in before.hashes or wal not in self.hashes:
            return wal not in before.hashes
        with before._of(wal).open("rb") as old, self._of(wal).open("rb") as new:
            left = log_length(old)
            old.seek(0)
            while chunk := old.read(min(left, _CHUNK)):
                if new.read(len(chunk)) != chunk:
                    return False
                left -= len(chunk)
        return True

    def remove(self) -> None:
        """Remove it: the files of a mount may be copied several times."""
        for end in self.hashes:
            self._of(end).unlink()

    def _of(self, end: str) -> Path:
        return self.file.with_name(self.file.name + end)


class TarStream:
    """The engine's chunks as `tarfile` reads them; remembers the end."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self.tail = b""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""
        parts, length = [self._rest], len(self._rest)
        while length < size and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            length += len(chunk)
        whole = b"".join(parts)
        found, self._rest = whole[:size], whole[size:]
        self.tail = (self.tail + found[-len(_END) :])[-len(_END) :]
        return found


def inside(container: Container, place: str) -> tuple[str, ...]:
    """Return the places of other mounts below `place`, relative to it."""
    below = f"{place.rstrip('/')}/"
    return tuple(
        mount.destination.removeprefix(below).rstrip("/")
        for mount in container.mounts
        if mount.destination.startswith(below)
    )


class Hashing:
    """A stream that hashes what is read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Read nothing yet."""
        self._stream = stream
        self._hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes."""
        found = self._stream.read(size)
        self._hash.update(found)
        return found

    def digest(self) -> bytes:
        """Return the SHA-256 of what was read."""
        return self._hash.digest()


class MountsReader(Listed):
    """Reads the application's own state: the files in its mounts. A part is a range of paths."""

    lists_names = True
    _profile: MountsProfile

    blind_spots: tuple[str, ...] = (
        "when files were written, access control lists, sockets, and attributes other than capabilities",
        "of SQLite files: pages, sqlite_sequence, statistics, and what full-text search derives from rows",
    )

    def __init__(self, readable: Readable[MountsProfile]) -> None:
        """Remember the engine; nothing is asked yet."""
        super().__init__(readable)
        self._engine = cast("ContainerEngine", readable.engine)
        if self._profile.volatile:
            patterns = ", ".join(self._profile.volatile)
            self.blind_spots += (f"files and tables that the profile calls volatile: {patterns}",)

    def mounts(self) -> dict[str, HeldMount]:
        """Return every mount of the profile, sorted by name.

        Raises:
            Unverifiable: a container or its mount is not there, or replicas of a service do not share it.
        """
        services = self._engine.containers()
        return {name: self.found(name, services) for name in sorted(self._profile.held)}

    def mounted(self, collection: str) -> HeldMount:
        """Return one mount of the profile; raises `Unverifiable`."""
        return self.found(collection, self._engine.containers() if collection in self._profile.held else {})

    @contextmanager
    def files(self, held: HeldMount) -> Iterator[Iterator[File]]:
        """Give the files of a mount as they are read, the mount itself first.

        Raises:
            Unverifiable: the engine did not send all of them, or there are too many.
        """
        place, seconds = held.mount.destination, self._reach.deadline
        with self._engine.files(held.container.id, place, seconds) as chunks:
            stream = TarStream(chunks)
            try:
                with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as tar:
                    yield self._files(held, tar, stream)
            except tarfile.TarError as error:
                raise self._reach.failed(
                    f"{held.name}: {error}", expected="the files of a mount", hint="read it again"
                ) from None

    def _files(self, held: HeldMount, tar: tarfile.TarFile, stream: TarStream) -> Iterator[File]:
        number = 0
        root: str | None = None
        for number, info in enumerate(tar):
            tar.members.clear()  # type: ignore[attr-defined]  # else it remembers each
            name = info.name.rstrip("/")
            if root is None:
                root = name
                if not info.isdir():
                    # Nothing can be put into it: a restore would fail once everything is stopped.
                    raise self._reach.failed(
                        f"{held.name}: a file",
                        expected="a folder with files",
                        hint="mount the folder that it is in, or call it stateless: application.stateless",
                    )
            path = name.removeprefix(root).lstrip("/")
            if number > MOST_FILES:
                raise self._reach.failed(
                    f"more in {held.name}",
                    expected=f"{MOST_FILES:,} files at most",
                    hint="too many for a store of this kind: name the mount in application.stateless instead",
                )
            if not any(path == inner or path.startswith(f"{inner}/") for inner in held.nested):
                yield File(path, info, tar)
        while stream.read(_CHUNK):
            pass
        if root is None or stream.tail != _END:
            raise self._reach.failed(
                f"{held.name}: an end after {number:,} files",
                expected="all files of the mount",
                hint="a file may have changed while it was read: read it again",
            )

    def found(self, name: str, services: Mapping[str, Sequence[Container]]) -> HeldMount:
        """Return the mount `name` in one of the containers of its service; raises `Unverifiable`."""
        service, _, place = name.partition(":")
        containers = services.get(service, ())
        found = [
            HeldMount(name, container, mount, inside(container, place))
            for container in containers
            for mount in container.mounts
            if mount.at(place)
        ]
        if not found:
            observed = "one without it" if containers else f"no container of {service}"
        elif len({one.mount.name for one in found}) > 1:
            observed = f"{len(found)} replicas with one each"
        else:
            return found[0]
        raise self._reach.failed(
            observed,
            expected=f"a container with the mount {name}",
            hint="create the container, or correct `held` of this store in the profile",
        )

    def ask(self) -> QueryAnswer:
        """Look at up to `FIRST` files of the first mount that has any, or of the last."""
        for held in self.mounts().values():
            with self.files(held) as files:
                seen = sum(1 for file in islice(files, FIRST + 1) if file.path)
            if seen:
                break
        return QueryAnswer("first files", held.name, seen, f"mounts of {held.container.name}")

    def collections(self) -> Sequence[str]:
        """Return the mounts, which are there."""
        return list(self.mounts())

    def count(self, collection: str) -> int:
        """Return the number of files, folders and links in one mount, and of rows in its SQLite files."""
        held = self.mounted(collection)
        with self.files(held) as files:
            return sum(
                1 + (content.count(self._compared(file.path)) if isinstance(content, Database) else 0)
                for file, content in self.seen(held, files)
            )

    def schemas(self) -> Mapping[str, Json]:
        """Return permissions and owner of each mount's own folder, and the schema of each SQLite file."""
        found: dict[str, Json] = {}
        for name, held in self.mounts().items():
            with self.files(held) as files:
                found[name] = {**_about(next(files).info)}
                for file, content in self.seen(held, files):
                    if isinstance(content, Database):
                        found[f"sqlite {name}/{key_of(file.path)}"] = content.schema()
        return dict(sorted(found.items()))

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each of `parts`, however many records they have, by one reading."""
        found = dict.fromkeys(parts, Digest(0, 0))
        for record in self._listed(collection, pace):
            part = bisect_right(division, record.key) - 1
            if part in found:
                found[part] += Digest(1, record.hash)
        yield from found.items()

    def _listed(self, collection: str, _pace: Pace) -> Iterator[RecordHash]:
        held = self.mounted(collection)
        with self.files(held) as files:
            yield from self.hashed(held, files)

    def _read(self, _collection: str, names: Sequence[RecordHash], _pace: Pace) -> Iterator[RecordHash]:
        """Yield the records as they were listed, at one moment."""
        return iter(names)

    def seen(
        self,
        held: HeldMount,
        files: Iterator[File],
        keep: Callable[[File, IO[bytes]], None] = lambda *_: None,
        *,
        raw: bool = False,
    ) -> Iterator[tuple[File, bytes | Database]]:
        """Yield each file but volatile ones, with the hash of its content, and then each SQLite file.

        `keep` is given each file with its content, which it may read, but no log of a SQLite file: that has
        what is in its logs. If `raw`, SQLite files are files as others. A hard link has the content of the
        first file that it is linked to.
        """
        contents: dict[str, bytes] = {}
        databases: dict[str, tuple[File, Copy]] = {}
        with self._temporary() as folder:
            for file in files:
                if not file.path:
                    continue
                stream = file.opened()
                main = next(
                    (file.path.removesuffix(end) for end in COMPANIONS if file.path.endswith(end)), ""
                )
                if main in databases:
                    with self.writing():
                        databases[main][1].take(file.path.removeprefix(main), stream)
                    continue
                if not raw and not self._is_volatile(file.path) and begins_with(stream, MAGIC):
                    databases[file.path] = file, Copy(folder / f"{len(databases)}")
                    with self.writing():
                        databases[file.path][1].take("", stream)
                    continue
                content = Hashing(stream)
                keep(file, cast("IO[bytes]", content))
                while content.read(_CHUNK):
                    pass
                first = file.info.linkname if file.info.islnk() else file.info.name
                if not file.info.islnk():
                    contents[first] = content.digest()
                if not self._is_volatile(file.path):
                    yield file, contents.get(first, b"")
            for file, copy in databases.values():
                database = self._settled(held, file.path, copy)
                with database.file.open("rb") as stream:
                    keep(file.of_size(database.file.stat().st_size), stream)
                yield file, database

    def _settled(self, held: HeldMount, path: str, copy: Copy) -> Database:
        """Return a SQLite file as it was at one moment: see `rollproof.stores.mounts.sqlite`."""
        countdown = self._reach.start()
        place = f"{held.mount.destination.rstrip('/')}/{path}"

        def failed(observed: str) -> Unverifiable:
            return self._reach.failed(
                f"{held.name}: {observed}",
                expected="a SQLite file that can be read",
                hint="restore the file, or name it, or its table, in `volatile` of this store in the profile",
            )

        for number in range(MOST_READINGS):
            again = Copy(copy.file.with_name(f"{copy.file.name}-{number}"))
            for end in ("", *LOGS):
                with suppress(NotThere):
                    self._take(again, end, held, f"{place}{end}", countdown.left())
            if again.follows(copy):
                again.remove()
                database = Database(path, copy.file, failed)
                database.settle()
                return database
            copy.remove()
            copy = again
        raise self._reach.failed(
            f"{held.name}: another {path} in each of {MOST_READINGS} readings",
            expected="a SQLite file that stands still for as long as it is read",
            hint="let the application use PRAGMA journal_mode = WAL, or read it when less is written",
        )

    def _take(self, copy: Copy, end: str, held: HeldMount, place: str, seconds: float) -> None:
        """Copy one file at `place` in a container; raises `NotThere`."""
        with self._engine.files(held.container.id, place, seconds) as chunks, self.writing():
            try:
                with tarfile.open(fileobj=cast("IO[bytes]", TarStream(chunks)), mode="r|") as tar:
                    copy.take(end, File(place, next(iter(tar)), tar).opened())
            except tarfile.TarError:
                copy.cut = True

    def names(
        self, collection: str, fields: Sequence[str], _where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield each file's path in the mount, or by the field `place` its path in the container."""
        held = self.mounted(collection)
        before = f"{held.mount.destination.rstrip('/')}/" if fields == PLACE else ""
        with self.files(held) as files:
            names = [(f"{before}{key_of(file.path)}",) for file in files if not file.info.isdir()]
        yield from names

    def _is_volatile(self, path: str) -> bool:
        return bool(chosen([key_of(path)], self._profile.volatile))

    def _compared(self, path: str) -> Callable[[str], bool]:
        """Return which tables of a SQLite file are compared."""
        return lambda table: not self._is_volatile(f"{path}#{table}")

    def hashed(self, held: HeldMount, files: Iterator[File]) -> Iterator[RecordHash]:
        """Yield the record of each file and row, without the fields that the profile excludes."""
        for file, content in self.seen(held, files):
            for record, _ in self.records_of(held.name, file, content):
                yield record

    def records_of(
        self, collection: str, file: File, content: bytes | Database
    ) -> Iterator[tuple[RecordHash, Mapping[str, Any] | None]]:
        """Yield the record of a file, and those of its rows, each with its columns, if it has any."""
        excluded = excluded_of(self._profile, collection)
        yield _record(file, content, excluded), None
        if isinstance(content, Database):
            place = f"{collection}/{key_of(file.path)}"
            yield from content.rows(
                self._compared(file.path),
                lambda table: excluded | excluded_of(self._profile, f"{place}#{table}"),
            )

    def export(self, selection: Selection, folder: Path, _pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted files and rows; each file is a tar in ``files`` below `folder`."""
        pairs = selection.pairs
        keys = {key for key, _ in pairs}
        held = self.mounted(selection.collection)
        below = folder / FILES
        with self.writing():
            below.mkdir(mode=0o700, exist_ok=True)
        written: list[tuple[Path, Json]] = []

        def keep(file: File, content: IO[bytes]) -> None:
            written.clear()
            if key_of(file.path) in keys:
                path = below / f"{_unique(selection.collection, file.path)}.tar"
                with self.writing():
                    path.unlink(missing_ok=True)
                    written.append((path, _write(file, content, path)))

        with self.files(held) as files:
            for file, content in self.seen(held, files, keep):
                for record, row in self.records_of(held.name, file, content):
                    wanted = (record.key, record.hash) in pairs
                    if row is not None and wanted:
                        shown_row = {name: shown_value(one) for name, one in row.items()}
                        yield ExportedRecord(record.key, record.hash, {"row": shown_row})
                    for path, shown in written if row is None else ():
                        if wanted:
                            yield ExportedRecord(record.key, record.hash, shown)
                        else:
                            path.unlink()

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        with self.writing():
            folder = TemporaryDirectory(prefix="rollproof-")
        with folder as name:
            yield Path(name)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn an error of writing a file on this host into `Unverifiable`."""
        try:
            yield
        except OSError as error:
            # An answer that broke off is an `OSError` too, without a number.
            if error.errno is None:
                raise
            raise self._reach.failed(error) from None


def begins_with(stream: IO[bytes], begin: bytes) -> bool:
    """Return whether a file begins so; none of it is taken from the stream."""
    return isinstance(stream, io.BufferedReader) and stream.peek(len(begin)).startswith(begin)


def key_of(path: str) -> str:
    """Return the key of a path; bytes that are not UTF-8 are written as escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _about(info: TarInfo) -> dict[str, str]:
    return {"permissions": f"{info.mode & 0o7777:04o}", "owner": f"{info.uid}:{info.gid}"}


def _record(file: File, content: bytes | Database, excluded: Collection[str]) -> RecordHash:
    path, info = file.path, file.info
    fields: dict[str, bytes | None] = {
        "kind": next((kind for test, kind in _KINDS if getattr(info, test)()), "file").encode(),
        **{name: value.encode() for name, value in _about(info).items()},
    }
    if isinstance(content, Database):
        fields["kind"] = b"SQLite file"
    elif info.isreg() or info.islnk():
        fields["content"] = content
    elif info.issym():
        fields["target"] = info.linkname.encode("utf-8", "surrogateescape")
    elif info.ischr() or info.isblk():
        fields["device"] = f"{info.type!r} {info.devmajor}:{info.devminor}".encode()
    attributes = {name: value for name, value in info.pax_headers.items() if name.startswith(_ATTRIBUTE)}
    if attributes:
        fields["attributes"] = repr(sorted(attributes.items())).encode("utf-8", "surrogateescape")
    shown = {name: value for name, value in fields.items() if name not in excluded}
    # The key is for people: the hash is over the name's own bytes.
    return record_of(key_of(path), path.encode("utf-8", "surrogateescape"), shown)


def _unique(collection: str, path: str) -> str:
    """Return a name for a file's tar: several mounts are exported side by side."""
    return blake2b(f"{collection}/{path}".encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _write(file: File, content: IO[bytes], path: Path) -> Json:
    """Write a tar of one file, and return what people are shown of it."""
    info = file.below(".")
    with create_file(path) as stream:
        with tarfile.open(fileobj=stream, mode="w") as tar:
            tar.addfile(info, content if info.isreg() else None)
        stream.flush()
        os.fsync(stream.fileno())
    shown: dict[str, Json] = {**_about(info), "tar": f"{FILES}/{path.name}"}
    if info.issym() or info.islnk():
        shown["target"] = key_of(info.linkname)
    return shown
