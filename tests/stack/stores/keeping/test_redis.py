"""What is true of Redis alone: keys that expire, and databases that are caches."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.redis.reader import RedisReader
from rollproof.stores.redis.values import Command
from tests.stack.stores.keeping.records import exported, put_back, wanted_of
from tests.stack.stores.redis import FIRST, FIRST_REST, SECOND, TOKENS, Redis
from tests.waiting import until

pytestmark = pytest.mark.of("redis")


def test_what_changes_while_it_is_read_is_not_exported(
    subject: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject.wipe()
    scratch = subject.first
    scratch.set("steady", 1)
    for key in ("changing", "going", "turning"):
        scratch.rpush(key, 1)
    changes: Iterator[Callable[[], object]] = iter(
        [
            lambda: (
                scratch.rpush("changing", 2),
                scratch.delete("going", "turning"),
                scratch.set("turning", 1),
            )
        ]
    )
    with subject.place.content() as content, subject.place.export() as export:
        assert isinstance(export, RedisReader)
        wanted = wanted_of(content, FIRST_REST)
        ask = export._ask

        def while_written(database: int, commands: list[Command], *, at_once: bool) -> list[Any]:
            answers = ask(database, commands, at_once=at_once)
            if (following := next(changes, None)) is not None:
                assert commands[0][0] == "TYPE"
                following()
            return answers

        monkeypatch.setattr(export, "_ask", while_written)
        assert [record.key for record in exported(export, FIRST_REST, wanted, tmp_path)] == ["steady"]


def test_an_exported_key_that_has_expired_since_replaces_nothing(subject: Redis, tmp_path: Path) -> None:
    subject.wipe()
    subject.first.set("token:1", "of a user")
    value = subject.first.dump("token:1")
    assert value is not None
    replay: Json = {"key": b64encode(b"token:1").decode(), "value": b64encode(value).decode(), "expires": 1}
    with pytest.raises(Unverifiable, match="it has expired since"):
        put_back(subject.place, TOKENS, [ExportedRecord("token:1", 1, None, replay)], tmp_path)
    assert subject.first.get("token:1") == b"of a user"


def test_a_key_that_has_expired_since_is_not_brought_back_to_life(subject: Redis, tmp_path: Path) -> None:
    subject.wipe()
    subject.first.set("token:stays", 1)
    keeper = subject.place.keeper()
    # On a busy machine the first may be gone before it is backed up.
    for milliseconds in (1500, 60_000):
        backup = tmp_path / str(milliseconds)
        backup.mkdir()
        subject.first.set("token:soon", 1, px=milliseconds)
        kept = keeper.back_up(backup).records[TOKENS]
        if kept == 2:
            break
    assert kept == 2
    until(lambda: not subject.first.exists("token:soon"))
    restored = keeper.restore(backup)
    assert restored.records[TOKENS] == 1
    assert restored.notes == (f"1 keys of database {FIRST} had expired since the backup",)
    assert subject.first.keys() == [b"token:stays"]


def test_a_cache_is_kept_before_it_is_flushed(subject: Redis, tmp_path: Path) -> None:
    records = subject.populate()
    before = subject.observe()
    keeper = subject.place.but(restore="flush").keeper()
    backup, safety = tmp_path / "backup", tmp_path / "safety"
    backup.mkdir()
    safety.mkdir()
    kept = keeper.back_up(backup)
    assert sum(kept.records.values()) == 0
    assert "flushed" in kept.method
    safe = keeper.keep_safe(safety, up=True, backup=backup)
    assert safe.records == records
    assert "DUMP of each key" in safe.method
    assert keeper.restore(backup).notes == (f"flushed database {FIRST}", f"flushed database {SECOND}")
    assert [client.dbsize() for client in (subject.first, subject.second)] == [0, 0]
    keeper.restore(safety)
    assert subject.observe() == before
