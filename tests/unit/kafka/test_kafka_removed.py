"""Records that a Kafka broker has removed by itself: they have expired, and nothing is damaged."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from rollproof.stores.contract import Retention
from rollproof.stores.kafka.admin import Admin
from rollproof.stores.kafka.broker import Topic, retention_of
from rollproof.stores.kafka.keeper import _Topic, compared
from rollproof.stores.kafka.records import CREATED, Record
from rollproof.stores.reach import Countdown

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
