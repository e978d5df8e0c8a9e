"""Redis, read side: keys, each counted once, and their values, not as the server encodes them."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, cast

import redis
from redis.connection import AbstractConnection

from rollproof.collection import Json
from rollproof.stores.canonical import number_json, text_json
from rollproof.stores.contract import HASH_BITS, Answer, Digest, ExportedRecord, Pace, RecordHash, Selection
from rollproof.stores.policy import excluded_of
from rollproof.stores.reach import Readable
from rollproof.stores.reader import Reader
from rollproof.stores.redis.client import (
    SCAN_COUNT,
    KeyGroups,
    connect,
    has_exact_expiry,
    keys,
    marks_of,
    translated,
)
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
from rollproof.system.side_by_side import batched

# Keys held in memory at a time; for every further so many, the database is scanned again.
HELD_KEYS = 200_000
# Keys that share a pipeline; their small values are all in memory.
CHUNK = 1000
ATTEMPTS = 5

NO_EXPIRY, NO_KEY = -1, -2

# Keys that are read together, whose values fit in memory.
TOGETHER = 20
# The command that reads a whole value, by type, and its arguments after the key.
_WHOLE: Mapping[bytes, tuple[tuple[str, ...], tuple[str | int, ...]]] = {
    b"string": (("GET",), ()),
    b"list": (("LRANGE",), (0, -1)),
    b"set": (("SMEMBERS",), ()),
    b"hash": (("HGETALL",), ()),
    b"zset": (("ZRANGE",), (0, -1, "WITHSCORES")),
    b"stream": (("XINFO", "STREAM"), ("FULL", "COUNT", 0)),
}


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


class RedisReader(Reader):
    """Reads one Redis server. A part is a bucket of keys by their hash.

    DUMP belongs to ``+@read``, and code that only reads should have no further rights. RESTORE does not
    belong to it: only the operator can replay.
    """

    _profile: RedisProfile

    def __init__(self, readable: Readable[RedisProfile]) -> None:
        """Keep the access data; the first question connects. Raises `UsageProblem` for a wrong pattern."""
        super().__init__(readable)
        self._groups = KeyGroups(self._profile.databases, self._profile.patterns)
        self._clients: dict[int, redis.Redis] = {}
        self._exact_expiry = True

    def close(self) -> None:
        """Close the connections, if there are any."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def ask(self) -> Answer:
        """Count the keys of the first database that holds any, and read the type of one."""
        with translated(self._reach):
            server = f"Redis {marks_of(self._open(self._profile.databases[0]))['server']}"
            for database in self._profile.databases:
                client = self._open(database)
                key = client.randomkey()
                if key is not None:
                    client.type(key)
                    return Answer("DBSIZE and TYPE of a key", f"{database}:*", int(client.dbsize()), server)
        return Answer("DBSIZE", f"{self._profile.databases[0]}:*", 0, server)

    def collections(self) -> Sequence[str]:
        """Return the patterns, and ``<database>:*`` for unmatched keys, once the server answers."""
        with translated(self._reach):
            self._open(self._profile.databases[0]).ping()
        return sorted(name for database in self._profile.databases for name in self._groups.names(database))

    def count(self, collection: str) -> int:
        """Return the number of keys of one pattern."""
        return len({key for page in self._pages(self._database(collection), collection) for key in page})

    def counts(self) -> Mapping[str, int]:
        """Return the number of keys by pattern; each database is scanned once."""
        counts: dict[str, int] = {}
        with translated(self._reach):
            for database in self._profile.databases:
                counts |= self._groups.count(database, keys(self._open(database), self._reach))
        return dict(sorted(counts.items()))

    def connections(self) -> tuple[int, int]:
        """Return the numbers of connected and allowed clients."""
        with translated(self._reach):
            client = self._open(self._profile.databases[0])
            try:
                found: dict[str, Any] = client.info("clients")
                # Older servers give the limit only in their configuration.
                allowed: Any = found if "maxclients" in found else client.config_get("maxclients")
            except redis.exceptions.NoPermissionError:
                raise self._reach.untold("+info, and before Redis 7 +config|get") from None
        return int(found["connected_clients"]), int(allowed["maxclients"])

    blind_spots: tuple[str, ...] = (
        "each key is read on its own, a value above 16 kB slice by slice: a part is not at one moment",
        "when a key expires is not compared, only whether it does; of a field of a hash, neither",
        "when and how long ago a stream's entries were delivered is not compared",
        "a HyperLogLog counts as changed when PFCOUNT renewed the number in it",
        "values of modules, such as JSON, cannot be read: their collections are refused",
        "settings and accounts are not compared; of function libraries those that the reader may list are",
        "databases that the profile does not list: their keys are neither compared nor named",
    )

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
        cursor = 0
        while True:
            with translated(self._reach):
                cursor, page = self._open(database).scan(
                    cursor, match=None if glob == "*" else glob, count=SCAN_COUNT
                )
            found = cast("list[bytes]", page)  # clients here do not decode answers
            yield [key for key in found if self._groups.of(database, key) == collection]
            if cursor == 0:
                return

    def _parts(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Iterator[list[_Entry]]]]:
        """Yield each part with its entries."""
        database, excluded = self._database(collection), self._excluded(collection)
        for part, those in self._keys(collection, division, parts):
            yield part, self._entries(database, those, excluded, pace)

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
            present = int(self._open(database).dbsize())
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

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted keys, including the fields that digests leave out."""
        collection = selection.collection
        database, excluded = self._database(collection), self._excluded(collection)
        for part, those in self._keys(collection, selection.division, tuple(selection.wanted)):
            names = {key for key, _ in selection.wanted[part]}
            wanted = (key for key in those if text(key) in names)
            for together in batched(wanted, TOGETHER):
                whole = self._read_whole(database, together)
                # The value was read between two equal hashes, so the hash belongs to it.
                for entries in self._entries(database, set(whole), excluded, pace):
                    for entry in entries:
                        record = entry.record()
                        if (record.key, record.hash) in selection.wanted[part]:
                            dumped, content = whole.pop(entry.key)
                            yield ExportedRecord(
                                key=record.key,
                                hash=record.hash,
                                content={
                                    "type": text(entry.kind),
                                    "expires": _moment(entry.expires),
                                    "value": content,
                                },
                                replay={
                                    "key": b64encode(entry.key).decode(),
                                    "value": b64encode(dumped).decode(),
                                    "expires": None if entry.expires is None else round(entry.expires * 1000),
                                },
                            )

    def _read_whole(self, database: int, keys: Sequence[bytes]) -> dict[bytes, tuple[bytes, Json]]:
        """Return keys with their DUMP and their values for people, without keys removed meanwhile."""
        kinds: list[bytes] = self._ask(database, [("TYPE", key) for key in keys])
        commands: list[Command] = []
        for key, kind in zip(keys, kinds, strict=True):
            # A key of an unknown type, or none, is not wanted: GET answers with an error, or nothing.
            command, options = _WHOLE.get(kind, _WHOLE[b"string"])
            commands += [("DUMP", key), (*command, key, *options)]
        answers = self._ask(database, commands)
        found: dict[bytes, tuple[bytes, Json]] = {}
        for key, kind, dumped, value in zip(keys, kinds, answers[::2], answers[1::2], strict=True):
            if dumped is not None and not isinstance(value, Changed):
                found[key] = dumped, _readable(sorted(value) if kind == b"set" else value)
        return found


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


def _moment(expires: float | None) -> Json:
    try:
        return None if expires is None else datetime.fromtimestamp(expires, UTC).isoformat()
    except (ValueError, OverflowError, OSError):  # the year is outside of 1 to 9999
        return expires


def _readable(value: Any) -> Json:  # noqa: ANN401 - whatever the server answers
    match value:
        case bytes():
            return text_json(value)
        case dict():
            return {text(name): _readable(inside) for name, inside in value.items()}
        case list() | tuple():
            return [_readable(item) for item in value]
        case float():
            return number_json(value)
    found: Json = value
    return found
