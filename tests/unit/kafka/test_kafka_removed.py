"""Records that a Kafka broker has removed by itself: they have expired, and nothing is damaged."""

from __future__ import annotations

import base64
import time

import pytest

from rollproof.stores.contract import Retention
from rollproof.stores.kafka.admin import Topic
from rollproof.stores.kafka.keeper import _Removed, _Topic
from rollproof.stores.kafka.records import CREATED, NOT_STAMPED, Record
from rollproof.stores.kafka.retention import retention_of

HOUR = 3_600_000
NOW = int(time.time() * 1000)
OLD, YOUNG = NOW - 2 * HOUR, NOW - HOUR // 2
KEPT = Retention(seconds=None, size=None, compacted=False)
AGE = Retention(seconds=HOUR / 1000, size=None, compacted=False)
SIZE = Retention(seconds=None, size=1000, compacted=False)


def record(
    offset: int, key: str = "k", value: str | None = "v", stamped: int = OLD, kind: int = CREATED
) -> Record:
    encoded = None if value is None else base64.b64encode(value.encode()).decode()
    return Record(partition=0, offset=offset, timestamp=(kind, stamped), key=key, value=encoded, headers=[])


def removed(retention: Retention | None, *there: Record, recorded: tuple[Record, ...] = ()) -> _Removed:
    """Return the judge of a log that ended at 10 when it was recorded, and holds the records `there`."""
    topic = _Topic(
        file="t", shape=Topic(partitions=1, replication=1, configuration={}), ends=[10], retention=retention
    )
    found = _Removed(topic)
    for one in there:
        found.see(one, known=one in recorded)
    return found


@pytest.mark.parametrize(
    ("retention", "gone", "begin", "expected"),
    [
        (AGE, record(3), 5, True),
        (AGE, record(3, stamped=YOUNG), 5, False),  # Something else took it, such as a request to delete.
        (AGE, record(5), 5, False),  # It is within what the log holds.
        (AGE, record(3), 0, False),  # Made anew, it begins at 0.
        (AGE, record(3, kind=NOT_STAMPED), 5, False),
        (SIZE, record(3, stamped=YOUNG), 5, True),
        (SIZE, record(6, stamped=YOUNG), 5, False),
        (KEPT, record(3), 5, False),
        (None, record(3), 5, False),
    ],
)
def test_age_and_size_take_what_is_oldest(
    retention: Retention | None, gone: Record, begin: int, *, expected: bool
) -> None:
    assert removed(retention, recorded=(gone,)).by_itself(gone, begin) is expected


@pytest.mark.parametrize("retention", [AGE, SIZE])
def test_a_log_with_other_records_where_some_were_recorded_has_removed_none(
    retention: Retention | None,
) -> None:
    """It is another log: it was re-created, and filled again."""
    gone = record(3)
    found = removed(retention, record(4, key="of another log"), record(12), recorded=(gone,))
    assert found.by_itself(gone, 5) is False


def test_the_retention_of_a_topic_is_told_in_seconds_if_the_broker_tells_it() -> None:
    assert retention_of({}) is None
    told = {"retention.ms": "7000", "retention.bytes": "9", "cleanup.policy": "compact,delete"}
    assert retention_of(told) == Retention(seconds=7.0, size=9, compacted=True)
    compacted = retention_of({**told, "cleanup.policy": "compact"})
    assert compacted == Retention(seconds=None, size=None, compacted=True)
    assert retention_of({"retention.ms": "-1"}) == Retention(seconds=None, size=None, compacted=False)
