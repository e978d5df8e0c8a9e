"""The application's own state, content: each file by its bytes, its permissions and its owner."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from tarfile import TarInfo
from typing import IO

from rollproof.collection import Json
from rollproof.stores.contract import Digest, Pace, RecordHash
from rollproof.stores.mounts.view import File, HeldMount, MountsReader
from rollproof.stores.policy import excluded_of
from rollproof.stores.vectors import field_hash, record_hash

_ATTRIBUTE = "SCHILY.xattr."
"""What a tar names an extended attribute with."""
_CHUNK = 1 << 20
_KINDS = ("isreg", "file"), ("isdir", "folder"), ("issym", "link"), ("isfifo", "pipe"), ("isdev", "device")


class Content(MountsReader):
    """The content reader of the application's own state. See `ContentView`; a part is a range of paths."""

    blind_spots: tuple[str, ...] = (
        "when files were written, access control lists, sockets, and attributes other than capabilities",
    )

    def schemas(self) -> Mapping[str, Json]:
        """Return permissions and owner of each mount's own folder."""
        return {name: self._root(held) for name, held in self.mounts().items()}

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return a division by the paths that there are."""
        with self.files(self.mounted(collection)) as files:
            paths = sorted(key_of(file.path) for file in files if file.path)
        return ("", *paths[records::records])

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], _pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each of `parts`; the mount is read once, at one moment."""
        for part, found in self._read_parts(collection, division, parts):
            yield part, Digest(len(found), sum(record.hash for record in found))

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], _pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        """Yield the records of `parts`; the mount is read once, at one moment."""
        for part, found in self._read_parts(collection, division, parts):
            yield from ((part, record) for record in found)

    def hashed(
        self, collection: str, files: Iterator[File], keep: Callable[[File, Hashing], None] = lambda *_: None
    ) -> Iterator[RecordHash]:
        """Yield the record of each file, without the fields that the profile excludes.

        `keep` is given each file, and may read its content. A hard link has the content of the first file
        that it is linked to.
        """
        excluded = excluded_of(self._profile, collection)
        contents: dict[str, bytes] = {}
        for file in files:
            if not file.path:
                continue
            content = Hashing(file.opened())
            keep(file, content)
            while content.read(_CHUNK):
                pass
            first = file.info.linkname if file.info.islnk() else file.info.name
            if not file.info.islnk():
                contents[first] = content.digest()
            yield _record(file.path, file.info, contents.get(first, b""), excluded)

    def _read_parts(
        self, collection: str, division: Sequence[str], parts: Sequence[int]
    ) -> Iterator[tuple[int, list[RecordHash]]]:
        found: dict[int, list[RecordHash]] = {part: [] for part in parts}
        with self.files(self.mounted(collection)) as files:
            for record in self.hashed(collection, files):
                part = bisect_right(division, record.key) - 1
                if part in found:
                    found[part].append(record)
        yield from found.items()

    def _root(self, held: HeldMount) -> Json:
        with self.files(held) as files:
            info = next(files).info
        return {"permissions": f"{info.mode & 0o7777:04o}", "owner": f"{info.uid}:{info.gid}"}


def key_of(path: str) -> str:
    """Return the key of a path; bytes that are not UTF-8 are written as escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


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


def _record(path: str, info: TarInfo, content: bytes, excluded: Collection[str]) -> RecordHash:
    fields = {
        "kind": next((kind for test, kind in _KINDS if getattr(info, test)()), "file").encode(),
        "permissions": f"{info.mode & 0o7777:04o}".encode(),
        "owner": f"{info.uid}:{info.gid}".encode(),
    }
    if info.isreg() or info.islnk():
        fields["content"] = content
    elif info.issym():
        fields["target"] = info.linkname.encode("utf-8", "surrogateescape")
    elif info.ischr() or info.isblk():
        fields["device"] = f"{info.type!r} {info.devmajor}:{info.devminor}".encode()
    attributes = {name: value for name, value in info.pax_headers.items() if name.startswith(_ATTRIBUTE)}
    if attributes:
        fields["attributes"] = repr(sorted(attributes.items())).encode("utf-8", "surrogateescape")
    shown = {name: value for name, value in fields.items() if name not in excluded}
    key = key_of(path)
    # The key is for people: the hash is over the name's own bytes too.
    raw = path.encode("utf-8", "surrogateescape")
    whole = record_hash(key, [("name", raw), *sorted(shown.items())])
    return RecordHash(key, whole, {name: field_hash(value) for name, value in shown.items()})
