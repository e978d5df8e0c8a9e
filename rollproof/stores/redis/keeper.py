"""Redis, write side: every key as the server serialises it, with its expiry.

A backup holds one file for each database, with a line for each key. With ``restore = "flush"`` in the profile
it holds none: the keys are a cache, and a restore empties the databases. Only the safety copy right before
that restore holds them.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import redis

from rollproof.profile.store_descriptor import Means
from rollproof.reading import open_regular
from rollproof.stores.contract import ExportedRecord, RecordHash
from rollproof.stores.keeper import (
    ConnectedClient,
    Operated,
    Put,
    RecordKeeper,
    Restored,
    Writable,
    add_records,
    blind,
    host_of,
    strangers,
)
from rollproof.stores.package import Kept, read_package, write_package
from rollproof.stores.policy import pace_of
from rollproof.stores.reach import Countdown
from rollproof.stores.redis.client import KeyGroups, Redis, keys
from rollproof.stores.redis.descriptor import RedisProfile
from rollproof.stores.redis.reader import RedisReader
from rollproof.stores.snapshot import Snapshot
from rollproof.system.files import create_file
from rollproof.system.side_by_side import batched

# Keys in one request: few enough that their values fit in memory, here and on the server.
CHUNK = 200


class RedisKeeper(RecordKeeper):
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

    def _back_up(self, folder: Path, index: Snapshot | None, restore: str, *, safe: bool = False) -> Kept:
        records, countdown, dump = dict[str, int](), self._whole.start(), restore == "dump"
        with self._reader:
            marks = self._reader.marks()
            for database in self._profile.databases:
                if dump:
                    records |= self._dump(database, folder / _file(database), index, countdown)
                else:
                    records |= dict.fromkeys(self._groups.names(database), 0)
        return write_package(
            folder,
            kind=self.kind,
            method=(
                "DUMP of each key with its expiry (each key whole; not all keys at one moment)"
                if dump
                else "nothing kept: a cache, flushed by a restore and filled again by the application"
            ),
            means=Means.KEYS if dump else Means.NOTHING,
            records=records,
            details={**marks, "databases": self._profile.databases, "restore": restore, "safe": safe},
        )

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

    def restore(self, folder: Path) -> Restored:
        """Put every key of the backup back and remove all others, or flush, as the profile says."""
        package = read_package(folder, kind=self.kind)
        restore = "dump" if package.details["safe"] else self._profile.restore
        self._expect_same(package, "databases", package.details["databases"], list(self._profile.databases))
        self._expect_same(package, "restore =", package.details["restore"], restore)
        countdown, records, notes = self._whole.start(), dict[str, int](), list[str]()
        for database in self._profile.databases:
            with Redis(self._whole, database) as server, server.asked("a restore") as client:
                if restore == "flush":
                    client.flushdb()
                    notes.append(f"flushed database {database}")
                    present = keys(client, self._whole)
                else:
                    self._expect_readable(package, server.marks)
                    file = package.path(_file(database))
                    present = self._put_back(client, database, file, notes, countdown)
            records |= {n: len(found) for n, found in self._groups.grouped(database, present).items()}
        return Restored(records=dict(sorted(records.items())), notes=tuple(notes))

    def _put_back(
        self, client: redis.Redis, database: int, path: Path, notes: list[str], countdown: Countdown
    ) -> frozenset[bytes]:
        """Make the database equal to the file; return the keys that it then holds."""
        expires: dict[bytes, int | None] = {}
        with open_regular(path) as lines:
            for chunk in batched(lines, CHUNK):
                countdown.left()
                pipeline = client.pipeline(transaction=False)
                for line in chunk:
                    key, value, until = entry_of(json.loads(line))
                    expires[key] = until
                    pipeline.restore(key, until or 0, value, replace=True, absttl=True)
                pipeline.execute()
        later = keys(client, self._whole) - expires.keys()
        for some in batched(sorted(later), CHUNK):
            client.unlink(*some)
        if later:
            notes.append(f"removed {len(later)} keys of database {database} that came after the backup")
        present, now = keys(client, self._whole), _now(client)
        missing = expires.keys() - present
        expired = {key for key in missing if (expires[key] or now + 1) <= now}
        more, fewer = len(present - expires.keys()), len(missing - expired)
        if more or fewer:
            observed = f"{more} more, {fewer} fewer"
            raise self._not_restored(observed, of=f"database {database}", expected=f"{len(expires)} keys")
        if expired:
            notes.append(f"{len(expired)} keys of database {database} had expired since the backup")
        return present

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Restore each key with its expiry; one that has expired since is refused."""
        (database,) = (one for one in self._profile.databases if collection in self._groups.names(one))
        with Redis(self._reach, database) as server:

            def write(record: ExportedRecord) -> None:
                key, value, until = entry_of(cast("Mapping[str, Any]", record.replay))
                with server.asked("a key restored") as client:
                    if until is not None and until <= _now(client):
                        raise self._reach.failed("it has expired since", expected="a key that is to stay")
                    client.restore(key, until or 0, value, replace=overwrite, absttl=True)

            def remove(record: ExportedRecord) -> None:
                key, _, _ = entry_of(cast("Mapping[str, Any]", record.replay))
                with server.asked("a key removed") as client:
                    client.unlink(key)

            yield Put(write, remove=remove)


def entry_of(fields: Mapping[str, Any]) -> tuple[bytes, bytes, int | None]:
    """Return a key, its value as DUMP gives it, and its expiry in milliseconds since 1970, or None.

    `fields` are of a backup's line, or the `replay` of an exported record.
    """
    return b64decode(fields["key"]), b64decode(fields["value"]), fields["expires"]


def _now(client: redis.Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def _file(database: int) -> str:
    return f"database-{database}.jsonl"


# The flags of a replica, and of the server that this one replicates.
_SERVERS = frozenset("SM")
# The last command of a connection that only greets: ours has no name yet, and none of them has written.
_GREETING = frozenset({"NULL", "hello", "auth", "select", "client", "client|setinfo", "client|setname"})


class RedisClients:
    """The clients of a Redis server. See `StoreClients`."""

    def __init__(self, operated: Operated[RedisProfile]) -> None:
        """Remember how to connect; the first question connects."""
        self._operated = operated
        self._reach = operated.reach
        self._server = Redis(self._reach, operated.profile.databases[0])

    def others(self) -> list[ConnectedClient]:
        """Return the connections of others."""
        with self._server.asked("its clients") as client:
            try:
                found: list[dict[str, str]] = client.client_list()
            except redis.exceptions.NoPermissionError:
                raise blind(self._reach, "the right to CLIENT LIST", "an account without it") from None
        return strangers(
            self._operated,
            [
                ConnectedClient(one.get("user", "default"), host_of(one["addr"]), one.get("name", ""))
                for one in found
                if not _SERVERS & set(one["flags"]) and (one.get("name") or one["cmd"] not in _GREETING)
            ],
        )

    def close(self) -> None:
        """Close the client."""
        self._server.close()
