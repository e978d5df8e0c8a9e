"""Redis, write side, against a real server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import cast

import pytest
import redis

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import ActionFailed
from fixtures.stores.profiles import RedisProfile
from fixtures.stores.reach import Reach
from fixtures.stores.redis import View, connect
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from rollback_actions.stores import redis as redis_keeper
from rollback_actions.stores.redis import Entry, Keeper
from tests.stack.scratch_stores import changed, expect_damage_refused

FIRST, SECOND = 13, 14


@pytest.fixture
def profile(target: Target) -> RedisProfile:
    profile = cast("RedisProfile", target.stores["redis"])
    return changed(profile, databases=(FIRST, SECOND), patterns=(f"{FIRST}:token:*",))


@pytest.fixture
def endpoint(profile: RedisProfile, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(profile.address)


@pytest.fixture
def scratch(profile: RedisProfile, endpoint: Endpoint) -> Iterator[tuple[redis.Redis, redis.Redis]]:
    reach = Reach("redis", endpoint, profile.operator, 10)
    with connect(reach, FIRST) as first, connect(reach, SECOND) as second:
        for client in (first, second):
            client.flushdb()
        yield first, second
        for client in (first, second):
            client.flushdb()


def _fill(first: redis.Redis, second: redis.Redis) -> None:
    later = int(time.time() * 1000) + 3_600_000
    for number in range(1000):
        first.set(f"token:{number}", f"user{number}", pxat=later + number)
    second.set(b"\xff\x00\r\n key", b"\x00\xff")
    second.hset("hash", mapping={f"field{number}": number for number in range(1000)})
    second.hset("own expiry", "field", "value")
    second.execute_command("HPEXPIREAT", "own expiry", later, "FIELDS", 1, "field")  # type: ignore[no-untyped-call]
    second.zadd("sorted", {"a": 1.5, "b": -0.0})
    second.rpush("list", *range(300))
    second.sadd("set", *range(10))
    second.xadd("stream", {"a": 1})
    second.xgroup_create("stream", "group", "0")


def _observe(*clients: redis.Redis) -> dict[tuple[int, bytes], object]:
    """Return every key by its logical value and the millisecond in which it expires."""
    read = {
        b"string": lambda c, k: c.get(k),
        b"hash": lambda c, k: (c.hgetall(k), c.execute_command("HPEXPIRETIME", k, "FIELDS", 1, "field")),
        b"list": lambda c, k: c.lrange(k, 0, -1),
        b"set": lambda c, k: c.smembers(k),
        b"zset": lambda c, k: c.zrange(k, 0, -1, withscores=True),
        b"stream": lambda c, k: (c.xrange(k), c.xinfo_groups(k)),
    }
    return {
        (number, key): (client.pexpiretime(key), read[client.type(key)](client, key))  # type: ignore[no-untyped-call,index]
        for number, client in enumerate(clients)
        for key in client.scan_iter(count=1000)
    }


def test_a_restore_gives_back_every_value_and_expiry(
    profile: RedisProfile,
    endpoint: Endpoint,
    control: ContainerControl,
    scratch: tuple[redis.Redis, redis.Redis],
    tmp_path: Path,
) -> None:
    first, second = scratch
    _fill(first, second)
    keeper = Keeper("redis", profile, endpoint, control)
    before = _observe(first, second)
    kept = keeper.back_up(tmp_path)
    assert kept.records == {"13:*": 0, "13:token:*": 1000, "14:*": 7}
    assert _observe(first, second) == before

    first.delete("token:5")
    first.set("token:6", "someone else")
    first.persist("token:7")
    first.mset({f"late:{number}": 1 for number in range(2000)})
    second.flushdb()
    second.rpush("hash", "another type")
    restored = keeper.restore(tmp_path)
    assert restored.records == kept.records
    assert restored.notes == ("removed 2000 keys of database 13 that came after the backup",)
    assert _observe(first, second) == before
    with View("redis", profile, endpoint) as view:
        assert view.counts() == kept.records

    assert keeper.restore(tmp_path).notes == ()
    assert _observe(first, second) == before
    expect_damage_refused(keeper, tmp_path, lambda: _observe(first, second))


def test_a_restore_that_was_killed_is_done_by_the_next(
    profile: RedisProfile,
    endpoint: Endpoint,
    control: ContainerControl,
    scratch: tuple[redis.Redis, redis.Redis],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _fill(*scratch)
    before = _observe(*scratch)
    keeper = Keeper("redis", profile, endpoint, control)
    keeper.back_up(tmp_path)
    for client in scratch:
        client.flushdb()
        client.set("late", 1)

    def read(path: Path) -> Iterator[Entry]:
        yield from islice(original(path), 500)
        raise KeyboardInterrupt

    original = redis_keeper._read
    with monkeypatch.context() as patch:
        patch.setattr(redis_keeper, "_read", read)
        with pytest.raises(KeyboardInterrupt):
            keeper.restore(tmp_path)
    assert scratch[0].dbsize() > 1
    keeper.restore(tmp_path)
    assert _observe(*scratch) == before


def test_a_key_that_has_expired_since_is_not_brought_back_to_life(
    profile: RedisProfile,
    endpoint: Endpoint,
    control: ContainerControl,
    scratch: tuple[redis.Redis, redis.Redis],
    tmp_path: Path,
) -> None:
    first, _ = scratch
    first.set("token:soon", 1, px=1500)
    first.set("token:stays", 1)
    keeper = Keeper("redis", profile, endpoint, control)
    assert keeper.back_up(tmp_path).records["13:token:*"] == 2
    time.sleep(1.6)
    restored = keeper.restore(tmp_path)
    assert restored.records["13:token:*"] == 1
    assert restored.notes == ("1 keys of database 13 had expired since the backup",)
    assert first.keys() == [b"token:stays"]


def test_a_cache_is_flushed(
    profile: RedisProfile,
    endpoint: Endpoint,
    control: ContainerControl,
    scratch: tuple[redis.Redis, redis.Redis],
    tmp_path: Path,
) -> None:
    _fill(*scratch)
    keeper = Keeper("redis", changed(profile, restore="flush"), endpoint, control)
    kept = keeper.back_up(tmp_path)
    assert sum(kept.records.values()) == 0
    assert "flushed" in kept.method
    restored = keeper.restore(tmp_path)
    assert restored.notes == ("flushed database 13", "flushed database 14")
    assert [client.dbsize() for client in scratch] == [0, 0]


def test_a_cache_is_kept_before_it_is_flushed(
    profile: RedisProfile,
    endpoint: Endpoint,
    control: ContainerControl,
    scratch: tuple[redis.Redis, redis.Redis],
    tmp_path: Path,
) -> None:
    _fill(*scratch)
    before = _observe(*scratch)
    keeper = Keeper("redis", changed(profile, restore="flush"), endpoint, control)
    for name in ("backup", "safety"):
        (tmp_path / name).mkdir()
    keeper.back_up(tmp_path / "backup")
    safe = keeper.keep_safe(tmp_path / "safety")
    assert safe.records == {"13:*": 0, "13:token:*": 1000, "14:*": 7}
    assert "DUMP of each key" in safe.method
    keeper.restore(tmp_path / "backup")
    assert _observe(*scratch) == {}
    keeper.restore(tmp_path / "safety")
    assert _observe(*scratch) == before


@pytest.mark.parametrize("change", [{"restore": "flush"}, {"databases": (FIRST,)}])
def test_a_backup_for_another_profile_is_refused(
    profile: RedisProfile,
    endpoint: Endpoint,
    control: ContainerControl,
    scratch: tuple[redis.Redis, redis.Redis],
    tmp_path: Path,
    change: dict[str, object],
) -> None:
    _fill(*scratch)
    Keeper("redis", profile, endpoint, control).back_up(tmp_path)
    before = _observe(*scratch)
    with pytest.raises(ActionFailed, match="the profile has changed since"):
        Keeper("redis", changed(profile, **change), endpoint, control).restore(tmp_path)
    assert _observe(*scratch) == before
