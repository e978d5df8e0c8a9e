"""Redis, read side: keys, each counted once, and their values, not as the server encodes them."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import redis
from redis.connection import AbstractConnection

from rollproof.collection import Json
from rollproof.profile.data_formats import Marks
from rollproof.stores.canonical import hash_of_record, hashes_of_fields, number_json, text_json
from rollproof.stores.contract import ExportedRecord, Pace, QueryAnswer, RecordHash, Selection
from rollproof.stores.listed import Listed
from rollproof.stores.names import Name
from rollproof.stores.policy import excluded_of
from rollproof.stores.reach import Readable
from rollproof.stores.reader import BLOCK_BYTES, exported_by_key
from rollproof.stores.redis.client import SCAN_COUNT, KeyGroups, Redis, keys
from rollproof.stores.redis.descriptor import RedisProfile
from rollproof.stores.redis.values import TYPES, Changed, Command, Value, name_of, text

# Keys that share a pipeline at first, and at most; their values are all in memory.
FIRST, MOST = 20, 1000
ATTEMPTS = 5
NO_EXPIRY, NO_KEY = -1, -2


@dataclass(frozen=True, slots=True)
class Entry:
    """One key as read: `answer` is its whole value as the server gives it, `dumped` what RESTORE takes."""

    key: bytes
    kind: bytes
    answer: Any
    value: Value
    expires: float | None
    dumped: bytes | None

    def record(self) -> RecordHash:
        """Return key, type, value and whether the key expires as a record; the expiry time is in no hash."""
        expiry = b"none" if self.expires is None else b"expiring"
        fields = {"type": self.kind, "expiry": expiry, "value": self.value.digest}
        hashed = hash_of_record(self.key, fields)
        hashes = hashes_of_fields({"type": self.kind, "expiry": expiry})
        return RecordHash(text(self.key), hashed, {**hashes, **self.value.fields}, self.expires)

    def exported(self) -> ExportedRecord:
        """Return the whole key, which was read with `dumped`."""
        record = self.record()
        answer = sorted(self.answer) if self.kind == b"set" else self.answer
        return ExportedRecord(
            key=record.key,
            hash=record.hash,
            content={
                "type": text(self.kind),
                "expires": _moment(self.expires),
                "value": _readable(answer),
            },
            replay=self.replay(),
        )

    def replay(self) -> dict[str, Json]:
        """Return what a keeper needs to write the key again; `expires` is in milliseconds since 1970."""
        return {
            "key": b64encode(self.key).decode(),
            "value": b64encode(self.dumped or b"").decode(),
            "expires": None if self.expires is None else round(self.expires * 1000),
        }


class RedisReader(Listed):
    """Reads one Redis server. A part is a range of hashes of keys.

    DUMP belongs to ``+@read``, and code that only reads should have no further rights. RESTORE does not
    belong to it: only the operator can replay.
    """

    _profile: RedisProfile

    blind_spots: tuple[str, ...] = (
        "each key is read on its own: a part is not at one moment",
        "when a key expires is not compared, only whether it does; of a field of a hash, neither",
        "when and how long ago a stream's entries were delivered is not compared",
        "a HyperLogLog counts as changed when PFCOUNT renewed the number in it",
        "values of modules, such as JSON, cannot be read: their collections are refused",
        "settings and accounts are not compared; of function libraries those that the reader may list are",
        "databases that the profile does not list: their keys are neither compared nor named",
    )

    def __init__(self, readable: Readable[RedisProfile]) -> None:
        """Keep the access data; the first question connects."""
        super().__init__(readable)
        self._groups = KeyGroups(self._profile.databases, self._profile.patterns)
        self._servers = {database: Redis(self._reach, database) for database in self._profile.databases}

    def close(self) -> None:
        """Close the connections, if there are any."""
        for server in self._servers.values():
            server.close()

    def ask(self) -> QueryAnswer:
        """Count the keys of the first database that holds any, and read the type of one."""
        marks = self.marks()
        name = f"{str(marks['product']).capitalize()} {marks['server']}"
        for database, server in self._servers.items():
            with server.asked("a key") as client:
                key = client.randomkey()
                if key is not None:
                    client.type(key)
                    return QueryAnswer(
                        "DBSIZE and TYPE of a key", f"{database}:*", int(client.dbsize()), name
                    )
        return QueryAnswer("DBSIZE", f"{self._profile.databases[0]}:*", 0, name)

    def marks(self) -> Marks:
        """Return the server's product and version."""
        server = self._servers[self._profile.databases[0]]
        with server.asked("a version"):
            return server.marks

    def holdings(self) -> Mapping[str, Any]:
        """Return the databases that hold keys."""
        with Redis(self._reach, 0) as server, server.asked("its databases") as client:
            space: dict[str, Any] = client.info("keyspace")
        return {"databases": sorted({0, *(int(name.removeprefix("db")) for name in space)})}

    def collections(self) -> Sequence[str]:
        """Return the patterns, and ``<database>:*`` for unmatched keys, once the server answers."""
        with self._servers[self._profile.databases[0]].asked() as client:
            client.ping()
        return sorted(name for database in self._profile.databases for name in self._groups.names(database))

    def count(self, collection: str) -> int:
        """Return the number of keys of one pattern."""
        return sum(1 for _ in self._listed(collection, Pace()))

    def counts(self) -> Mapping[str, int]:
        """Return the number of keys by pattern; each database is scanned once."""
        counts: dict[str, int] = {}
        for database in self._profile.databases:
            counts |= {name: len(found) for name, found in self.grouped(database).items()}
        return dict(sorted(counts.items()))

    def grouped(self, database: int) -> dict[str, list[bytes]]:
        """Return the keys of a database by pattern, empty ones included."""
        with self._servers[database].asked("its keys") as client:
            return self._groups.grouped(database, keys(client, self._reach))

    def connections(self) -> tuple[int, int]:
        """Return the numbers of connected and allowed clients."""
        with self._servers[self._profile.databases[0]].asked("its clients") as client:
            try:
                found: dict[str, Any] = client.info("clients")
                # Older servers give the limit only in their configuration.
                allowed: Any = found if "maxclients" in found else client.config_get("maxclients")
            except redis.exceptions.NoPermissionError:
                raise self._reach.withheld("+info, and before Redis 7 +config|get") from None
        return int(found["connected_clients"]), int(allowed["maxclients"])

    def schemas(self) -> Mapping[str, Json]:
        """Return the patterns, and the function libraries if the reader may list them."""
        found: dict[str, Json] = {
            name: {} for database in self._profile.databases for name in self._groups.names(database)
        }
        with self._servers[self._profile.databases[0]].asked("its function libraries") as client:
            try:
                libraries = client.execute_command(  # type: ignore[no-untyped-call]
                    "FUNCTION", "LIST", "WITHCODE"
                )
            except redis.ResponseError as error:
                # The reader may not list them, or it is a server before Redis 7, which has none.
                unknown = "unknown command" in str(error)
                if not unknown and not isinstance(error, redis.exceptions.NoPermissionError):
                    raise
                libraries = []
        for library in libraries:
            found[f"library {text(library[b'library_name'])}"] = {
                "engine": text(library[b"engine"]),
                "code": text(library[b"library_code"]),
            }
        return dict(sorted(found.items()))

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted keys, including the fields that digests leave out."""

        def read(keys: Sequence[str]) -> list[ExportedRecord]:
            names = [name_of(key) for key in keys]
            found = self.entries(selection.collection, names, pace, dump=True)
            return [entry.exported() for entry in found]

        yield from exported_by_key(selection, read, pace)

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield the part of each key that the one `*` of its pattern stands for."""
        begin, end = collection.partition(":")[2].split("*")
        for key in self._listed(collection, Pace()):
            yield (text(key).removeprefix(begin).removesuffix(end),)

    def _database(self, collection: str) -> int:
        for database in self._profile.databases:
            if collection in self._groups.names(database):
                return database
        raise self._reach.failed(
            "none of that name",
            expected=f"pattern {collection} in the profile",
            hint="the patterns of this store have changed since the baseline",
        )

    def _listed(self, collection: str, _pace: Pace) -> Iterator[bytes]:
        """Yield each key once, though the server may list it more often."""
        database, seen = self._database(collection), set[bytes]()
        glob = collection.partition(":")[2]
        with self._servers[database].asked("its keys") as client:
            for key in client.scan_iter(match=None if glob == "*" else glob, count=SCAN_COUNT):
                if key not in seen and self._groups.of(database, key) == collection:
                    seen.add(key)
                    yield key

    def place(self, name: bytes) -> str:
        """Return a hash of the key."""
        return blake2b(name, digest_size=8).hexdigest()

    def _read(self, collection: str, names: Sequence[bytes], pace: Pace) -> Iterator[RecordHash]:
        return (entry.record() for entry in self.entries(collection, names, pace))

    def entries(
        self,
        collection: str,
        keys: Sequence[bytes],
        pace: Pace,
        *,
        dump: bool = False,
        at_once: bool = False,
    ) -> Iterator[Entry]:
        """Yield the entries of `keys`, with `dump` as RESTORE takes them; keys that are gone are left out.

        `at_once` reads value, expiry and dump of a key at one moment, which takes the right to MULTI.
        """
        database = self._database(collection)
        excluded = frozenset(name.encode() for name in excluded_of(self._profile, collection))
        begin, size = 0, FIRST
        while begin < len(keys):
            chunk = list(keys[begin : begin + size])
            begin += size
            started = time.monotonic()
            found, again = list[Entry](), chunk
            for _ in range(ATTEMPTS):
                entries, again = self._read_once(database, again, excluded, dump=dump, at_once=at_once)
                found += entries
                if not again:
                    break
            else:
                raise self._reach.failed(
                    f"{len(again)} that changed each time, such as {text(again[0])}",
                    expected="values that stay as they are while they are read",
                    hint="stop the application, or give these keys a pattern whose policy is volatile",
                )
            size = min(MOST, pace.next_size(len(chunk), time.monotonic() - started))
            held = sum(_size(entry.answer) for entry in found)
            size = max(1, min(size, BLOCK_BYTES * len(chunk) // max(held, 1)))
            yield from found

    def _read_once(
        self, database: int, keys: Sequence[bytes], excluded: frozenset[bytes], *, dump: bool, at_once: bool
    ) -> tuple[list[Entry], list[bytes]]:
        """Return the keys' entries, and the keys that changed meanwhile.

        A value is dumped before it is read. If it is then what was wanted, it was that in between.
        """
        kinds = dict(
            zip(keys, self._ask(database, [("TYPE", key) for key in keys], at_once=False), strict=True)
        )
        there = [key for key, kind in kinds.items() if kind != b"none"]
        strange = [key for key in there if kinds[key] not in TYPES]
        if strange:
            raise self._reach.failed(
                f"a key of type {text(kinds[strange[0]])}",
                expected="values of Redis's own types",
                hint="give keys of modules a pattern of their own, and leave it out of the comparison",
            )
        exact = self._servers[database].exact_expiry
        expiry, offset = ("PEXPIRETIME", 0.0) if exact else ("PTTL", time.time())
        commands: list[Command] = []
        for key in there:
            commands += [("DUMP", key)] if dump else []
            commands += [TYPES[kinds[key]].read(key), (expiry, key)]
        answers = iter(self._ask(database, commands, at_once=at_once))
        entries, changed = list[Entry](), list[bytes]()
        for key in there:
            dumped = next(answers) if dump else None
            answer, expires = next(answers), next(answers)
            # No value is empty but a text and a stream, of which the answer is not.
            if isinstance(answer, Changed) or answer in (None, [], {}, set()) or expires == NO_KEY:
                changed.append(key)
                continue
            value = TYPES[kinds[key]].value(answer, excluded)
            until = None if expires == NO_EXPIRY else expires / 1000 + offset
            entries.append(Entry(key, kinds[key], answer, value, until, dumped))
        return entries, changed

    def _ask(self, database: int, commands: list[Command], *, at_once: bool) -> list[Any]:
        """Return the answers to one pipeline's commands; `Changed` for a key now gone or of another type."""
        if not commands:
            return []
        sent = [("MULTI",), *commands, ("EXEC",)] if at_once else commands
        with self._servers[database].asked("the values of keys") as client:
            pool = client.connection_pool
            connection = pool.get_connection()
            try:
                connection.send_packed_command(  # type: ignore[no-untyped-call]
                    [b"".join(map(_packed, sent))]
                )
                answers = [_answer(connection) for _ in sent]
                return [_checked(answer) for answer in answers[-1]] if at_once else answers
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


def _answer(connection: AbstractConnection) -> Any:  # noqa: ANN401 - whatever the server answers
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return _checked(error)


def _checked(answer: object) -> object:
    """Return an answer, or `Changed` for a refusal that says so; raise any other refusal."""
    if not isinstance(answer, redis.ResponseError):
        return answer
    if str(answer).startswith(("WRONGTYPE", "no such key", "NOGROUP")):
        return Changed()
    raise answer


def _size(answer: object) -> int:
    """Return about how many bytes an answer has."""
    if isinstance(answer, bytes):
        return len(answer)
    if isinstance(answer, dict):
        return sum(_size(name) + _size(value) for name, value in answer.items())
    return sum(map(_size, answer)) if isinstance(answer, list | set | tuple) else 8


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
