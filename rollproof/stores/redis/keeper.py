"""Redis, write side: every key as the server serialises it, with its expiry.

A backup holds one file for each database, with a line for each key. With ``restore = "flush"`` in the profile
it holds none: the keys are a cache, and a restore empties the databases. Only the safety copy right before
that restore holds them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import redis

from rollproof.profile.store_descriptor import Means
from rollproof.reading import open_regular
from rollproof.stores.contract import ExportedRecord, RecordHash
from rollproof.stores.keeper import Put, RecordKeeper, Restored, add_records
from rollproof.stores.package import Kept, Package, read_package, write_package
from rollproof.stores.policy import pace_of
from rollproof.stores.reach import Countdown
from rollproof.stores.redis.client import KeyGroups, Redis, keys
from rollproof.stores.redis.descriptor import RedisProfile
from rollproof.stores.redis.reader import RedisReader
from rollproof.stores.snapshot import Snapshot
from rollproof.stores.writable import Writable
from rollproof.system.files import create_file
from rollproof.system.side_by_side import batched

# Keys in one request: few enough that their values fit in memory, here and on the server.
CHUNK = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """A key, its value as DUMP gives it, and its expiry: milliseconds since 1970, or None."""

    key: bytes
    value: bytes
    expires: int | None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Entry:
        """Return the entry that a parsed line, or the `replay` of an exported record, holds."""
        return cls(base64.b64decode(fields["key"]), base64.b64decode(fields["value"]), fields["expires"])


class Keeper(RecordKeeper):
    """The write side of a Redis server. See `StoreKeeper`."""

    _profile: RedisProfile
    _reader: RedisReader

    def __init__(self, writable: Writable[RedisProfile]) -> None:
        """Remember how to connect, and the key patterns of the collections."""
        super().__init__(writable)
        self._groups = KeyGroups(writable.profile.databases, writable.profile.patterns)

    def back_up_indexed(self, folder: Path, index: Snapshot | None) -> Kept:
        """Write every key of the profile's databases; no key at all when they are to be flushed."""
        return self._back_up(folder, index, self._profile.restore)

    def keep_safe(self, folder: Path, *, up: bool, backup: Path) -> Kept:
        """As `back_up`; keys to be flushed are written too, since nothing else holds them then."""
        return self._back_up(folder, None, "dump", safe=True)

    def _back_up(
        self, folder: Path, index: Snapshot | None, restore: Literal["dump", "flush"], *, safe: bool = False
    ) -> Kept:
        records: dict[str, int] = {}
        countdown = self._whole.start()
        with self._reader:
            told = self._reader.marks()
            for database in self._profile.databases:
                if restore == "dump":
                    records |= self._dump(database, folder / _file(database), index, countdown)
                else:
                    records |= dict.fromkeys(self._groups.names(database), 0)
        return write_package(
            folder,
            kind=self.kind,
            method=(
                "DUMP of each key with its expiry (each key whole; not all keys at one moment)"
                if restore == "dump"
                else "nothing kept: a cache, flushed by a restore and filled again by the application"
            ),
            means=Means.KEYS if restore == "dump" else Means.NOTHING,
            records=records,
            details={
                **told,
                "databases": list(self._profile.databases),
                "restore": restore,
                "safe": safe,
            },
        )

    def restore(self, folder: Path) -> Restored:
        """Put every key of the backup back and remove all others, or flush, as the profile says."""
        package = read_package(folder, kind=self.kind)
        self._check(package)
        countdown = self._whole.start()
        records: dict[str, int] = {}
        notes: list[str] = []
        for database in self._profile.databases:
            with Redis(self._whole, database) as server, server.asked("a restore") as client:
                if package.details["restore"] == "flush":
                    client.flushdb()
                    notes.append(f"flushed database {database}")
                    present = keys(client, self._whole)
                else:
                    self._expect_readable(package, server.marks)
                    file = package.path(_file(database))
                    present = self._put_back(client, database, file, notes, countdown)
            records |= {n: len(found) for n, found in self._groups.grouped(database, present).items()}
        return Restored(records=dict(sorted(records.items())), notes=tuple(notes))

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Restore each key with its expiry; one that has expired since is refused."""
        (database,) = (one for one in self._profile.databases if collection in self._groups.names(one))
        with Redis(self._reach, database) as server:

            def write(record: ExportedRecord) -> None:
                entry = Entry.of(cast("Mapping[str, Any]", record.replay))
                with server.asked("a key restored") as client:
                    if entry.expires is not None and entry.expires <= _now(client):
                        raise self._reach.failed("it has expired since", expected="a key that is to stay")
                    expiry = entry.expires or 0
                    client.restore(entry.key, expiry, entry.value, replace=overwrite, absttl=True)

            yield Put(write)

    def _dump(
        self, database: int, path: Path, index: Snapshot | None, countdown: Countdown
    ) -> Mapping[str, int]:
        """Write the database's keys; return their number by collection."""
        pace, records = pace_of(self._profile), dict[str, int]()
        with create_file(path) as stream:

            def written(collection: str, names: Sequence[bytes]) -> Iterator[RecordHash]:
                for entry in self._reader.entries(collection, names, pace, dump=True, at_once=True):
                    countdown.left()
                    stream.write(json.dumps(entry.replay()).encode() + b"\n")
                    yield entry.record()

            for collection, found in self._reader.grouped(database).items():
                write = partial(written, collection)
                records[collection] = add_records(index, collection, found, self._reader.place, write)
        return records

    def _check(self, package: Package) -> None:
        restore = "dump" if package.details["safe"] else self._profile.restore
        self._expect_same(package, "databases", package.details["databases"], list(self._profile.databases))
        self._expect_same(package, "restore =", package.details["restore"], restore)

    def _put_back(
        self, client: redis.Redis, database: int, path: Path, notes: list[str], countdown: Countdown
    ) -> frozenset[bytes]:
        """Make the database equal to the file; return the keys that it then holds."""
        expires: dict[bytes, int | None] = {}
        for chunk in batched(_read(path), CHUNK):
            countdown.left()
            pipeline = client.pipeline(transaction=False)
            for entry in chunk:
                expires[entry.key] = entry.expires
                pipeline.restore(entry.key, entry.expires or 0, entry.value, replace=True, absttl=True)
            try:
                pipeline.execute()
            except redis.ResponseError as error:
                raise self._not_restored(
                    str(error), of=f"database {database}", expected="RESTORE of every key"
                ) from None
        later = keys(client, self._whole) - set(expires)
        for chunk_of_keys in batched(sorted(later), CHUNK):
            client.unlink(*chunk_of_keys)
        if later:
            notes.append(f"removed {len(later)} keys of database {database} that came after the backup")
        present = keys(client, self._whole)
        if present - set(expires):
            surplus = f"{len(present - set(expires))} more"
            raise self._not_restored(surplus, of=f"database {database}", expected=f"{len(expires)} keys")
        now = _now(client)
        missing = set(expires) - present
        expired = {key for key in missing if (expires[key] or now + 1) <= now}
        if missing - expired:
            fewer = f"{len(missing - expired)} fewer"
            raise self._not_restored(fewer, of=f"database {database}", expected=f"{len(expires)} keys")
        if expired:
            notes.append(f"{len(expired)} keys of database {database} had expired since the backup")
        return present


def _now(client: redis.Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def _read(path: Path) -> Iterator[Entry]:
    with open_regular(path) as stream:
        for line in stream:
            yield Entry.of(json.loads(line))


def _file(database: int) -> str:
    return f"database-{database}.jsonl"
