"""A log of Kafka: divisions, positions that strayed, and records that the broker has removed by itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from rollproof.collection import Json
from rollproof.stores.contract import Retention
from rollproof.stores.kafka.admin import Admin
from rollproof.stores.kafka.broker import Topic, retention_of
from rollproof.stores.kafka.keeper import _Topic, compared
from rollproof.stores.kafka.positions import strays
from rollproof.stores.kafka.records import CREATED, Record
from rollproof.stores.reach import Countdown

RECORDED: Mapping[str, Json] = {
    "topic t 0": {"begin": 5, "end": 25, "groups": {"a group": 20}},
    "topic t 1": {"begin": 0, "end": 9, "groups": {"a group": 9}},
}


@pytest.mark.parametrize(
    ("zero", "one", "words"),
    [
        ({}, {}, []),
        # It went on: more came, more was read, more has expired.
        ({"begin": 22, "end": 40, "groups": {"a group": 40, "new": 22}}, {}, []),
        ({"groups": {}}, {}, ["group a group in topic t 0: expected offset 20 or later, observed none"]),
        ({"groups": {"a group": 19}}, {}, ["expected offset 20 or later, observed 19"]),
        ({"groups": {"a group": 26}}, {}, ["expected an offset up to 25, observed 26"]),
        ({"end": 24}, {}, ["topic t 0: expected to end at 25 or later, observed 24"]),
        (
            {},
            None,
            ["expected to end at 9 or later, observed 0", "expected offset 9 or later, observed none"],
        ),
        # Made anew: all offsets are 5 lower.
        ({"begin": 0, "end": 20, "groups": {"a group": 15}}, {}, []),
        (
            {"begin": 0, "end": 19, "groups": {"a group": 14}},
            {},
            ["expected to end at 20 or later, observed 19", "expected offset 15 or later, observed 14"],
        ),
        # Made anew and empty.
        ({}, {"begin": 0, "end": 0}, ["topic t 1: expected to end at 9", "up to 0, observed 9"]),
    ],
)
def test_what_strayed_is_told(zero: dict[str, Json], one: dict[str, Json] | None, words: list[str]) -> None:
    changes = {"topic t 0": zero, "topic t 1": one}
    now = {
        name: {**cast("dict[str, Json]", RECORDED[name]), **change}
        for name, change in changes.items()
        if change is not None
    }
    lines = list(strays(RECORDED, now))
    assert len(lines) == len(words)
    for line, word in zip(lines, words, strict=True):
        assert word in line


HOUR = 3_600_000
NOW = int(time.time() * 1000)
OLD, YOUNG = NOW - 2 * HOUR, NOW - HOUR // 2
KEPT = Retention(seconds=None, size=None, compacted=False)
AGE = Retention(seconds=HOUR / 1000, size=None, compacted=False)
SIZE = Retention(seconds=None, size=1000, compacted=False)


@dataclass
class _Message:
    offset: int
    key: bytes = b"k"
    value: bytes = b"v"
    timestamp: int = OLD
    timestamp_type: int | None = CREATED - 1
    partition: int = 0
    headers: tuple[()] = ()


@dataclass
class _Log:
    """A log of one partition that begins at `begin` and holds `there`."""

    begin: int
    there: tuple[_Message, ...]

    def beginnings(self, *_: object) -> Any:  # noqa: ANN401 - as brokers answer
        return {("t", 0): self.begin}

    def records(self, *_: object) -> Any:  # noqa: ANN401 - as brokers answer
        return self.there


def _expired(
    retention: Retention | None, gone: _Message, begin: int, folder: Path, *there: _Message
) -> tuple[int, bool]:
    """Return how many records have expired, and whether one is lost, where only `gone` was recorded."""
    file = folder / "t.jsonl"
    file.write_bytes(Record.of(gone).line())
    shape = Topic(partitions=1, replication=1, configuration={})
    topic = _Topic(shape=shape, ends=[10], retention=retention)
    found = compared(cast("Admin", _Log(begin, there)), "t", topic, file, cast("Countdown", None))
    return found.expired, bool(found.damage)


@pytest.mark.parametrize(
    ("retention", "gone", "begin", "expected"),
    [
        (AGE, _Message(3), 5, True),
        (AGE, _Message(3, timestamp=YOUNG), 5, False),  # Something else took it, such as a request to delete.
        (AGE, _Message(5), 5, False),  # It is within what the log holds.
        (AGE, _Message(3), 0, False),  # Made anew, it begins at 0.
        (AGE, _Message(3, timestamp_type=None), 5, False),
        (SIZE, _Message(3, timestamp=YOUNG), 5, True),
        (SIZE, _Message(6, timestamp=YOUNG), 5, False),
        (KEPT, _Message(3), 5, False),
        (None, _Message(3), 5, False),
    ],
)
def test_age_and_size_take_what_is_oldest(
    retention: Retention | None, gone: _Message, begin: int, tmp_path: Path, *, expected: bool
) -> None:
    assert _expired(retention, gone, begin, tmp_path) == (expected, not expected)


@pytest.mark.parametrize("retention", [AGE, SIZE])
def test_a_log_with_other_records_where_some_were_recorded_has_removed_none(
    retention: Retention, tmp_path: Path
) -> None:
    """It is another log: it was re-created, and filled again."""
    others = _Message(4, key=b"of another log"), _Message(12)
    assert _expired(retention, _Message(3), 5, tmp_path, *others) == (0, True)


def test_the_retention_of_a_topic_is_told_in_seconds_if_the_broker_tells_it() -> None:
    assert retention_of({}) is None
    told = {"retention.ms": "7000", "retention.bytes": "9", "cleanup.policy": "compact,delete"}
    assert retention_of(told) == Retention(seconds=7.0, size=9, compacted=True)
    compacted = retention_of({**told, "cleanup.policy": "compact"})
    assert compacted == Retention(seconds=None, size=None, compacted=True)
    assert retention_of({"retention.ms": "-1"}) == Retention(seconds=None, size=None, compacted=False)
