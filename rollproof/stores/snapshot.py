"""The records of a store at some moments, part by part: keys and hashes in one file of SQLite, no content.

The index of a backup set, a baseline's records and a lost window's are such files. `differences` compares two
sets of records. Memory holds few of them: SQLite spills the rest to files of its own.
"""

from __future__ import annotations

import errno
import json
import sqlite3
import struct
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

from rollproof.errors import Unverifiable
from rollproof.stores.contract import Digest, Pace, RecordHash
from rollproof.stores.reader import Reader
from rollproof.system.files import create_file, make_folders
from rollproof.system.side_by_side import batched

PART = 10_000
"""Records a part: few enough to find a part's differences quickly, many enough that parts cost little."""
_BATCH = 1000
_PRIVATE = 0o700

Found = TypeVar("Found")
Time = Literal["kept", "before", "exported"]
"""Of a backup set or baseline; right before a restore; exported by then."""

_SCHEMA = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
CREATE TABLE part (
    id INTEGER PRIMARY KEY, time TEXT, collection BLOB, number INTEGER, bound BLOB,
    records INTEGER, total TEXT, UNIQUE (time, collection, number)
);
CREATE TABLE record (
    part INTEGER, key BLOB, hash INTEGER, n INTEGER, expires REAL, names INTEGER, fields BLOB,
    PRIMARY KEY (part, key, hash)
) WITHOUT ROWID;
CREATE TABLE names (id INTEGER PRIMARY KEY, names TEXT);
"""
_ADD = "INSERT INTO record VALUES (?, ?, ?, 1, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + 1"


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """One part of a collection at a time: the bound at which it begins, and the digest of its records."""

    number: int
    bound: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class KeyDifference:
    """What became of the records with one key: how many are the `same`, and those that are `gone` or `come`.

    A changed record is in both of these. Several records may have one key.
    """

    key: str
    same: int
    gone: Sequence[RecordHash]
    come: Sequence[RecordHash]


class Snapshot:
    """A file of records, being written or read; threads may share it."""

    def __init__(self, path: Path | None, *, new: bool = False) -> None:
        """Open the file at `path`, or make a `new` one for this user alone; None is a file without a name.

        Raises:
            OSError: it cannot be made. `Unverifiable`: it is no such file.
        """
        self._path, self._lock = path, threading.Lock()
        self._names: dict[tuple[str, ...], int] = {}
        if path is not None and new:
            make_folders(path.parent, _PRIVATE)
            create_file(path).close()
        address = "" if path is None else f"file:{quote(str(path.absolute()))}"
        address += "" if new else "?mode=ro&immutable=1"
        with self._writing() if new else self._reading():
            self._db = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
            if new:
                self._db.executescript(_SCHEMA)
            known = self._db.execute("SELECT id, names FROM names").fetchall()
            self._known = {number: tuple(json.loads(names)) for number, names in known}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        """Return the snapshot itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the file."""
        self.close()

    def add(
        self,
        collection: str,
        number: int,
        bound: str,
        records: Iterable[RecordHash],
        *,
        time: Time = "kept",
        digest: Digest | None = None,
        held: Digest | None = None,
    ) -> Digest:
        """Add a part with its records; return its digest. With a `digest`, its records are held elsewhere.

        Records whose digest is `held` are held elsewhere, too.

        Raises:
            OSError: the file cannot be written.
        """
        place = (time, _blob(collection), number, _blob(bound))
        with self._writing():
            part = self._db.execute(
                "INSERT INTO part (time, collection, number, bound) VALUES (?, ?, ?, ?)", place
            ).lastrowid
        found = Digest(0, 0)
        for batch in batched(records, _BATCH):
            with self._writing():
                self._db.execute("BEGIN")
                self._db.executemany(_ADD, [self._row(part, record) for record in batch])
                self._db.execute("COMMIT")
            found += Digest(len(batch), sum(record.hash for record in batch))
        found = digest or found
        with self._writing():
            if found == held:
                self._db.execute("DELETE FROM record WHERE part = ?", (part,))
            of_part = (found.records, f"{found.total:x}", part)
            self._db.execute("UPDATE part SET records = ?, total = ? WHERE id = ?", of_part)
        return found

    def collections(self, time: Time = "kept") -> list[str]:
        """Return the names of the collections of which there are parts."""
        found = self._rows("SELECT collection FROM part WHERE time = ? AND number = 0 ORDER BY id", (time,))
        return [_text(name) for (name,) in found]

    def parts(self, collection: str, time: Time = "kept") -> list[SnapshotPart]:
        """Return the parts of a collection, in the order of its division; none if it was not there."""
        query = (
            "SELECT number, bound, records, total FROM part WHERE time = ? AND collection = ? ORDER BY number"
        )
        found = self._rows(query, (time, _blob(collection)))
        return [
            SnapshotPart(number, _text(bound), Digest(records, int(total, 16)))
            for number, bound, records, total in found
        ]

    def division(self, collection: str, time: Time = "kept") -> tuple[str, ...]:
        """Return the bounds of its parts."""
        return tuple(part.bound for part in self.parts(collection, time))

    def records(self, collection: str, part: int | None = None, time: Time = "kept") -> Iterator[RecordHash]:
        """Yield the records of one part, or of all, by key.

        Raises:
            Unverifiable: they are not there, or damaged.
        """
        query = (
            "SELECT id, records FROM part WHERE time = ? AND collection = ? AND number = COALESCE(?, number)"
        )
        for number, wanted in self._rows(query, (time, _blob(collection), part)):
            left = wanted
            for key, value, n, *others in self._rows(
                "SELECT key, hash, n, expires, names, fields FROM record WHERE part = ?", (number,)
            ):
                left -= n
                yield from [self._record(key, value, *others)] * n
            if left:
                raise self._damaged(f"{wanted - left} of {wanted} records of a part of {collection}")

    def differences(self) -> Iterator[KeyDifference]:
        """Yield the difference between the first part and the second, by key."""
        query = (
            "SELECT key, hash, SUM(n * (part = 1)), SUM(n * (part = 2)), MAX(expires), names, fields"
            " FROM record GROUP BY key, hash ORDER BY key"
        )
        for key, rows in groupby(self._rows(query), key=lambda row: row[0]):
            same, gone, come = 0, list[RecordHash](), list[RecordHash]()
            for _, value, before, now, *others in rows:
                same += min(before, now)
                if before != now:
                    record = self._record(key, value, *others)
                    gone += [record] * (before - now)
                    come += [record] * (now - before)
            yield KeyDifference(_text(key), same, gone, come)

    def _row(self, part: int | None, record: RecordHash) -> tuple[Any, ...]:
        names = tuple(record.fields)
        if names not in self._names:
            number = self._names[names] = len(self._names) + 1
            self._known[number] = names
            self._db.execute("INSERT INTO names VALUES (?, ?)", (number, json.dumps(names)))
        fields = struct.pack(f">{len(names)}I", *record.fields.values())
        return part, _blob(record.key), record.hash, record.expires, self._names[names], fields

    def _record(self, key: bytes, value: int, expires: float | None, names: int, fields: bytes) -> RecordHash:
        known = self._known[names]
        values = struct.unpack(f">{len(known)}I", fields)
        return RecordHash(_text(key), value, dict(zip(known, values, strict=True)), expires)

    def _rows(self, query: str, values: Sequence[object] = ()) -> Iterator[Any]:
        with self._reading():
            cursor = self._db.execute(query, values)
        while True:
            with self._reading():
                rows = cursor.fetchmany(_BATCH)
            if not rows:
                return
            yield from rows

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except sqlite3.Error as error:
            full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(self._path or "")) from None

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except (sqlite3.Error, ValueError) as error:
            raise self._damaged(f"{type(error).__name__}: {error}") from None

    def _damaged(self, observed: str) -> Unverifiable:
        return Unverifiable(
            what="recorded records",
            expected="a whole file of them",
            observed=observed,
            source=str(self._path),
            hint="it was damaged: capture a new baseline, or take another backup",
        )


def differences(before: Iterable[RecordHash], now: Iterable[RecordHash]) -> Iterator[KeyDifference]:
    """Yield what became of the records `before`, key by key, in the order of keys."""
    with Snapshot(None, new=True) as both:
        for number, records in enumerate((before, now)):
            both.add("", number, "", records)
        yield from both.differences()


def read_parts(
    content: Reader, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
) -> Iterator[tuple[int, Iterator[RecordHash]]]:
    """Yield each of `parts` with its current records, which must be read before the next part.

    Raises:
        Unverifiable: the store does not answer, or its reader reads other parts, or in another order.
    """
    if parts:
        found = content.records(collection, division, parts, pace)
        yield from by_part(found, parts, collection, content.name)


def by_part(
    found: Iterable[tuple[int, Found]], parts: Sequence[int], collection: str, source: str
) -> Iterator[tuple[int, Iterator[Found]]]:
    """Yield each of `parts` with what was `found` in it, which must be read before the next part.

    Raises:
        Unverifiable: it is of other parts, or in another order.
    """
    left = deque(parts)
    for part, records in groupby(found, key=lambda pair: pair[0]):
        if part not in left:
            raise not_as_asked(collection, f"records of part {part}", source)
        while left[0] != part:
            yield left.popleft(), iter(())
        yield left.popleft(), (record for _, record in records)
    for part in left:
        yield part, iter(())


def not_as_asked(collection: str, observed: str, source: str) -> Unverifiable:
    """Return the error for a reader that does not answer for each part that it was asked for, once."""
    return Unverifiable(
        what=f"content of {collection}",
        expected="each part that was asked for, once",
        observed=observed,
        source=source,
        hint="this is a fault of the suite: report it with the profile",
    )


def _blob(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _text(blob: bytes) -> str:
    return blob.decode(errors="surrogatepass")
