"""Redis alone: patterns and keys of any bytes, and values that move while they are read."""

from __future__ import annotations

from typing import Any

import pytest

from rollproof.contract.subject import CollectionState, digests, read
from rollproof.errors import Unverifiable
from rollproof.stores.reader import Reader
from rollproof.stores.redis import reader as redis_content
from rollproof.stores.redis import values as redis_values
from rollproof.stores.redis.client import KeyGroups
from tests.stack.stores.redis import DATABASE, FAR, LIBRARY, REST, Redis

STORES = ("redis",)
pytestmark = pytest.mark.usefixtures("mended")
NAMES = (
    *("abc", "ac", "a\nc", "ax", "bx", "dx", "*x", "^x", "-x", ".x", "[x", "]x", "a|b", "(x)", "x", "", "a"),
    "\\x",
)
GLOBS = (*("*", "", "a?c", "a*c", "[abc]x", "[a-c]x", "[^a]x", "[^a-c]x", "[.]x", "a|b", "[[]x", "(x)"),)


def test_fields_and_times_to_expire_are_told(before: CollectionState) -> None:
    assert set(before.records["pair"].fields) == {"type", "expiry", "field first", "field second"}
    assert (before.records["expiring"].expires, before.records["number"].expires) == (FAR + 0.5, None)


def test_a_value_that_never_stays_is_no_answer(subject: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    subject.client.hset("moving", "a", 1)
    content: Any = subject.reader()
    ask = content._ask

    def while_written(database: int, commands: list[redis_values.Command], *, at_once: bool) -> list[Any]:
        moving = ("HGETALL", b"moving")
        found = zip(commands, ask(database, commands, at_once=at_once), strict=True)
        return [redis_values.Changed() if command == moving else answer for command, answer in found]

    monkeypatch.setattr(content, "_ask", while_written)
    with content, pytest.raises(Unverifiable, match="such as moving"):
        digests(content, REST)


def test_a_key_that_goes_meanwhile_is_left_out(
    subject: Redis, before: CollectionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject.client.hset("going", "a", 1)
    content: Any = subject.reader()
    ask = content._ask

    def while_deleted(database: int, commands: list[redis_values.Command], *, at_once: bool) -> list[Any]:
        if any(command[0] == "HGETALL" for command in commands):
            subject.client.delete("going")
        return list(ask(database, commands, at_once=at_once))

    monkeypatch.setattr(content, "_ask", while_deleted)
    with content:
        found = read(content, REST).records
    assert found.keys() == before.records.keys()


def test_values_of_modules_are_refused(content: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_content, "TYPES", {b"list": redis_values.TYPES[b"list"]})
    with pytest.raises(Unverifiable, match="a key of type"):
        digests(content, REST)


def test_function_libraries_are_schemas(subject: Redis, content: Reader) -> None:
    before = content.schemas()
    assert subject.client.function_load(LIBRARY) == b"scratch"
    try:
        after = content.schemas()
    finally:
        subject.undefine()
    assert {name: after[name] for name in after if name not in before} == {
        "library scratch": {"engine": "LUA", "code": LIBRARY.replace("\n", "\\x0a")}
    }


def test_patterns_match_what_the_server_says_they_match(subject: Redis) -> None:
    client = subject.client
    client.flushdb()
    try:
        client.mset(dict.fromkeys(NAMES, 1))
        for glob in GLOBS:
            pattern = f"{DATABASE}:{glob}"
            groups = KeyGroups([DATABASE], [pattern])
            matched = {n for n in NAMES if groups.grouped(DATABASE, [n.encode()])[pattern]}
            if glob == "*":  # the rest has the same name
                matched = set(NAMES)
            assert matched == {key.decode() for key in client.scan_iter(match=glob, count=1000)}, glob
    finally:
        subject.fill()
