"""A test's own topics, and their records."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from rollproof.stores.kafka.view import Log, beginnings, settings
from rollproof.stores.reach import Reach

SECONDS = 60.0


class Scratch:
    """What a test does to a broker; all names begin with `name`."""

    def __init__(self, reach: Reach, name: str) -> None:
        self.reach = reach
        self.name = name
        self.topic = f"{name}jobs"
        self.group = f"{name}workers"
        self.admin = AdminClient(settings(reach))

    def create(self, topic: str, partitions: int, configuration: Mapping[str, str] | None = None) -> None:
        new = NewTopic(topic, partitions, 1, config=dict(configuration or {}))
        self.admin.create_topics([new], request_timeout=SECONDS)[topic].result(SECONDS)
        self.wait_for(topic, present=True)

    def delete(self, topic: str) -> None:
        self.admin.delete_topics([topic], request_timeout=SECONDS)[topic].result(SECONDS)
        self.wait_for(topic, present=False)

    def wait_for(self, topic: str, *, present: bool) -> None:
        end = time.monotonic() + SECONDS
        while (topic in self.admin.list_topics(timeout=SECONDS).topics) != present:
            assert time.monotonic() < end, f"{topic} after {SECONDS} s"
            time.sleep(0.05)

    def produce(self, topic: str, count: int, partitions: int, word: str = "job") -> None:
        """Append `count` records, of every shape that a record can have, round the partitions."""
        # A producer of its own each time: one that outlives its topic would go on with the old one.
        producer = Producer(settings(self.reach) | {"linger.ms": 5})
        for number in range(count):
            producer.produce(
                topic,
                key=None if number % 5 == 0 else f"{word} {number}".encode(),
                value=None if number % 7 == 0 else bytes([number % 256, 0, 255]) * (number % 40),
                partition=number % partitions,
                timestamp=1_700_000_000_000 + number,
                headers=[("a", b"\xff"), ("a", None), ("b", b"")] if number % 3 == 0 else None,
            )
        assert producer.flush(SECONDS) == 0

    def commit(self, topic: str, offsets: Mapping[int, int]) -> None:
        places = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        request = [ConsumerGroupTopicPartitions(self.group, places)]
        answers = self.admin.alter_consumer_group_offsets(request, request_timeout=SECONDS)
        assert all(place.error is None for place in answers[self.group].result(SECONDS).topic_partitions)

    def offsets(self) -> dict[tuple[str, int], int]:
        request = [ConsumerGroupTopicPartitions(self.group)]
        answers = self.admin.list_consumer_group_offsets(request, request_timeout=SECONDS)
        places = answers[self.group].result(SECONDS).topic_partitions
        return {(place.topic, place.partition): place.offset for place in places if place.offset >= 0}

    def topics(self) -> dict[str, int]:
        with Log(self.reach) as log:
            return log.topics([f"{self.name}*"])

    def records(self, topic: str) -> dict[int, list[Any]]:
        """Return all that a reader can see of each record, by partition and in order."""
        found: dict[int, list[Any]] = {}
        with Log(self.reach) as log:
            for m in log.records(beginnings(log.topics([topic])), self.reach.start()):
                record = (m.offset(), m.timestamp(), m.key(), m.value(), m.headers())
                found.setdefault(m.partition(), []).append(record)
        return found

    def clear(self) -> None:
        for topic in self.topics():
            self.delete(topic)
