"""Redis as a subject of the contract: every type of value, and keys that expire."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import redis

from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.reach import Reach
from rollproof.stores.redis import client as redis_client
from rollproof.stores.redis import keeper as redis_keeper
from rollproof.stores.redis import reader as redis_export
from rollproof.stores.redis.descriptor import RedisProfile
from tests.stack.scratch_stores import changed
from tests.stack.stores.keeping.subject import WHOLE, Bench, Chosen, Damage, Exported, Subject

FIRST, SECOND, BESIDE = 13, 14, 15
TOKENS, REST = f"{FIRST}:token:*", f"{FIRST}:*"
FAR = 4_000_000_000_123
EVERY_BYTE = bytes(range(256))
# What reads a value, by its type.
READ: Mapping[bytes, tuple[tuple[object, ...], tuple[object, ...]]] = {
    b"string": (("GET",), ()),
    b"hash": (("HGETALL",), ()),
    b"list": (("LRANGE",), (0, -1)),
    b"set": (("SMEMBERS",), ()),
    b"zset": (("ZRANGE",), (0, -1, "WITHSCORES")),
    b"stream": (("XINFO", "STREAM"), ("FULL",)),
}


class Redis(Subject):
    """The stack's server."""

    shown: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "string": {"type": "string", "expires": None, "value": "text ä"},
        "expiring": {"expires": "2096-10-02T07:06:40.123000+00:00"},
        "for ever and a day": {"expires": 10**14},
        "list": {"value": ["b", "a", {"base64": "/w=="}, *map(str, range(300))]},
        "set": {"value": ["a", "b", {"base64": "/w=="}]},
        "hash": {"value": {"name": "value", "\\xff": {"base64": "/g=="}, "": ""}},
        "sorted set": {
            "value": [
                [{"base64": "/w=="}, -1.0],
                ["one", 0.1 + 0.2],
                ["end", "inf"],
            ]
        },
    }
    exclude = ("name", "value")
    sizes = True

    rounds: ClassVar[Mapping[str, Mapping[str, Damage]]] = {
        "keys, values and expiry": {
            "a key deleted": lambda subject: subject.first.delete("token:5"),
            "another value": lambda subject: subject.first.set("token:6", "someone else"),
            "for ever": lambda subject: subject.first.persist("token:7"),
            "another moment": lambda subject: subject.first.pexpireat("token:8", FAR),
            "a database flushed": lambda subject: subject.second.flushdb(),
            "another type": lambda subject: subject.second.rpush("hash", "another type"),
        }
    }
    notes = frozenset({f"removed 300 keys of database {FIRST} that came after the backup"})
    words = ("DUMP of each key",)
    kills = (300,)
    overtaken = "observed 1 more"
    strangers: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "restore": {"restore": "flush"},
        "databases": {"databases": (FIRST,)},
    }

    def __init__(self, bench: Bench, opened: ExitStack) -> None:
        stack = cast("RedisProfile", bench.target.stores["redis"])
        profile = changed(stack, databases=(FIRST, SECOND), patterns=(TOKENS,), exclude={})
        self.settle("redis", profile, bench.engine.resolve(profile.address), bench.control)
        reach = Reach("redis", self.place.endpoint, profile.operator, 60)
        self.first, self.second, self._other = (
            opened.enter_context(redis_client.Redis(reach, database).connect())
            for database in (FIRST, SECOND, BESIDE)
        )
        opened.callback(self.clear)
        opened.callback(self._other.flushdb)
        self._other.flushdb()
        self._other.set("beside", 1)

    def clear(self) -> None:
        self.first.flushdb()
        self.second.flushdb()

    # The export.

    def _every_type(self) -> Exported:
        client = self.first
        client.set("string", "text ä")
        client.set("every byte", EVERY_BYTE)
        client.set("number", 7)
        client.set("empty", "")
        client.set("long", EVERY_BYTE * 4000)
        client.set("expiring", "x", pxat=FAR)
        client.set("for ever and a day", 1, pxat=10**17)
        client.set(b'a "quoted" \\key\n\'\xff\x00', "odd")
        client.set("", "no name")
        client.rpush("list", "b", "a", b"\xff", *range(300))
        client.sadd("set", "b", "a", b"\xff")
        client.sadd("numbers", *range(40))
        client.hset("hash", mapping={"name": "value", b"\xff": b"\xfe", "": ""})
        client.zadd("sorted set", {b"one": 0.1 + 0.2, b"end": float("inf"), b"\xff": -1})
        for number in range(1, 6):
            client.xadd("stream", {"b": number, "a": b"\xff"}, id=f"{number}-1")
        client.xgroup_create("stream", "group", id="1-1")
        client.xreadgroup("group", "consumer", {"stream": ">"}, count=2)
        client.pfadd("cardinality", *range(20))

        def damage() -> None:
            for number, key in enumerate(sorted(client.keys())):
                if number % 2:
                    client.delete(key)
                else:
                    client.set(key, "changed", px=10**9)

        def exact() -> object:
            return {key: (client.dump(key), client.pexpiretime(cast("str", key))) for key in client.keys()}  # noqa: SIM118

        def look(records: Sequence[ExportedRecord], _folder: Path) -> None:
            stream = next(
                cast("Any", record.content)["value"] for record in records if record.key == "stream"
            )
            assert stream["entries"][1] == ["2-1", ["b", "2", "a", {"base64": "/w=="}]]
            assert len(stream["entries"]) == 5
            assert stream["groups"][0]["name"] == "group"

        return Exported(REST, damage, exact=exact, look=look)

    exported: ClassVar[Mapping[str, Callable[[Redis], Exported]]] = {"every type": _every_type}

    def choose(self) -> Chosen:
        client = self.first
        client.mset({f"token:{number}": number for number in range(40)} | {"other": 1})
        client.expire("token:9", 10**6)

        def spoil() -> None:
            client.delete("token:4")
            client.set("token:5", "later")
            client.delete("token:6")
            client.rpush("token:6", "6")
            client.expire("token:7", 10**6)
            client.persist("token:9")

        keys = [f"token:{number}" for number in range(3, 10)]
        return Chosen(TOKENS, keys, spoil, ("token:3", "token:8"), size=10)

    def small(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(redis_export, "FIRST", 2)

    # The keeper.

    def fill(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.clear()
        first, second = self.first.pipeline(transaction=False), self.second
        later = int(time.time() * 1000) + 3_600_000
        for number in range(600):
            first.set(f"token:{number}", f"user{number}", pxat=later + number)
        first.execute()
        second.set(b"\xff\x00\r\n key", b"\x00\xff")
        second.hset("hash", mapping={f"field{number}": number for number in range(1000)})
        second.hset("own expiry", "field", "value")
        if _fields_expire(second):
            second.execute_command("HPEXPIREAT", "own expiry", later, "FIELDS", 1, "field")
        second.zadd("sorted", {"a": 1.5, "b": -0.0})
        second.rpush("list", *range(300))
        second.sadd("set", *range(10))
        second.xadd("stream", {"a": 1})
        second.xgroup_create("stream", "group", "0")
        return {f"{FIRST}:*": 0, TOKENS: 600, f"{SECOND}:*": 7}

    def observe(self) -> object:
        return [_observed(client) for client in (self.first, self.second)]

    def beside(self) -> object:
        return _observed(self._other)

    def add(self) -> None:
        self.first.mset({f"late:{number}": 1 for number in range(300)})

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return redis_keeper, "entry_of"

    def loading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return redis_keeper, "keys", lambda: self.first.set("later", 1)

    def drop(self, what: str) -> Mapping[str, int]:
        self.clear()
        return {f"{FIRST}:*": 0, TOKENS: 0, f"{SECOND}:*": 0}


def _fields_expire(client: redis.Redis) -> bool:
    """Return whether the server lets fields expire: Redis since 7.4, and not yet Valkey 8."""
    return client.info("server").get("server_name") != "valkey"


def _observed(client: redis.Redis) -> object:
    """Return every key by its value and the millisecond in which it expires, and its fields expire."""
    keys = sorted(client.scan_iter(count=1000))
    types = client.pipeline(transaction=False)
    for key in keys:
        types.type(key)
    kinds = types.execute()
    values = client.pipeline(transaction=False)
    for key, kind in zip(keys, kinds, strict=True):
        before, after = READ[kind]
        values.execute_command(*before, key, *after)  # type: ignore[no-untyped-call]
        values.pexpiretime(key)
        if kind == b"hash" and _fields_expire(client):
            values.execute_command("HPEXPIRETIME", key, "FIELDS", 1, "field")  # type: ignore[no-untyped-call]
    return dict(zip(keys, kinds, strict=True)), values.execute()
