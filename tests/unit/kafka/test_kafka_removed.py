"""Records that a Kafka broker has removed by itself: they have expired, and nothing is damaged."""

from __future__ import annotations

import base64
import time

import pytest

from rollproof.stores.contract import Retention
from rollproof.stores.kafka.admin import Topic
from rollproof.stores.kafka.keeper import _Removed, _Topic
from rollproof.stores.kafka.records import CREATED, NOT_STAMPED, Record
from rollproof.stores.kafka.upkeep import Upkeep, retention_of, upkeep_of

HOUR = 3_600_000
NOW = int(time.time() * 1000)
OLD, YOUNG = NOW - 2 * HOUR, NOW - HOUR // 2
KEPT = Upkeep()
AGE = Upkeep(milliseconds=HOUR)
SIZE = Upkeep(size=1000)


def record(
    offset: int, key: str = "k", value: str | None = "v", stamped: int = OLD, kind: int = CREATED
) -> Record:
    encoded = None if value is None else base64.b64encode(value.encode()).decode()
    return Record(partition=0, offset=offset, timestamp=(kind, stamped), key=key, value=encoded, headers=[])


def removed(upkeep: Upkeep, *there: Record, recorded: tuple[Record, ...] = ()) -> _Removed:
    """Return the judge of a log that ended at 10 when it was recorded, and holds the records `there`."""
    topic = _Topic(
        file="t", shape=Topic(partitions=1, replication=1, configuration={}), ends=[10], upkeep=upkeep
    )
    found = _Removed(topic)
    for one in there:
        found.see(one, known=one in recorded)
    return found


@pytest.mark.parametrize(
    ("upkeep", "gone", "begin", "expected"),
    [
        (AGE, record(3), 5, True),
        (AGE, record(3, stamped=YOUNG), 5, False),  # Something else took it, such as a request to delete.
        (AGE, record(5), 5, False),  # It is within what the log holds.
        (AGE, record(3), 0, False),  # Made anew, it begins at 0.
        (AGE, record(3, kind=NOT_STAMPED), 5, False),
        (SIZE, record(3, stamped=YOUNG), 5, True),
        (SIZE, record(6, stamped=YOUNG), 5, False),
        (KEPT, record(3), 5, False),
    ],
)
def test_age_and_size_take_what_is_oldest(
    upkeep: Upkeep, gone: Record, begin: int, *, expected: bool
) -> None:
    assert removed(upkeep, recorded=(gone,)).by_itself(gone, begin) is expected


@pytest.mark.parametrize("upkeep", [AGE, SIZE])
def test_a_log_with_other_records_where_some_were_recorded_has_removed_none(upkeep: Upkeep) -> None:
    """It is another log: it was re-created, and filled again."""
    gone = record(3)
    found = removed(upkeep, record(4, key="of another log"), record(12), recorded=(gone,))
    assert found.by_itself(gone, 5) is False


def test_upkeep_is_what_the_configuration_says() -> None:
    assert upkeep_of({}) == Upkeep()
    assert upkeep_of({"retention.ms": "-1", "retention.bytes": "-1"}) == Upkeep()
    assert upkeep_of({"retention.ms": "7", "retention.bytes": "9"}) == Upkeep(milliseconds=7, size=9)
    both = {"cleanup.policy": "compact,delete", "retention.ms": "7"}
    assert upkeep_of(both) == Upkeep(milliseconds=7, compacted=True)
    assert upkeep_of({**both, "cleanup.policy": "compact"}) == Upkeep(compacted=True)


def test_the_retention_of_a_topic_is_told_in_seconds_if_the_broker_tells_it() -> None:
    assert retention_of({}) is None
    told = {"retention.ms": "7000", "retention.bytes": "9", "cleanup.policy": "compact,delete"}
    assert retention_of(told) == Retention(seconds=7.0, size=9, compacted=True)
    assert retention_of({"retention.ms": "-1"}) == Retention(seconds=None, size=None, compacted=False)
