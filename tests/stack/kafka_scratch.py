"""A test's own topics, and their records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kafka.protocol.admin import DeleteGroupsRequest

from rollproof.stores.kafka.admin import Admin
from rollproof.stores.kafka.broker import Broker, Topic, partitions_in
from rollproof.stores.kafka.records import CREATED, Record
from rollproof.stores.reach import Reach

SECONDS = 60.0
Headers = Iterable[tuple[str, bytes | None]]


def made_record(
    partition: int,
    key: bytes | None,
    value: bytes | None,
    headers: Headers = (),
    milliseconds: int = 1_700_000_000_000,
) -> Record:
    """Return a record to produce."""
    return Record(partition, 0, (CREATED, milliseconds), key, value, list(headers))


class Scratch:
    """What a test does to a broker; all names begin with `name`."""

    def __init__(self, reach: Reach, name: str) -> None:
        self.reach = reach
        self.name = name
        self.topic = f"{name}jobs"
        self.group = f"{name}workers"

    def create(self, topic: str, partitions: int, configuration: Mapping[str, str] | None = None) -> None:
        shape = Topic(partitions=partitions, replication=1, configuration=dict(configuration or {}))
        with Admin(self.reach) as admin:
            admin.create(topic, shape, self.reach.start())

    def delete(self, topic: str) -> None:
        with Admin(self.reach) as admin:
            admin.delete(topic, self.reach.start())

    def append(self, topic: str, records: Iterable[Record]) -> None:
        with Admin(self.reach) as admin:
            # Partition by partition, as a backup has them: a request has records of one.
            ordered = sorted(records, key=lambda one: one.partition)
            admin.produce(topic, ordered, self.reach.start())

    def produce(self, topic: str, count: int, partitions: int, word: str = "job") -> None:
        """Append `count` records, of every shape that a record can have, round the partitions."""
        self.append(
            topic,
            (
                made_record(
                    number % partitions,
                    None if number % 5 == 0 else f"{word} {number}".encode(),
                    None if number % 7 == 0 else bytes([number % 256, 0, 255]) * (number % 40),
                    [("a", b"\xff"), ("a", None), ("b", b"")] if number % 3 == 0 else (),
                    1_700_000_000_000 + number,
                )
                for number in range(count)
            ),
        )

    def commit(self, topic: str, offsets: Mapping[int, int]) -> None:
        wanted = {(topic, partition): offset for partition, offset in offsets.items()}
        with Admin(self.reach) as admin:
            admin.set_offsets(self.group, wanted)

    def offsets(self) -> dict[tuple[str, int], int]:
        with Admin(self.reach) as admin:
            return admin.committed(self.group, partitions_in(admin.topics(["*"])))

    def delete_group(self) -> None:
        with Admin(self.reach) as admin:
            node, request = admin.coordinator(self.group), DeleteGroupsRequest(groups_names=[self.group])
            for answer in admin.ask(request, "deletion", node).results:
                admin.expect(answer.error_code, "deletion")

    def topics(self) -> dict[str, int]:
        with Broker(self.reach) as broker:
            return broker.topics([f"{self.name}*"])

    def records(self, topic: str) -> dict[int, list[Any]]:
        """Return all that a reader can see of each record, by partition and in order."""
        found: dict[int, list[Any]] = {}
        with Broker(self.reach) as broker:
            for m in broker.every_record(broker.topics([topic]), self.reach.start()):
                record = (m.offset, m.timestamp_type, m.timestamp, m.key, m.value, m.headers)
                found.setdefault(m.partition, []).append(record)
        return found

    def clear(self) -> None:
        for topic in self.topics():
            self.delete(topic)
