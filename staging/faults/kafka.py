"""Faults of Kafka, in the faults' own topic: a log cannot be changed, so it is made again each time.

For phase 4, a topic with the same records is the same, wherever its offsets begin.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import partial

from kafka.protocol.admin import DeleteGroupsRequest

from rollproof.stores.kafka.admin import Admin, Topic
from rollproof.stores.kafka.records import CREATED, Record
from staging.faults.fault import Fault, Inject, both
from staging.target.operators import Operators

TOPIC, GROUP, LEFT = "faults_jobs", "faults_readers", "faults_left"
PARTITIONS = 2
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


def plant(operators: Operators) -> None:
    """Make the faults' own topic, and a group that has read a part of it, whatever became of them."""
    _write(operators, _RECORDS)


def remove(operators: Operators) -> None:
    """Remove the faults' own topic and group."""
    with Admin(operators.kafka) as admin:
        admin.delete(TOPIC, operators.kafka.start())
    _delete_group(operators)


def _delete_group(operators: Operators) -> None:
    with Admin(operators.kafka) as admin:
        if admin.groups([GROUP]):
            request, node = DeleteGroupsRequest(groups_names=[GROUP]), admin.coordinator(GROUP)
            for answer in admin.ask(request, f"deletion of group {GROUP}", node).results:
                admin.expect(answer.error_code, f"deletion of group {GROUP}")


def _stand(operators: Operators, **offsets: int) -> None:
    with Admin(operators.kafka) as admin:
        admin.set_offsets(GROUP, {TOPIC: {"0": 3, "1": 2, **offsets}})


def _write(operators: Operators, records: Sequence[Record], shape: Topic = _SHAPE) -> None:
    reach = operators.kafka
    with Admin(reach) as admin:
        admin.delete(TOPIC, reach.start())
        admin.create(TOPIC, shape, reach.start())
        admin.produce(TOPIC, records, reach.start())
    _stand(operators)


def _with(records: Sequence[Record], **shape: object) -> Inject:
    return both(
        lambda operators: _write(operators, records, _SHAPE.model_copy(update=shape)),
        lambda operators: _write(operators, _RECORDS),
    )


def _one(**changes: object) -> Inject:
    return _with([*_RECORDS[:4], _RECORDS[4].model_copy(update=changes), *_RECORDS[5:]])


def _create_left(operators: Operators) -> None:
    with Admin(operators.kafka) as admin:
        admin.create(LEFT, _SHAPE, operators.kafka.start())


def _delete_left(operators: Operators) -> None:
    with Admin(operators.kafka) as admin:
        admin.delete(LEFT, operators.kafka.start())


_fault = partial(Fault, "kafka")
FAULTS = (
    _fault("record lost", "content", TOPIC, _with([*_RECORDS[:4], *_RECORDS[5:]])),
    _fault("topic emptied", "count", TOPIC, _with([])),
    _fault(
        "records in another order", "content", TOPIC, _with([_RECORDS[2], *_RECORDS[1::-1], *_RECORDS[3:]])
    ),
    # As after a producer that tried again: those behind it moved on.
    _fault("record twice", "content", TOPIC, _with([*_RECORDS[:5], *_RECORDS[4:]])),
    _fault("record in another partition", "content", TOPIC, _one(partition=1)),
    _fault("value changed", "content", TOPIC, _one(value=_text("joB 4"))),
    _fault("key became empty", "content", TOPIC, _one(key="")),
    _fault("header lost", "content", TOPIC, _one(headers=[])),
    _fault("time changed", "content", TOPIC, _one(timestamp=(CREATED, 1_700_000_000_005))),
    _fault("partition added", "schema", TOPIC, _with(_RECORDS, partitions=PARTITIONS + 1)),
    _fault(
        "retention changed", "schema", TOPIC, _with(_RECORDS, configuration={"retention.ms": "9000000000000"})
    ),
    _fault("topic left", "collection left", "", both(_create_left, _delete_left)),
    _fault("offset reset", "positions", "", both(lambda o: _stand(o, **{"0": 0}), _stand)),
    _fault("offset beyond the end", "positions", "", both(lambda o: _stand(o, **{"0": 900}), _stand)),
    _fault("group lost", "positions", "", both(_delete_group, _stand)),
)
