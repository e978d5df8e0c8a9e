"""Redis for the contract: a key of every type in a database of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import ClassVar, cast

from redis import Redis as Client

from rollproof.stores.reach import Reach
from rollproof.stores.redis import client as redis_client
from rollproof.stores.redis.descriptor import RedisProfile
from tests.stack.scratch_stores import changed
from tests.stack.stores.reading.subject import Act, Change, Given, Sizes, Subject, ways

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


class Redis(Subject):
    """Keys by pattern; those that no pattern has are the records."""

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
        self.client = redis_client.Redis(Reach("redis", endpoint, stored.operator, 60), DATABASE).connect()
        self.as_reader = redis_client.Redis(Reach("redis", endpoint, stored.reader, 60), DATABASE).connect()
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
        self.client.close()
        self.as_reader.close()
