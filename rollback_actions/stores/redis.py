"""Redis, write side: every key as the server serialises it, with the moment at which it expires.

A backup holds one file a database, a line a key. With ``restore = "flush"`` in the profile it holds none: the
keys are a cache, and a restore empties the databases; only what is kept right before that holds them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

import redis

from fixtures.engines.engine import Endpoint
from fixtures.errors import ActionFailed
from fixtures.stores.profiles import RedisProfile
from fixtures.stores.reach import Reach
from fixtures.stores.redis import KeyGroups, connect, keys, translated, version
from rollback_actions.containers import ContainerControl
from rollback_actions.stores.keeper import Kept, Restored
from rollback_actions.stores.package import Package, create_file, read_package, write_package

Item = TypeVar("Item")
# Keys that travel together: few enough that their values fit in memory, here and there.
CHUNK = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """A key, its value as DUMP gives it, and when it expires: milliseconds since 1970, or None."""

    key: bytes
    value: bytes
    expires: int | None

    def line(self) -> bytes:
        """Return the entry as a line of a backup."""
        fields = {
            "key": base64.b64encode(self.key).decode(),
            "value": base64.b64encode(self.value).decode(),
            "expires": self.expires,
        }
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Entry:
        """Return the entry that `line` holds."""
        fields = json.loads(line)
        return cls(base64.b64decode(fields["key"]), base64.b64decode(fields["value"]), fields["expires"])


class Keeper:
    """The write side of a Redis server. See `StoreKeeper`. `deadline` is in seconds, for one database."""

    kind = "redis"

    def __init__(
        self,
        name: str,
        profile: RedisProfile,
        endpoint: Endpoint,
        control: ContainerControl,
        *,
        deadline: float = 300.0,
    ) -> None:
        """Remember how to connect; `control` is not needed, since everything goes through the server."""
        self.name = name
        self._profile = profile
        self._groups = KeyGroups(profile.databases, profile.patterns)
        self._reach = Reach(name, endpoint, profile.operator, deadline)

    def back_up(self, folder: Path) -> Kept:
        """Write every key of the profile's databases; nothing at all when they are to be flushed."""
        return self._back_up(folder, self._profile.restore)

    def keep_safe(self, folder: Path) -> Kept:
        """As `back_up`; what is to be flushed is written too, since nothing else holds it then."""
        return self._back_up(folder, "dump", safe=True)

    def _back_up(self, folder: Path, restore: Literal["dump", "flush"], *, safe: bool = False) -> Kept:
        records: dict[str, int] = {}
        with translated(self._reach):
            with connect(self._reach, self._profile.databases[0]) as client:
                server = version(client)
            for database in self._profile.databases:
                kept: frozenset[bytes] = frozenset()
                if restore == "dump":
                    kept = self._dump(database, server, folder / _file(database))
                records |= self._groups.count(database, kept)
        return write_package(
            folder,
            kind=self.kind,
            method=(
                "DUMP of each key with its expiry (each key whole; not all keys at one moment)"
                if restore == "dump"
                else "nothing kept: a cache, flushed by a restore and filled again by the application"
            ),
            records=records,
            details={
                "server": server,
                "databases": list(self._profile.databases),
                "restore": restore,
                "safe": safe,
            },
        )

    def restore(self, folder: Path) -> Restored:
        """Put every key of the backup back and remove all others, or flush; as the profile says."""
        package = read_package(folder, kind=self.kind)
        self._check(package)
        records: dict[str, int] = {}
        notes: list[str] = []
        with translated(self._reach):
            if package.details["restore"] == "dump":
                self._expect_version(str(package.details["server"]))
            for database in self._profile.databases:
                with connect(self._reach, database) as client:
                    if package.details["restore"] == "flush":
                        client.flushdb()
                        notes.append(f"flushed database {database}")
                        present = keys(client, self._reach)
                    else:
                        present = self._put_back(client, database, package.path(_file(database)), notes)
                records |= self._groups.count(database, present)
        return Restored(records=dict(sorted(records.items())), notes=tuple(notes))

    def _dump(self, database: int, server: str, path: Path) -> frozenset[bytes]:
        countdown = self._reach.start()
        kept = []
        with connect(self._reach, database) as client, create_file(path) as stream:
            for chunk in _chunks(sorted(keys(client, self._reach))):
                countdown.left()
                for entry in _entries(client, chunk, exact=_release(server) >= (7, 0)):
                    stream.write(entry.line())
                    kept.append(entry.key)
        return frozenset(kept)

    def _check(self, package: Package) -> None:
        for what, expected in (
            ("databases", list(self._profile.databases)),
            ("restore", "dump" if package.details.get("safe") else self._profile.restore),
        ):
            if package.details[what] != expected:
                raise ActionFailed(
                    what=f"restore of store {self.name}",
                    expected=f"a backup with {what} = {expected}, as in the profile",
                    observed=f"one with {package.details[what]}",
                    source=str(package.folder),
                    hint="this backup belongs to another target, or the profile has changed since",
                )

    def _expect_version(self, kept: str) -> None:
        with connect(self._reach, self._profile.databases[0]) as client:
            observed = version(client)
        if _release(observed) < _release(kept):
            raise ActionFailed(
                what=f"restore of store {self.name}",
                expected=f"a server of Redis {kept} or later",
                observed=f"Redis {observed}",
                source=self._reach.address,
                hint="an older server cannot read these values: bring back its version first",
            )

    def _put_back(self, client: redis.Redis, database: int, path: Path, notes: list[str]) -> frozenset[bytes]:
        """Make the database equal to the file; return the keys that it then holds."""
        countdown = self._reach.start()
        expires: dict[bytes, int | None] = {}
        for chunk in _chunks(_read(path)):
            countdown.left()
            pipeline = client.pipeline(transaction=False)
            for entry in chunk:
                expires[entry.key] = entry.expires
                pipeline.restore(entry.key, entry.expires or 0, entry.value, replace=True, absttl=True)
            try:
                pipeline.execute()
            except redis.ResponseError as error:
                raise self._not_restored(database, "RESTORE of every key", str(error)) from None
        later = keys(client, self._reach) - set(expires)
        for chunk_of_keys in _chunks(sorted(later)):
            client.unlink(*chunk_of_keys)
        if later:
            notes.append(f"removed {len(later)} keys of database {database} that came after the backup")
        present = keys(client, self._reach)
        if present - set(expires):
            surplus = f"{len(present - set(expires))} more"
            raise self._not_restored(database, f"{len(expires)} keys", surplus)
        now = _now(client)
        missing = set(expires) - present
        expired = {key for key in missing if (expires[key] or now + 1) <= now}
        if missing - expired:
            raise self._not_restored(database, f"{len(expires)} keys", f"{len(missing - expired)} fewer")
        if expired:
            notes.append(f"{len(expired)} keys of database {database} had expired since the backup")
        return present

    def _not_restored(self, database: int, expected: str, observed: str) -> ActionFailed:
        return ActionFailed(
            what=f"restore of database {database} of store {self.name}",
            expected=expected,
            observed=observed,
            source=self._reach.address,
            hint="the store is neither old nor new: stop everything that writes to it, and restore again",
        )


def _entries(client: redis.Redis, chunk: list[bytes], *, exact: bool) -> Iterator[Entry]:
    """Read keys with their expiry, all in one transaction; those that went meanwhile are left out.

    Before Redis 7 a server only tells how long a key has left; then the moment may be off by a millisecond.
    """
    pipeline = client.pipeline(transaction=True)
    pipeline.time()
    for key in chunk:
        pipeline.dump(key)
        if exact:
            pipeline.pexpiretime(key)  # type: ignore[arg-type]  # takes bytes too
        else:
            pipeline.pttl(key)
    (seconds, microseconds), *answers = pipeline.execute()
    offset = 0 if exact else seconds * 1000 + microseconds // 1000
    for key, value, expiry in zip(chunk, answers[::2], answers[1::2], strict=True):
        if value is not None:
            yield Entry(key, value, expiry + offset if expiry >= 0 else None)


def _now(client: redis.Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def _read(path: Path) -> Iterator[Entry]:
    with path.open("rb") as stream:
        for line in stream:
            yield Entry.of_line(line)


def _file(database: int) -> str:
    return f"database-{database}.jsonl"


def _release(server: str) -> tuple[int, int]:
    major, minor = server.split(".")[:2]
    return int(major), int(minor)


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
