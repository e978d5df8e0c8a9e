"""Redis: a key of every type, and keys that expire, in databases of their own."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import redis
from redis import Redis as Client

from rollproof.profile.sections import Account
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.reach import Reach
from rollproof.stores.redis import client as redis_client
from rollproof.stores.redis import keeper as redis_keeper
from rollproof.stores.redis import reader as redis_export
from rollproof.stores.redis.descriptor import RedisProfile
from tests.stack.scratch_stores import changed
from tests.stack.stores.subject import WHOLE, Act, Change, Chosen, Exported, Given, Sizes, Subject, ways

DATABASE, NEXT = 11, 12
REST, EMPTY, MANY, SHAPED, ODD = (
    f"{DATABASE}:{p}" for p in ("*", "none:*", "token:*", "shape:*", "[ab]?[*]")
)
LIBRARY = "#!lua name=scratch\nredis.register_function('scratch', function() return 1 end)"
KEYS = (
    *("string", "number", "empty", "expiring", "swapped_a", "swapped_b", "list", "set", "numbers", "hash"),
    *("pair", "zset", "stream", "cardinality", "cx*", "axx", "\\xff\\x00"),
)
FAR = 4_000_000_000


def _on(act: Callable[[Client], object], **seen: str | None) -> Change:
    """Return a change by the client; of each key it names the fields, parted by |."""
    return lambda s: act(s.client), {
        key: None if fields is None else set(fields.split("|")) for key, fields in seen.items()
    }


def _in_other_encodings(client: Client) -> None:
    client.delete("numbers", "hash", "zset", "list", "number")
    order = list(range(600))
    random.Random(7).shuffle(order)  # noqa: S311 - any order will do
    client.sadd("numbers", *order)
    client.srem("numbers", *range(40, 600))
    client.hset("hash", mapping={f"name {number}": f"value {number}" for number in order})
    client.hdel("hash", *[f"name {number}" for number in range(40, 600)])
    client.zadd("zset", {f"member {number}": number / 7 for number in order} | {"end": float("inf")})
    client.zrem("zset", *[f"member {number}" for number in range(40, 600)])
    client.rpush("list", *[f"item {number}" for number in range(600)])
    client.ltrim("list", 0, 39)
    client.set("number", "")
    client.append("number", "7")


def _reencoded(subject: Redis) -> None:
    names = ("numbers", "hash", "zset", "number")
    before = [subject.client.object("ENCODING", name) for name in names]
    _in_other_encodings(subject.client)
    after = [subject.client.object("ENCODING", name) for name in names]
    assert all(new != old for new, old in zip(after, before, strict=True))


def _in_memory_alone(subject: Redis) -> None:
    """Have no key on disk, and write none there any more."""
    client = subject.client
    client.flushdb()
    client.config_set("appendonly", "no")
    client.config_set("save", "")
    subject.fill()
    client.connection_pool.disconnect()


FIRST, SECOND, OUTSIDE = 13, 14, 15
TOKENS, FIRST_REST = f"{FIRST}:token:*", f"{FIRST}:*"
FAR_MILLISECONDS = 4_000_000_000_123
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


class Redis(Subject):
    """Keys of the stack's server, by pattern; those that no pattern has are the records."""

    store = "redis"
    changes: Mapping[str, Change] = {
        "lost": _on(lambda c: c.delete("number"), number=None),
        "added": _on(lambda c: c.set("late", 1), late=None),
        "doubled": _on(lambda c: c.copy("number", "late"), late=None),
        "renamed": _on(lambda c: c.rename("number", "Number"), number=None, Number=None),
        "swapped": _on(
            lambda c: c.mset({"swapped_a": "second", "swapped_b": "first"}),
            swapped_a="value",
            swapped_b="value",
        ),
        "a bit": _on(lambda c: c.setbit("string", 80, 1 - c.getbit("string", 80)), string="value"),
        "a trailing space": _on(lambda c: c.append("string", " "), string="value"),
        "text of a number": _on(lambda c: c.set("number", "7.0"), number="value"),
        "another type": _on(lambda c: (c.delete("empty"), c.rpush("empty", "")), empty="type"),
        "expiry gone": _on(lambda c: c.persist("expiring"), expiring="expiry"),
        "expiry come": _on(lambda c: c.expire("number", 10**6), number="expiry"),
        "an item": _on(lambda c: c.lset("list", 35, "Item 35"), list="value"),
        "an item's place": _on(
            lambda c: (c.lset("list", 3, "item 4"), c.lset("list", 4, "item 3")), list="value"
        ),
        "a boundary of items": _on(
            lambda c: (c.lset("list", 3, "item 3item"), c.lset("list", 4, " 4")), list="value"
        ),
        "a member": _on(lambda c: (c.srem("set", "member 7"), c.sadd("set", "Member 7")), set="value"),
        "a number": _on(lambda c: c.sadd("numbers", 40), numbers="value"),
        "a field": _on(lambda c: c.hset("hash", "name 7", "value 7 "), hash="field name 7"),
        "a field gone": _on(lambda c: c.hdel("hash", "name 7"), hash="field name 7"),
        "values swapped": _on(
            lambda c: c.hset("hash", mapping={"name 7": "value 8", "name 8": "value 7"}),
            hash="field name 7|field name 8",
        ),
        "a boundary": _on(
            lambda c: c.hset("pair", mapping={"first": "a", "second": "bc"}), pair="field first|field second"
        ),
        "a field that may be excluded": _on(lambda c: c.hset("pair", "second", "d"), pair="field second"),
        "a field that may not": _on(lambda c: c.hset("pair", "first", "d"), pair="field first"),
        "a score": _on(lambda c: c.zadd("zset", {"member 7": 1.0000000000000002}), zset="value"),
        "an entry": _on(lambda c: c.xadd("stream", {"b": 1, "a": "x"}, id="31-1"), stream="entries"),
        "an entry gone": _on(lambda c: c.xdel("stream", "5-1"), stream="entries"),
        "an entry gone from the end": _on(lambda c: c.xdel("stream", "30-1"), stream="entries"),
        "acknowledged": _on(lambda c: c.xack("stream", "group", "4-1"), stream="groups"),
        "delivered": _on(lambda c: c.xreadgroup("group", "other", {"stream": ">"}, count=1), stream="groups"),
        "claimed": _on(lambda c: c.xclaim("stream", "group", "other", 0, ["5-1"]), stream="groups"),
        "a group gone": _on(lambda c: c.xgroup_destroy("stream", "idle"), stream="groups"),
        "a group moved": _on(lambda c: c.xgroup_setid("stream", "idle", "1-1"), stream="groups"),
        "a consumer": _on(lambda c: c.xgroup_createconsumer("stream", "idle", "new"), stream="groups"),
        "counted": _on(lambda c: c.pfadd("cardinality", *range(500, 600)), cardinality="value"),
    }
    equals: ClassVar[Mapping[str, Act]] = {
        "other encodings": _reencoded,
        "another time to expire": lambda s: s.client.pexpireat("expiring", FAR * 1000),
    }
    schema_changes: ClassVar[Mapping[str, Act]] = {
        "a library more": lambda s: s.client.function_load(LIBRARY),
        "a library of other code": lambda s: s.client.function_load(LIBRARY + " ", replace=True),
        "a library gone": lambda s: s.client.function_delete("scratch"),
    }
    restart_changes: ClassVar[Mapping[str, Act]] = {"keys in memory alone": _in_memory_alone}
    shapes: ClassVar[Mapping[str, Sizes]] = {"buckets": "about"}
    ways = ways("invalid username-password")
    attempts: ClassVar[Mapping[str, tuple[Act, str]]] = {
        "set": (lambda s: s.as_reader.set("scratch", 1), "[Nn]o permission|NOPERM|no permissions"),
    }
    gone = f"expected pattern {DATABASE}:gone"
    nothing = ({"databases": (NEXT,), "patterns": ()}, "")
    excluded = ("second",)
    hidden, shown = "a field that may be excluded", "a field that may not"
    server = "Redis "
    tokens: ClassVar[int] = 3000

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        stored = cast("RedisProfile", given.target.stores["redis"])
        patterns = (EMPTY, MANY, SHAPED, ODD)
        self.profile = changed(stored, databases=(DATABASE,), patterns=patterns, exclude={}, restore="dump")
        self.full, self.empty, self.absent, self.many = REST, EMPTY, f"{DATABASE}:gone*", MANY
        endpoint = given.engine.resolve(stored.address)
        self._endpoint, self._operator = endpoint, stored.operator
        self.client = self._connect(stored.operator, DATABASE)
        self.as_reader = self._connect(stored.reader, DATABASE)
        self.keys = frozenset(KEYS)
        self.counts = {REST: len(self.keys), EMPTY: 0, MANY: self.tokens, SHAPED: 0, ODD: 2}
        self.asked = (REST, sum(self.counts.values()))

    def fill(self) -> None:
        self.client.flushdb()
        self.client.mset({f"token:{number}": number for number in range(self.tokens)} | {"ax*": 1, "bx*": 1})
        self.mend()

    def mend(self) -> None:
        client = self.client
        patterned = (b"token:", b"ax*", b"bx*")
        strays = [key for key in client.scan_iter(count=5000) if not key.startswith(patterned)]
        if strays:
            client.delete(*strays)
        pipeline = client.pipeline(transaction=False)
        pipeline.mset(
            {"number": 7, "empty": "", "swapped_a": "first", "swapped_b": "second", "cx*": 1, "axx": 1}
        )
        pipeline.set(b"\xff\x00", 1)
        pipeline.set("string", b"\x00some bytes\xff" * 30)
        pipeline.set("expiring", "x", pxat=FAR * 1000 + 500)
        pipeline.rpush("list", *[f"item {number}" for number in range(40)])
        pipeline.sadd("set", *[f"member {number}" for number in range(40)])
        pipeline.sadd("numbers", *range(40))
        pipeline.hset("hash", mapping={f"name {number}": f"value {number}" for number in range(40)})
        pipeline.hset("pair", mapping={"first": "ab", "second": "c"})
        pipeline.zadd(
            "zset", {f"member {number}": number / 7 for number in range(40)} | {"end": float("inf")}
        )
        for number in range(1, 31):
            pipeline.xadd("stream", {"b": number, "a": "x"}, id=f"{number}-1")
        pipeline.xgroup_create("stream", "group", id="3-1")
        pipeline.xreadgroup("group", "consumer", {"stream": ">"}, count=4)
        pipeline.xgroup_create("stream", "idle", id="0")
        pipeline.pfadd("cardinality", *range(20))
        pipeline.execute()

    def shaped(self, shape: str) -> str:
        self.client.mset({f"shape:{number}": number for number in range(100)})
        self.client.delete("shape:late")
        return SHAPED

    def stir(self, shape: str) -> tuple[set[str], set[str]]:
        self.client.set("shape:late", 1)
        self.client.delete("shape:7")
        return set(), set()

    def define(self) -> None:
        """Do nothing: there is no library."""

    def undefine(self) -> None:
        if self.client.function_list("scratch"):
            self.client.function_delete("scratch")

    def spoil(self) -> None:
        self.client.flushdb()
        self.client.set("late", 1)

    def clear(self) -> None:
        self.undefine()
        self.client.flushdb()
        self.leave()

    def _connect(self, account: Account, database: int) -> Client:
        reach = Reach("redis", self._endpoint, account, 60)
        client: Client = self.opened.enter_context(redis_client.Redis(reach, database).connect())
        return client

    # How it is kept.

    readable: ClassVar[Mapping[str, Mapping[str, object]]] = {
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
    undigested = ("name", "value")
    sizes = True

    rounds: ClassVar[Mapping[str, Mapping[str, Act]]] = {
        "keys, values and expiry": {
            "a key deleted": lambda subject: subject.first.delete("token:5"),
            "another value": lambda subject: subject.first.set("token:6", "someone else"),
            "for ever": lambda subject: subject.first.persist("token:7"),
            "another moment": lambda subject: subject.first.pexpireat("token:8", FAR_MILLISECONDS),
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

    def settle(self) -> None:
        self.take(changed(self.profile, databases=(FIRST, SECOND), patterns=(TOKENS,)))
        self.first, self.second, self._other = (
            self._connect(self._operator, database) for database in (FIRST, SECOND, OUTSIDE)
        )
        self.opened.callback(self.wipe)
        self.opened.callback(self._other.flushdb)
        self._other.flushdb()
        self._other.set("outside", 1)

    def wipe(self) -> None:
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
        client.set("expiring", "x", pxat=FAR_MILLISECONDS)
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

        return Exported(FIRST_REST, damage, exact=exact, look=look)

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

    def populate(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.wipe()
        first, second = self.first.pipeline(transaction=False), self.second
        later = int(time.time() * 1000) + 3_600_000
        for number in range(600):
            first.set(f"token:{number}", f"user{number}", pxat=later + number)
        first.execute()
        second.set(b"\xff\x00\r\n key", b"\x00\xff")
        second.hset("hash", mapping={f"field{number}": number for number in range(1000)})
        second.hset("own expiry", "field", "value")
        if _fields_expire(second):
            second.execute_command("HPEXPIREAT", "own expiry", later, "FIELDS", 1, "field")  # type: ignore[no-untyped-call]
        second.zadd("sorted", {"a": 1.5, "b": -0.0})
        second.rpush("list", *range(300))
        second.sadd("set", *range(10))
        second.xadd("stream", {"a": 1})
        second.xgroup_create("stream", "group", "0")
        return {f"{FIRST}:*": 0, TOKENS: 600, f"{SECOND}:*": 7}

    def observe(self) -> object:
        return [_observed(client) for client in (self.first, self.second)]

    def unlisted(self) -> object:
        return _observed(self._other)

    def add(self) -> None:
        self.first.mset({f"late:{number}": 1 for number in range(300)})

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return redis_keeper, "entry_of"

    def loading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return redis_keeper, "keys", lambda: self.first.set("later", 1)

    def drop(self, what: str) -> Mapping[str, int]:
        self.wipe()
        return {f"{FIRST}:*": 0, TOKENS: 0, f"{SECOND}:*": 0}
