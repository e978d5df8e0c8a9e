"""Redis' content reader, against a real server."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores import redis_content, redis_values
from fixtures.stores.content import Digest, Pace, RecordHash
from fixtures.stores.profiles import RedisProfile
from fixtures.stores.reach import Reach
from fixtures.stores.redis import View, connect
from fixtures.stores.redis_content import Content
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from rollback_actions.stores.redis import Keeper
from tests.stack.content_reading import agreeing_records, digests
from tests.stack.scratch_stores import SECRET, changed, nowhere, silence, with_wrong_password

DATABASE = 11
TOKENS, REST = f"{DATABASE}:token:*", f"{DATABASE}:*"
LIBRARY = "#!lua name=scratch\nredis.register_function('scratch', function() return 1 end)"
FAR = 4_000_000_000


@pytest.fixture
def profile(target: Target) -> RedisProfile:
    original = cast("RedisProfile", target.stores["redis"])
    return changed(original, databases=(DATABASE,), patterns=(TOKENS,), exclude={})


@pytest.fixture
def endpoint(profile: RedisProfile, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(profile.address)


@pytest.fixture
def scratch(profile: RedisProfile, endpoint: Endpoint) -> Iterator[redis.Redis]:
    with connect(Reach("redis", endpoint, profile.operator, 30), DATABASE) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture
def content(profile: RedisProfile, endpoint: Endpoint) -> Iterator[Content]:
    with Content("redis", profile, endpoint) as content:
        yield content


@pytest.fixture(params=["whole", "in slices"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read values of any size in the way of the small, or of the large, of which a few bytes are a slice."""
    if request.param == "in slices":
        _in_slices(monkeypatch)
    return str(request.param)


def _in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (redis_content, redis_values):
        monkeypatch.setattr(module, "SMALL_BYTES", 1)
    monkeypatch.setattr(redis_values, "SLICE_BYTES", 100)


def _fill(client: redis.Redis) -> None:
    client.set("string", b"\x00some bytes\xff" * 30)
    client.set("number", 7)
    client.set("empty", "")
    client.set("expiring", "x", pxat=FAR * 1000)
    client.set("swapped a", "first")
    client.set("swapped b", "second")
    client.rpush("list", *[f"item {number}" for number in range(40)])
    client.sadd("set", *[f"member {number}" for number in range(40)])
    client.sadd("numbers", *range(40))
    client.hset("hash", mapping={f"name {number}": f"value {number}" for number in range(40)})
    client.hset("pair", mapping={"first": "ab", "second": "c"})
    client.zadd("zset", {f"member {number}": number / 7 for number in range(40)} | {"end": float("inf")})
    for number in range(1, 31):
        client.xadd("stream", {"b": number, "a": "x"}, id=f"{number}-1")
    client.xgroup_create("stream", "group", id="3-1")
    client.xreadgroup("group", "consumer", {"stream": ">"}, count=4)
    client.xgroup_create("stream", "idle", id="0")
    client.pfadd("cardinality", *range(20))


def _records(
    content: Content, collection: str = REST, division: tuple[str, ...] = ("",)
) -> dict[str, RecordHash]:
    """Return every record, after a look at the promise that their hashes add up to the digests."""
    found = agreeing_records(content, collection, division)
    assert len({record.key for record in found}) == len(found)
    return {record.key: record for record in found}


CHANGED: dict[str, tuple[Callable[[redis.Redis], object], set[str]]] = {
    "lost": (lambda c: c.delete("number"), {"number"}),
    "added": (lambda c: c.set("late", 1), {"late"}),
    "doubled": (lambda c: c.copy("number", "late"), {"late"}),
    "renamed": (lambda c: c.rename("number", "Number"), {"number", "Number"}),
    "swapped": (lambda c: c.mset({"swapped a": "second", "swapped b": "first"}), {"swapped a", "swapped b"}),
    "a bit": (lambda c: c.setbit("string", 80, 1 - c.getbit("string", 80)), {"string"}),
    "a trailing space": (lambda c: c.append("string", " "), {"string"}),
    "text of a number": (lambda c: c.set("number", "7.0"), {"number"}),
    "another type": (lambda c: (c.delete("empty"), c.rpush("empty", "")), {"empty"}),
    "expiry gone": (lambda c: c.persist("expiring"), {"expiring"}),
    "expiry come": (lambda c: c.expire("number", 10**6), {"number"}),
    "an item": (lambda c: c.lset("list", 35, "Item 35"), {"list"}),
    "an item's place": (lambda c: (c.lset("list", 3, "item 4"), c.lset("list", 4, "item 3")), {"list"}),
    "a boundary of items": (lambda c: (c.lset("list", 3, "item 3item"), c.lset("list", 4, " 4")), {"list"}),
    "a member": (lambda c: (c.srem("set", "member 7"), c.sadd("set", "Member 7")), {"set"}),
    "a number": (lambda c: c.sadd("numbers", 40), {"numbers"}),
    "a field": (lambda c: c.hset("hash", "name 7", "value 7 "), {"hash"}),
    "a field gone": (lambda c: c.hdel("hash", "name 7"), {"hash"}),
    "values swapped": (
        lambda c: c.hset("hash", mapping={"name 7": "value 8", "name 8": "value 7"}),
        {"hash"},
    ),
    "a boundary": (lambda c: c.hset("pair", mapping={"first": "a", "second": "bc"}), {"pair"}),
    "a score": (lambda c: c.zadd("zset", {"member 7": 1.0000000000000002}), {"zset"}),
    "an entry": (lambda c: c.xadd("stream", {"b": 1, "a": "x"}, id="31-1"), {"stream"}),
    "an entry gone": (lambda c: c.xdel("stream", "5-1"), {"stream"}),
    "an entry gone from the end": (lambda c: c.xdel("stream", "30-1"), {"stream"}),
    "acknowledged": (lambda c: c.xack("stream", "group", "4-1"), {"stream"}),
    "delivered": (lambda c: c.xreadgroup("group", "other", {"stream": ">"}, count=1), {"stream"}),
    "claimed": (lambda c: c.xclaim("stream", "group", "other", 0, ["5-1"]), {"stream"}),
    "a group gone": (lambda c: c.xgroup_destroy("stream", "idle"), {"stream"}),
    "a group moved": (lambda c: c.xgroup_setid("stream", "idle", "1-1"), {"stream"}),
    "a consumer": (lambda c: c.xgroup_createconsumer("stream", "idle", "new"), {"stream"}),
    "counted": (lambda c: c.pfadd("cardinality", *range(500, 600)), {"cardinality"}),
}


@pytest.mark.usefixtures("reading")
def test_any_change_is_seen_and_named(content: Content, scratch: redis.Redis) -> None:
    _fill(scratch)
    before = _records(content)
    for name, (damage, expected) in CHANGED.items():
        damage(scratch)
        after = _records(content)
        assert {
            key
            for key in before.keys() | after.keys()
            if (key in before, key in after) != (True, True) or before[key].hash != after[key].hash
        } == expected, name
        for key in expected & before.keys() & after.keys():
            assert before[key].fields != after[key].fields, name
        assert sum(r.hash for r in after.values()) != sum(r.hash for r in before.values())
        scratch.flushdb()
        _fill(scratch)
        assert {key: record.hash for key, record in _records(content).items()} == {
            key: record.hash for key, record in before.items()
        }, name


def test_slices_add_up_to_the_whole(
    content: Content, scratch: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(scratch)
    whole = {key: record.hash for key, record in _records(content).items()}
    _in_slices(monkeypatch)
    assert {key: record.hash for key, record in _records(content).items()} == whole


def test_the_encoding_is_no_content(content: Content, scratch: redis.Redis) -> None:
    def fill() -> None:
        order = list(range(600))
        random.Random(7).shuffle(order)  # noqa: S311 - any order will do
        scratch.sadd("set", *order)
        scratch.hset("hash", mapping={f"n{number}": number for number in order})
        scratch.zadd("zset", {f"m{number}": number for number in order})
        scratch.rpush("list", *range(600))
        for key, remove in (("set", scratch.srem), ("hash", scratch.hdel), ("zset", scratch.zrem)):
            prefix = {"set": "", "hash": "n", "zset": "m"}[key]
            remove(key, *[f"{prefix}{number}" for number in range(5, 600)])
        scratch.ltrim("list", 0, 4)
        scratch.set("text", "")
        scratch.append("text", "7")

    def encodings() -> list[Any]:
        return [scratch.object("ENCODING", key) for key in ("set", "hash", "zset", "text")]

    fill()
    before, encoded = _records(content), encodings()
    scratch.flushdb()
    scratch.sadd("set", 4, 3, 2, 1, 0)
    scratch.hset("hash", mapping={f"n{number}": number for number in range(5)})
    scratch.zadd("zset", {f"m{number}": number for number in range(5)})
    scratch.rpush("list", *range(5))
    scratch.set("text", 7)
    assert all(new != old for new, old in zip(encodings(), encoded, strict=True))
    assert _records(content) == before


def test_fields_are_named_and_excluded(
    profile: RedisProfile, endpoint: Endpoint, scratch: redis.Redis
) -> None:
    scratch.hset("pair", mapping={"first": "ab", "second": "c"})
    chosen = changed(profile, exclude={REST: ("second",)})
    with Content("redis", profile, endpoint) as full, Content("redis", chosen, endpoint) as without:
        before = _records(full)["pair"], _records(without)["pair"]
        assert set(before[0].fields) == {"type", "expiry", "field first", "field second"}
        scratch.hset("pair", "second", "d")
        after = _records(full)["pair"], _records(without)["pair"]
        assert {n for n in before[0].fields if before[0].fields[n] != after[0].fields[n]} == {"field second"}
        assert after[1] == before[1]
        scratch.hset("pair", "first", "d")
        assert _records(without)["pair"].hash != before[1].hash


def test_patterns_have_the_keys_that_are_counted(
    content: Content, profile: RedisProfile, endpoint: Endpoint, scratch: redis.Redis
) -> None:
    scratch.mset({f"token:{number}": number for number in range(3000)} | {"other": 1})
    with View("redis", profile, endpoint) as view:
        counts = view.counts()
    assert set(content.schemas()) >= set(counts)
    assert {name: digests(content, name)[0].records for name in counts} == counts
    with pytest.raises(Unverifiable, match="expected pattern 11:gone"):
        content.divide(f"{DATABASE}:gone*", 10)


@pytest.mark.parametrize("held", [200_000, 20])
def test_buckets_hold_every_key_once(
    content: Content, scratch: redis.Redis, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(redis_content, "HELD_KEYS", held)
    scratch.mset({f"token:{number}": number for number in range(300)})
    [whole] = digests(content, TOKENS)
    division = content.divide(TOKENS, 10)
    assert division[:2] == ("", "bucket 2 of 30")
    before = digests(content, TOKENS, division)
    assert sum(before, Digest(0, 0)) == whole
    assert all(digest.records for digest in before)
    _records(content, TOKENS, division)
    assert content.divide(TOKENS, 1000) == ("",)
    scratch.set("token:late", 1)
    scratch.delete("token:7")
    after = digests(content, TOKENS, division)
    assert sum(digest.records for digest in after) == 300
    assert sum(new != old for new, old in zip(after, before, strict=True)) in (1, 2)
    chosen = dict(content.digest(TOKENS, division, [20, 3], Pace()))
    assert chosen == {20: after[20], 3: after[3]}


@pytest.mark.usefixtures("scratch")
def test_no_keys_are_one_empty_part(content: Content) -> None:
    assert content.divide(TOKENS, 10) == ("",)
    assert digests(content, TOKENS) == [Digest(0, 0)]


def test_keys_of_any_bytes_are_told_apart(content: Content, scratch: redis.Redis) -> None:
    keys = [
        b"\xff",
        b"\\xff",
        b"\\\\xff",
        b"a\nb",
        b"a\\nb",
        "ä".encode(),
        b"\xc3",
        b"\xc3\\xa4",
        b"",
        b"\x00",
    ]
    for key in keys:
        scratch.set(key, 1)
    records = _records(content)
    assert len(records) == len(keys)
    assert {"\\xff", "\\\\xff", "ä", "a\\x0ab"} <= records.keys()
    assert all(key.isprintable() for key in records)


def test_when_a_key_expires_is_said_and_no_content(content: Content, scratch: redis.Redis) -> None:
    scratch.set("expiring", 1, pxat=FAR * 1000 + 500)
    scratch.set("lasting", 1)
    before = _records(content)
    assert (before["expiring"].expires, before["lasting"].expires) == (FAR + 0.5, None)
    scratch.pexpireat("expiring", FAR * 1000)
    assert _records(content)["expiring"].hash == before["expiring"].hash


def test_a_value_that_never_stays_is_no_answer(
    content: Content, scratch: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    _in_slices(monkeypatch)
    scratch.set("moving", "x" * 1000)
    ask = content._ask

    def while_written(database: int, commands: list[redis_values.Command]) -> list[Any]:
        scratch.append("moving", "x")
        return ask(database, commands)

    monkeypatch.setattr(content, "_ask", while_written)
    with pytest.raises(Unverifiable, match="such as moving"):
        digests(content, REST)


def test_a_key_that_goes_meanwhile_is_left_out(
    content: Content, scratch: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch.hset("going", "a", 1)
    scratch.hset("staying", "a", 1)
    ask = content._ask

    def while_deleted(database: int, commands: list[redis_values.Command]) -> list[Any]:
        if commands and commands[0][0] == "HGETALL":
            scratch.delete("going")
        return ask(database, commands)

    monkeypatch.setattr(content, "_ask", while_deleted)
    assert set(_records(content)) == {"staying"}


def test_values_of_modules_are_refused(content: Content, scratch: redis.Redis) -> None:
    scratch.set("a", 1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(redis_content, "READINGS", {b"list": redis_values.READINGS[b"list"]})
        with pytest.raises(Unverifiable, match="a key of type string"):
            digests(content, REST)


def test_a_restore_gives_content_back(
    content: Content, scratch: redis.Redis, endpoint: Endpoint, control: ContainerControl, tmp_path: Path
) -> None:
    _fill(scratch)
    before, schemas = _records(content), content.schemas()
    keeper = Keeper("redis", changed(content._profile, restore="dump"), endpoint, control)
    keeper.back_up(tmp_path)
    scratch.flushdb()
    scratch.set("late", 1)
    keeper.restore(tmp_path)
    assert _records(content) == before
    assert content.schemas() == schemas


def test_function_libraries_are_schemas(content: Content, scratch: redis.Redis) -> None:
    before = content.schemas()
    assert scratch.function_load(LIBRARY) == b"scratch"
    try:
        after = content.schemas()
    finally:
        scratch.function_delete("scratch")
    assert {name: after[name] for name in after if name not in before} == {
        "library scratch": {"engine": "LUA", "code": LIBRARY.replace("\n", "\\x0a")}
    }


def test_no_answer_is_unverifiable(profile: RedisProfile, endpoint: Endpoint) -> None:
    refused = with_wrong_password(profile)
    short = changed(refused, deadline_seconds=0.3)
    with silence() as silent:
        for view, words in (
            (Content("redis", refused, endpoint), "invalid username-password"),
            (Content("redis", short, nowhere()), "refused"),
            (Content("redis", short, silent), "within 0.3 s"),
        ):
            calls: tuple[Callable[[], object], ...] = (
                view.schemas,
                partial(view.divide, REST, 10),
                partial(digests, view, REST),
                partial(_records, view),
            )
            with view:
                for call in calls:
                    with pytest.raises(Unverifiable, match=words) as failure:
                        call()
                    assert SECRET not in str(failure.value)
                    assert failure.value.__suppress_context__
