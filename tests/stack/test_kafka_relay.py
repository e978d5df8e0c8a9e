"""A broker that sends its clients to a name of the project's network, worked with from the host."""

from __future__ import annotations

import uuid

from rollproof.engines.engine import ContainerEngine
from rollproof.profile.sections import Address
from rollproof.stores.kafka.relay import named_brokers
from rollproof.stores.kafka.view import Log, beginnings
from rollproof.stores.reach import NOBODY, Reach
from tests.stack.kafka_scratch import SECONDS, Scratch

RECORDS, PARTITIONS = 40, 3


def test_a_broker_that_names_an_inside_address_is_written_read_and_committed_to(
    engine: ContainerEngine,
) -> None:
    endpoint = engine.resolve(Address(service="kafka", port=9092))
    reach = Reach("kafka", endpoint, NOBODY, SECONDS)
    assert named_brokers(reach) == [("kafka", 9092)]
    scratch = Scratch(reach, f"relay-{uuid.uuid4().hex[:8]}-")
    scratch.create(scratch.topic, PARTITIONS)
    try:
        scratch.produce(scratch.topic, RECORDS, PARTITIONS)
        with Log(reach) as log:
            found = list(log.records(beginnings({scratch.topic: PARTITIONS}), reach.start()))
        assert len(found) == RECORDS
        # Offsets are kept by the group's coordinator, which is found in another way.
        scratch.commit(scratch.topic, {0: 2})
    finally:
        scratch.delete(scratch.topic)
