"""Faults of Kafka, in the faults' own topic: a log cannot be changed, so it is rebuilt each time.

For phase 4, a topic with the same records is the same, wherever its offsets begin.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kafka.protocol.admin import DeleteGroupsRequest

from rollproof.stores.kafka.admin import Admin, Topic
from rollproof.stores.kafka.records import CREATED, Record
from staging.faults.fault import Register
from staging.target.operators import Operators, undone

fault = Register("kafka")
TOPIC, GROUP = "faults_jobs", "faults_readers"
PARTITIONS = 2
_OFFSETS = {TOPIC: {"0": 3, "1": 2}}
_SHAPE = Topic(partitions=PARTITIONS, replication=1, configuration={"retention.ms": "-1"})


def _text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


_RECORDS = tuple(
    Record(
        partition=number % PARTITIONS,
        offset=number // PARTITIONS,
        timestamp=(CREATED, 1_700_000_000_000 + number),
        key=_text(f"key {number}"),
        value=_text(f"job {number}"),
        headers=[("kind", _text("job"))],
    )
    for number in range(10)
)


@contextmanager
def planted(operators: Operators) -> Iterator[None]:
    """Provide the faults' own topic, and a group that has read a part of it."""
    with undone(lambda: _remove(operators)):
        _write(operators, _RECORDS)
        yield


def _remove(operators: Operators) -> None:
    with Admin(operators.kafka) as admin:
        admin.delete(TOPIC, operators.kafka.start())
        if admin.groups([GROUP]):
            _delete_group(admin)


def _delete_group(admin: Admin) -> None:
    request, node = DeleteGroupsRequest(groups_names=[GROUP]), admin.coordinator(GROUP)
    for answer in admin.ask(request, f"deletion of group {GROUP}", node).results:
        admin.expect(answer.error_code, f"deletion of group {GROUP}")


def _set_offsets(operators: Operators) -> None:
    with Admin(operators.kafka) as admin:
        admin.set_offsets(GROUP, _OFFSETS)


def _write(operators: Operators, records: Sequence[Record], shape: Topic = _SHAPE) -> None:
    """Rebuild the topic with `records`, and reset the group to its offsets."""
    reach = operators.kafka
    with Admin(reach) as admin:
        admin.delete(TOPIC, reach.start())
        admin.create(TOPIC, shape, reach.start())
        admin.produce(TOPIC, records, reach.start())
        admin.set_offsets(GROUP, _OFFSETS)


def _with(operators: Operators, records: Sequence[Record], shape: Topic = _SHAPE) -> Iterator[None]:
    with undone(lambda: _write(operators, _RECORDS)):
        _write(operators, records, shape)
        yield


def _changed(operators: Operators, **changes: object) -> Iterator[None]:
    """Rebuild the topic with one changed record."""
    yield from _with(operators, [*_RECORDS[:4], _RECORDS[4].model_copy(update=changes), *_RECORDS[5:]])


@fault.content(TOPIC)
def record_lost(operators: Operators) -> Iterator[None]:
    """A record in the middle of the log is gone."""
    yield from _with(operators, [*_RECORDS[:4], *_RECORDS[5:]])


@fault.count(TOPIC)
def topic_emptied(operators: Operators) -> Iterator[None]:
    """The topic was made again, and is empty."""
    reach = operators.kafka
    with undone(lambda: _write(operators, _RECORDS)):
        with Admin(reach) as admin:
            admin.delete(TOPIC, reach.start())
            admin.create(TOPIC, _SHAPE, reach.start())
        yield


@fault.content(TOPIC)
def records_in_another_order(operators: Operators) -> Iterator[None]:
    """Two records of a partition have changed places."""
    yield from _with(operators, [_RECORDS[2], _RECORDS[1], _RECORDS[0], *_RECORDS[3:]])


@fault.content(TOPIC)
def record_twice(operators: Operators) -> Iterator[None]:
    """A record is there twice, as after a producer that tried again: those behind it moved on."""
    yield from _with(operators, [*_RECORDS[:5], *_RECORDS[4:]])


@fault.content(TOPIC)
def record_in_another_partition(operators: Operators) -> Iterator[None]:
    """A record is in another partition, as after a change of how keys are spread."""
    yield from _changed(operators, partition=1)


@fault.content(TOPIC)
def value_changed(operators: Operators) -> Iterator[None]:
    """The value of a record is another of the same length."""
    yield from _changed(operators, value=_text("joB 4"))


@fault.content(TOPIC)
def key_became_empty(operators: Operators) -> Iterator[None]:
    """A record has an empty key."""
    yield from _changed(operators, key="")


@fault.content(TOPIC)
def header_lost(operators: Operators) -> Iterator[None]:
    """A record has lost its header."""
    yield from _changed(operators, headers=[])


@fault.content(TOPIC)
def time_changed(operators: Operators) -> Iterator[None]:
    """A record is a millisecond younger."""
    yield from _changed(operators, timestamp=(CREATED, 1_700_000_000_005))


@fault.schema(TOPIC)
def partition_added(operators: Operators) -> Iterator[None]:
    """The topic has one more partition: keys go to others from now on."""
    yield from _with(operators, _RECORDS, _SHAPE.model_copy(update={"partitions": PARTITIONS + 1}))


@fault.schema(TOPIC)
def retention_changed(operators: Operators) -> Iterator[None]:
    """The topic keeps its records for another time."""
    shape = _SHAPE.model_copy(update={"configuration": {"retention.ms": "9000000000000"}})
    yield from _with(operators, _RECORDS, shape)


@fault.left_over()
def topic_left(operators: Operators) -> Iterator[None]:
    """A topic of the migration is still there."""
    reach, left = operators.kafka, "faults_left"
    with Admin(reach) as admin, undone(lambda: admin.delete(left, reach.start())):
        admin.create(left, _SHAPE, reach.start())
        yield


def _standing(operators: Operators, offset: int) -> Iterator[None]:
    with undone(lambda: _set_offsets(operators)):
        with Admin(operators.kafka) as admin:
            admin.set_offsets(GROUP, {TOPIC: {"0": offset}})
        yield


@fault.positions()
def offset_reset(operators: Operators) -> Iterator[None]:
    """A group stands at the beginning, and will read all of it again."""
    yield from _standing(operators, 0)


@fault.positions()
def offset_beyond_the_end(operators: Operators) -> Iterator[None]:
    """A group stands behind the end, and will skip what comes."""
    yield from _standing(operators, 900)


@fault.positions()
def group_lost(operators: Operators) -> Iterator[None]:
    """A group is gone with all of its offsets."""
    with undone(lambda: _set_offsets(operators)):
        with Admin(operators.kafka) as admin:
            _delete_group(admin)
        yield
