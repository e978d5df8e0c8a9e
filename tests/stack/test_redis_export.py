"""Redis' export, against a real server: what is exported and replayed by redis-cli is what was there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores.profiles import RedisProfile
from fixtures.stores.reach import Reach
from fixtures.stores.redis import connect
from fixtures.stores.redis_content import Content
from fixtures.stores.redis_values import Command
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from rollback_actions.stores import redis_export
from rollback_actions.stores.export import ExportedRecord
from rollback_actions.stores.factory import open_export
from rollback_actions.stores.redis_export import Export
from tests.stack.export_reading import exported, hashes_of
from tests.stack.record_exports import wanted_of
from tests.stack.scratch_stores import SECRET, changed, nowhere, silence

DATABASE = 12
TOKENS, REST = f"{DATABASE}:token:*", f"{DATABASE}:*"
FAR = 4_000_000_000_123
EVERY_BYTE = bytes(range(256))


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


@pytest.fixture
def export(profile: RedisProfile, endpoint: Endpoint) -> Iterator[Export]:
    with Export("redis", profile, endpoint) as export:
        yield export


def _fill(client: redis.Redis) -> None:
    client.set("string", "text ä")
    client.set("every byte", EVERY_BYTE)
    client.set("number", 7)
    client.set("empty", "")
    client.set("long", EVERY_BYTE * 4000)
    client.set("expiring", "x", pxat=FAR)
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


def _replay(control: ContainerControl, records: Sequence[ExportedRecord], folder: Path) -> None:
    """Give the lines to redis-cli, as `how_to_replay` says, and see that each is answered by OK."""
    lines = folder / "replay.txt"
    lines.write_text("".join(f"{record.replay}\n" for record in records), encoding="utf-8")
    assert len(lines.read_text(encoding="utf-8").splitlines()) == len(records)
    command = (
        f'REDISCLI_AUTH="$(cat /run/secrets/redis_operator)" exec redis-cli --user operator -n {DATABASE}'
    )
    answers = control.run("redis", ["sh", "-c", command], deadline=60, stdin=lines)
    assert answers.split() == ["OK"] * len(records)


def test_every_type_comes_back_as_it_was(
    content: Content, export: Export, scratch: redis.Redis, control: ContainerControl, tmp_path: Path
) -> None:
    _fill(scratch)
    before = hashes_of(content, REST)
    records = exported(export, REST, wanted_of(content, REST), tmp_path)
    assert {(record.key, record.hash) for record in records} == set(before)
    kept = {key: scratch.dump(key) for key in scratch.keys()}  # noqa: SIM118 - a command
    for number, key in enumerate(sorted(kept)):
        if number % 2:
            scratch.delete(key)
        else:
            scratch.set(key, "changed", px=10**9)
    assert set(hashes_of(content, REST)).isdisjoint(before)
    _replay(control, records, tmp_path)
    assert hashes_of(content, REST) == before
    assert {key: scratch.dump(key) for key in kept} == kept
    assert scratch.pexpiretime("expiring") == FAR


def test_people_can_read_it(content: Content, export: Export, scratch: redis.Redis, tmp_path: Path) -> None:
    _fill(scratch)
    scratch.set("for ever and a day", 1, pxat=10**17)
    records = exported(export, REST, wanted_of(content, REST), tmp_path)
    found: dict[str, Any] = {record.key: record.content for record in records}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["string"] == {"type": "string", "expires": None, "value": "text ä"}
    assert found["expiring"]["expires"] == "2096-10-02T07:06:40.123000+00:00"
    assert found["for ever and a day"]["expires"] == 10**14
    assert found["list"]["value"][:4] == ["b", "a", {"base64": "/w=="}, "0"]
    assert found["set"]["value"] == ["a", "b", {"base64": "/w=="}]
    assert found["hash"]["value"] == {"name": "value", "\\xff": {"base64": "/g=="}, "": ""}
    assert found["sorted set"]["value"] == [
        {"member": {"base64": "/w=="}, "score": -1.0},
        {"member": "one", "score": 0.1 + 0.2},
        {"member": "end", "score": "inf"},
    ]
    stream = found["stream"]["value"]
    assert stream["entries"][1] == {"id": "2-1", "fields": ["b", "2", "a", {"base64": "/w=="}]}
    assert len(stream["entries"]) == 5
    assert stream["groups"][0]["name"] == "group"


@pytest.mark.parametrize("memory", [1, 10**6])
def test_only_what_is_wanted_and_still_there(
    content: Content,
    export: Export,
    scratch: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    memory: int,
) -> None:
    monkeypatch.setattr(redis_export, "SLICE_BYTES", memory)  # of 1, every key is read by itself
    monkeypatch.setattr(redis_export, "TOGETHER", 2)
    scratch.mset({f"token:{number}": number for number in range(40)} | {"other": 1})
    scratch.expire("token:9", 10**6)
    division = content.divide(TOKENS, 10)
    chosen = {f"token:{number}" for number in range(3, 10)}
    wanted = wanted_of(content, TOKENS, division, chosen)
    records = exported(export, TOKENS, wanted, tmp_path, division)
    assert sorted(record.key for record in records) == sorted(chosen)
    scratch.delete("token:4")
    scratch.set("token:5", "later")
    scratch.delete("token:6")
    scratch.rpush("token:6", "6")
    scratch.expire("token:7", 10**6)
    scratch.persist("token:9")
    left = exported(export, TOKENS, wanted, tmp_path, division)
    assert sorted(record.key for record in left) == ["token:3", "token:8"]


def test_excluded_fields_are_exported(
    profile: RedisProfile,
    endpoint: Endpoint,
    scratch: redis.Redis,
    control: ContainerControl,
    tmp_path: Path,
) -> None:
    scratch.hset("pair", mapping={"first": "ab", "second": "c"})
    chosen = changed(profile, exclude={REST: ("second",)})
    with Content("redis", chosen, endpoint) as content, Export("redis", chosen, endpoint) as export:
        [record] = exported(export, REST, wanted_of(content, REST), tmp_path)
        assert (record.key, record.hash) in hashes_of(content, REST)
    scratch.flushdb()
    _replay(control, [record], tmp_path)
    assert scratch.hgetall("pair") == {b"first": b"ab", b"second": b"c"}


def test_what_changes_while_it_is_read_is_left_out(
    content: Content,
    export: Export,
    scratch: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scratch.mset({"steady": 1, "changing": 1, "going": 1, "turning": 1})
    wanted = wanted_of(content, REST)
    ask = export._ask
    changes: Iterator[tuple[str, Callable[[], object]]] = iter(
        [
            ("TYPE", lambda: (scratch.delete("turning"), scratch.rpush("turning", 1))),
            ("DUMP", lambda: (scratch.set("changing", 2), scratch.delete("going"))),
        ]
    )

    def while_written(database: int, commands: list[Command]) -> list[Any]:
        answers = ask(database, commands)
        if (following := next(changes, None)) is not None:
            assert commands[0][0] == following[0]
            following[1]()
        return answers

    monkeypatch.setattr(export, "_ask", while_written)
    assert [record.key for record in exported(export, REST, wanted, tmp_path)] == ["steady"]


def test_how_to_replay_names_the_place_and_no_secret(
    engine: ContainerEngine, profile: RedisProfile, endpoint: Endpoint
) -> None:
    with open_export("redis", profile, engine) as export:
        command = export.how_to_replay(REST)
    assert command == (
        f'REDISCLI_AUTH="$(cat PASSWORD_FILE)" redis-cli -h {endpoint.host} -p {endpoint.port}'
        f" --user operator -n {DATABASE}"
    )


def test_a_server_that_does_not_answer_is_no_export(profile: RedisProfile, tmp_path: Path) -> None:
    with silence() as silent:
        for endpoint in (silent, nowhere()):
            chosen = changed(profile, deadline_seconds=0.5)
            with Export("redis", chosen, endpoint) as export, pytest.raises(Unverifiable) as failure:
                exported(export, REST, {0: frozenset({("a", 1)})}, tmp_path)
            assert SECRET not in str(failure.value)
