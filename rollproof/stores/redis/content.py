"""Redis: digests of keys and their values as applications see them, not as the server encodes them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any, cast

import redis
from redis.connection import AbstractConnection

from rollproof.collection import Json
from rollproof.stores.contract import HASH_BITS, Digest, Pace, RecordHash
from rollproof.stores.policy import excluded_of
from rollproof.stores.reach import Readable
from rollproof.stores.redis.descriptor import RedisProfile
from rollproof.stores.redis.values import (
    READINGS,
    SMALL_BYTES,
    Changed,
    Command,
    Subject,
    Value,
    framed,
    in_pipelines,
    short_hash,
    string,
    text,
)
from rollproof.stores.redis.view import (
    SCAN_COUNT,
    RedisReader,
    connect,
    has_exact_expiry,
    marks_of,
    translated,
)

# Keys held in memory at a time; for every further so many, the database is scanned again.
HELD_KEYS = 200_000
# Keys that share a pipeline; their small values are all in memory.
CHUNK = 1000
ATTEMPTS = 5
NO_EXPIRY, NO_KEY = -1, -2


@dataclass(frozen=True, slots=True)
class _Entry:
    key: bytes
    kind: bytes
    value: Value
    expires: float | None

    def hash(self) -> int:
        """Return the hash of key, type, value and whether the key expires; the expiry time is left out."""
        expiry = b"none" if self.expires is None else b"expiring"
        parts = framed(self.key, self.kind, expiry, self.value.digest)
        return int.from_bytes(blake2b(parts, digest_size=8).digest(), "little") >> (64 - HASH_BITS)

    def record(self) -> RecordHash:
        """Return the entry as a `RecordHash`."""
        fields = {
            "type": short_hash(self.kind),
            "expiry": short_hash(b"none" if self.expires is None else b"expiring"),
            **self.value.fields,
        }
        return RecordHash(text(self.key), self.hash(), fields, self.expires)


class Content(RedisReader):
    """The content reader of a Redis server. See `ContentView`; a part is a bucket of keys by their hash."""

    kind = "redis"
    blind_spots: tuple[str, ...] = (
        "each key is read on its own, a value above 16 kB slice by slice: a part is not at one moment",
        "when a key expires is not compared, only whether it does; of a field of a hash, neither",
        "when and how long ago a stream's entries were delivered is not compared",
        "a HyperLogLog counts as changed when PFCOUNT renewed the number in it",
        "values of modules, such as JSON, cannot be read: their collections are refused",
        "settings and accounts are not compared; of function libraries those that the reader may list are",
        "databases that the profile does not list: their keys are neither compared nor named",
    )

    def __init__(self, readable: Readable[RedisProfile]) -> None:
        """Keep the access data; the first question connects. Raises `UsageProblem` for a wrong pattern."""
        super().__init__(readable)
        self._exact_expiry = True

    def schemas(self) -> Mapping[str, Json]:
        """Return the patterns, and the function libraries if the reader may list them."""
        found: dict[str, Json] = {
            name: {} for database in self._profile.databases for name in self._groups.names(database)
        }
        with translated(self._reach):
            try:
                libraries = self._open(self._profile.databases[0]).execute_command(  # type: ignore[no-untyped-call]
                    "FUNCTION", "LIST", "WITHCODE"
                )
            except redis.exceptions.NoPermissionError:
                libraries = []
            except redis.ResponseError as error:
                if "unknown command" not in str(error):  # before Redis 7, which has no code for it
                    raise
                libraries = []
        for library in libraries:
            found[f"library {text(library[b'library_name'])}"] = {
                "engine": text(library[b"engine"]),
                "code": text(library[b"library_code"]),
            }
        return dict(sorted(found.items()))

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return buckets that hold about `records` keys each, such as ``bucket 2 of 7``."""
        database = self._database(collection)
        count = sum(len(page) for page in self._pages(database, collection))
        return _buckets(max(1, -(-count // records)))

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each of `parts`."""
        for part, chunks in self._parts(collection, division, parts, pace):
            found = Digest(0, 0)
            for entries in chunks:
                found += Digest(len(entries), sum(entry.hash() for entry in entries))
            yield part, found

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        """Yield each key of `parts`."""
        for part, chunks in self._parts(collection, division, parts, pace):
            for entries in chunks:
                for entry in entries:
                    yield part, entry.record()

    def _open(self, database: int) -> redis.Redis:
        if database not in self._clients:
            client = connect(self._reach, database)
            self._exact_expiry = has_exact_expiry(str(marks_of(client)["server"]))
            # Answers are hashed in raw form: the driver would lose the order of a stream's fields.
            client.response_callbacks.clear()
            self._clients[database] = client
        return self._clients[database]

    def _database(self, collection: str) -> int:
        for database in self._profile.databases:
            if collection in self._groups.names(database):
                return database
        raise self._reach.failed(
            "none of that name",
            expected=f"pattern {collection} in the profile",
            hint="the patterns of this store have changed since the baseline",
        )

    def _pages(self, database: int, collection: str) -> Iterator[list[bytes]]:
        """Yield a collection's keys, page by page; a key may come more than once."""
        glob = collection.partition(":")[2]
        cursor = b"0"
        while True:
            with translated(self._reach):
                cursor, page = self._open(database).execute_command(  # type: ignore[no-untyped-call]
                    "SCAN", cursor, *(() if glob == "*" else ("MATCH", glob)), "COUNT", SCAN_COUNT
                )
            yield [key for key in cast("list[bytes]", page) if self._groups.of(database, key) == collection]
            if cursor == b"0":
                return

    def _parts(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Iterator[list[_Entry]]]]:
        """Yield each part with its entries."""
        database, excluded = self._database(collection), self._excluded(collection)
        for part, keys in self._keys(collection, division, parts):
            yield part, self._entries(database, keys, excluded, pace)

    def _excluded(self, collection: str) -> frozenset[bytes]:
        return frozenset(name.encode() for name in excluded_of(self._profile, collection))

    def _keys(
        self, collection: str, division: Sequence[str], parts: Sequence[int]
    ) -> Iterator[tuple[int, set[bytes]]]:
        """Yield each part with its keys; one scan serves as many parts as fit in memory."""
        database = self._database(collection)
        if tuple(division) != _buckets(len(division)):
            raise self._reach.failed(
                "other texts",
                expected=f"division of {collection} into buckets",
                hint="the baseline was changed by hand, or is of another store",
            )
        with translated(self._reach):
            present = int(self._open(database).execute_command("DBSIZE"))  # type: ignore[no-untyped-call]
        together = max(1, HELD_KEYS * len(division) // max(present, 1))
        for start in range(0, len(parts), together):
            chosen = parts[start : start + together]
            found: dict[int, set[bytes]] = {part: set() for part in chosen}
            for page in self._pages(database, collection):
                for key in page:
                    bucket = _bucket(key, len(division))
                    if bucket in found:
                        found[bucket].add(key)
            for part in chosen:
                yield part, found.pop(part)

    def _entries(
        self, database: int, keys: set[bytes], excluded: frozenset[bytes], pace: Pace
    ) -> Iterator[list[_Entry]]:
        """Yield the entries of `keys`, a chunk at a time; keys removed meanwhile are left out."""
        waiting = iter(keys)
        size = CHUNK
        while chunk := list(islice(waiting, size)):
            started = time.monotonic()
            entries: list[_Entry] = []
            again = chunk
            for _ in range(ATTEMPTS):
                read, again = self._read(database, again, excluded)
                entries += read
                if not again:
                    break
            else:
                raise self._reach.failed(
                    f"{len(again)} that changed each time, such as {text(again[0])}",
                    expected="values that stay as they are while they are read",
                    hint="stop the application, or give these keys a pattern whose policy is volatile",
                )
            size = min(CHUNK, pace.next_size(len(chunk), time.monotonic() - started))
            yield entries

    def _read(
        self, database: int, keys: list[bytes], excluded: frozenset[bytes]
    ) -> tuple[list[_Entry], list[bytes]]:
        """Return the keys' entries, and the keys that changed while they were read."""
        kinds: dict[bytes, bytes] = {}
        expiries: dict[bytes, float | None] = {}
        values: dict[bytes, Value | None] = {}
        for key, kind, expires, start in self._ask_first(database, keys):
            if kind == b"none":
                continue
            if kind not in READINGS:
                raise self._reach.failed(
                    f"a key of type {text(kind)}",
                    expected="values of Redis's own types",
                    hint="give keys of modules a pattern of their own, and leave it out of the comparison",
                )
            kinds[key], expiries[key] = kind, expires
            if kind == b"string" and (start is None or len(start) < SMALL_BYTES):
                values[key] = None if start is None else string(start)
        others = [key for key in kinds if key not in values]
        sizes = self._ask(database, [("MEMORY", "USAGE", key) for key in others])
        subjects = [
            Subject(key, size if isinstance(size, int) else 0, excluded)
            for key, size in zip(others, sizes, strict=True)
        ]
        small = [subject for subject in subjects if subject.small]
        for together in (small, *([subject] for subject in subjects if not subject.small)):
            readings = [READINGS[kinds[subject.key]](subject) for subject in together]
            found = in_pipelines(readings, lambda commands: self._ask(database, commands))
            values |= {subject.key: value for subject, value in zip(together, found, strict=True)}
        entries = [
            _Entry(key, kinds[key], value, expiries[key])
            for key, value in values.items()
            if value is not None
        ]
        return entries, [key for key, value in values.items() if value is None]

    def _ask_first(
        self, database: int, keys: list[bytes]
    ) -> Iterator[tuple[bytes, bytes, float | None, bytes | None]]:
        """Yield each key with its type, expiry time, and the start of its value if that is a string."""
        expiry = "PEXPIRETIME" if self._exact_expiry else "PTTL"
        commands: list[Command] = []
        for key in keys:
            commands += [("GETRANGE", key, 0, SMALL_BYTES - 1), (expiry, key), ("TYPE", key)]
        offset = 0.0 if self._exact_expiry else time.time()
        answers = self._ask(database, commands)
        for index, key in enumerate(keys):
            start, expires, kind = answers[3 * index : 3 * index + 3]
            # The type is asked for last: a key that has one then also existed before.
            gone = expires == NO_KEY or kind == b"none"
            moment = None if expires == NO_EXPIRY else expires / 1000 + offset
            yield key, b"none" if gone else kind, moment, start if isinstance(start, bytes) else None

    def _ask(self, database: int, commands: list[Command]) -> list[Any]:
        """Return the answers to one pipeline's commands; `Changed` for a key now gone or of another type."""
        if not commands:
            return []
        with translated(self._reach):
            pool = self._open(database).connection_pool
            connection = pool.get_connection()
            try:
                connection.send_packed_command(  # type: ignore[no-untyped-call]
                    [b"".join(map(_packed, commands))]
                )
                return [_answer(connection) for _ in commands]
            except BaseException:
                # Later questions must not receive the unread answers.
                connection.disconnect()  # type: ignore[no-untyped-call]
                raise
            finally:
                pool.release(connection)


def _packed(command: Command) -> bytes:
    """Return a command in the protocol's form; the driver's own packing takes several times as long."""
    packed = [b"*%d\r\n" % len(command)]
    for part in command:
        word = part if isinstance(part, bytes) else str(part).encode()
        packed.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(packed)


def _answer(connection: AbstractConnection) -> object:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        if str(error).startswith(("WRONGTYPE", "no such key", "NOGROUP")):
            return Changed()
        raise


def _bucket(key: bytes, buckets: int) -> int:
    if buckets == 1:
        return 0
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "little") % buckets


def _buckets(count: int) -> tuple[str, ...]:
    return ("", *(f"bucket {number} of {count}" for number in range(2, count + 1)))
