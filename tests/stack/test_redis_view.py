"""Redis, read side, against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
import redis

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import UsageProblem
from fixtures.stores.profiles import RedisProfile
from fixtures.stores.reach import Reach
from fixtures.stores.redis import KeyGroups, View, connect
from fixtures.target import Target
from tests.stack.scratch_stores import changed, expect_unverifiable, nowhere, silence, with_wrong_password

DATABASE = 12


@pytest.fixture
def profile(target: Target) -> RedisProfile:
    patterns = (f"{DATABASE}:token:*", f"{DATABASE}:[ab]?\\*")
    return changed(cast("RedisProfile", target.stores["redis"]), databases=(DATABASE,), patterns=patterns)


@pytest.fixture
def endpoint(profile: RedisProfile, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(profile.address)


@pytest.fixture
def scratch(profile: RedisProfile, endpoint: Endpoint) -> Iterator[redis.Redis]:
    with connect(Reach("redis", endpoint, profile.operator, 10), DATABASE) as client:
        client.flushdb()
        yield client
        client.flushdb()


def test_every_key_is_counted_once_and_in_the_first_pattern(
    profile: RedisProfile, endpoint: Endpoint, scratch: redis.Redis
) -> None:
    scratch.mset({f"token:{number}": number for number in range(3000)})
    scratch.mset({"ax*": 1, "bx*": 1, "axx": 1, "cx*": 1})
    scratch.set(b"\xff\x00", 1)
    with View("redis", profile, endpoint) as view:
        assert view.counts() == {"12:*": 3, "12:[ab]?\\*": 2, "12:token:*": 3000}
        answer = view.ask()
    assert (answer.collection, answer.records) == ("12:*", 3005)
    assert answer.server.startswith("Redis ")


@pytest.mark.usefixtures("scratch")
def test_groups_without_a_key_are_counted_too(profile: RedisProfile, endpoint: Endpoint) -> None:
    with View("redis", profile, endpoint) as view:
        assert view.counts() == {"12:*": 0, "12:[ab]?\\*": 0, "12:token:*": 0}
        assert view.ask().records == 0


@pytest.mark.parametrize("pattern", ["token:*", "3:token:*", "12"])
def test_a_pattern_without_a_database_of_the_profile_is_refused(
    profile: RedisProfile, endpoint: Endpoint, pattern: str
) -> None:
    with pytest.raises(UsageProblem, match="pattern of Redis keys"):
        View("redis", changed(profile, patterns=(pattern,)), endpoint)


def test_a_wrong_password_is_no_answer(profile: RedisProfile, endpoint: Endpoint) -> None:
    expect_unverifiable(View("redis", with_wrong_password(profile), endpoint), "invalid username-password")


def test_a_closed_port_is_no_answer(profile: RedisProfile) -> None:
    closed = nowhere()
    expect_unverifiable(View("redis", profile, closed), "refused", str(closed.port))


def test_silence_ends_at_the_deadline(profile: RedisProfile) -> None:
    with silence() as endpoint:
        view = View("redis", changed(with_wrong_password(profile), deadline_seconds=0.3), endpoint)
        expect_unverifiable(view, "within 0.3 s")


def test_the_reader_cannot_write(profile: RedisProfile, endpoint: Endpoint) -> None:
    with (
        connect(Reach("redis", endpoint, profile.reader, 10), DATABASE) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.set("scratch", 1)


@pytest.mark.parametrize(
    "glob",
    [
        "*",
        "",
        "a?c",
        "a*c",
        "[abc]x",
        "[a-c]x",
        "[c-a]x",
        "[^a]x",
        "[^a-c]x",
        r"\*x",
        r"[\^]x",
        "[.]x",
        "a|b",
        "[[]x",
        "(x)",
        "[]x",
    ],
)
def test_patterns_match_what_the_server_says_they_match(scratch: redis.Redis, glob: str) -> None:
    names = [
        "abc",
        "ac",
        "a\nc",
        "ax",
        "bx",
        "dx",
        "*x",
        "^x",
        "-x",
        ".x",
        "[x",
        "]x",
        "a|b",
        "(x)",
        "x",
        "",
        "a",
        "\\x",
    ]
    scratch.mset(dict.fromkeys(names, 1))
    groups = KeyGroups([DATABASE], [f"{DATABASE}:{glob}"])
    matched = {
        name for name in names if groups.count(DATABASE, frozenset({name.encode()}))[f"{DATABASE}:{glob}"]
    }
    if glob == "*":  # the rest has the same name
        matched = set(names)
    assert matched == {key.decode() for key in scratch.scan_iter(match=glob, count=1000)}
