"""Kafka, read side: records are counted by reading the log.

A count is the number of records between the retained range's start and end. It is not a difference of
offsets: compaction and transactions make that too large, and a broker on object storage has reported it too
small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rollproof.stores.contract import Answer, Retention
from rollproof.stores.kafka.broker import Broker
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.kafka.upkeep import retention_of
from rollproof.stores.reach import Readable, StoreReader

# Records that `ask` reads at most: enough to show that the log holds any.
ASK_RECORDS = 100


class View(StoreReader[KafkaProfile]):
    """Read-only view of the topics of one broker. See `StoreView`."""

    kind = "kafka"

    def ask(self) -> Answer:
        """Read from the first topic that holds a record, or from the last if all are empty."""
        countdown = self._reach.start()
        with Broker(self._reach) as broker:
            topics = broker.topics(self._profile.topics)
            if not topics:
                raise self._reach.failed(
                    "none",
                    expected=f"a topic that matches {', '.join(self._profile.topics)}",
                    hint="a query can only touch data where there is some: check `topics` in the profile",
                )
            for topic, count in topics.items():
                reading = broker.every_record({topic: count}, countdown)
                records = sum(1 for _ in zip(range(ASK_RECORDS), reading, strict=False))
                if records:
                    break
            return Answer(
                query=f"read of up to {ASK_RECORDS} records",
                collection=topic,
                records=records,
                server=f"Kafka cluster {broker.cluster()}",
            )

    def counts(self) -> Mapping[str, int]:
        """Return the number of readable records by topic; one deadline holds for all."""
        with Broker(self._reach) as broker:
            return self._counts(broker, broker.topics(self._profile.topics))

    def collections(self) -> Sequence[str]:
        """Return the topics. See `CollectionsView`."""
        with Broker(self._reach) as broker:
            return list(broker.topics(self._profile.topics))

    def count(self, collection: str) -> int:
        """Return the number of readable records of one topic. See `CollectionsView`."""
        with Broker(self._reach) as broker:
            topics = {collection: len(broker.topic(collection).partitions)}
            return self._counts(broker, topics)[collection]

    def _counts(self, broker: Broker, topics: Mapping[str, int]) -> Mapping[str, int]:
        found = Counter(record.topic for record in broker.every_record(topics, self._reach.start()))
        return {topic: found[topic] for topic in topics}


def brokers(readable: Readable[KafkaProfile]) -> list[str]:
    """Return the brokers, as ``host:port``, to which clients of this process connect."""
    with Broker(readable.reach) as broker:
        return sorted(broker.brokers().values())


def holdings(readable: Readable[KafkaProfile]) -> dict[str, Any]:
    """Return the topics, the broker's own apart, and the groups. See `Recognition.holdings`."""
    with Broker(readable.reach) as broker:
        return {"topics": broker.names(["*"]) or ["*"], "groups": broker.groups(["*"])}


def retentions(readable: Readable[KafkaProfile]) -> Mapping[str, Retention | None]:
    """Return the retention by topic, or None if the broker does not tell it. See `Descriptor.retentions`."""
    with Broker(readable.reach) as broker:
        topics = broker.names(readable.profile.topics)
        return {topic: retention_of(broker.configuration(topic, own=False)) for topic in topics}
