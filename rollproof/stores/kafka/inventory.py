"""A Kafka broker's facts about topics and groups: configuration, committed offsets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    ConfigSource,
    ResourceType,
)

from rollproof.collection import Json
from rollproof.stores.contract import Retention
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.kafka.relay import way_to
from rollproof.stores.kafka.upkeep import Upkeep, upkeep_of
from rollproof.stores.kafka.view import (
    Log,
    Partition,
    failed,
    partitions_of,
    settings,
    translated,
    without_offset,
)
from rollproof.stores.policy import chosen
from rollproof.stores.reach import Reach, Readable


class Inventory:
    """Asks one broker, read-only, in a `with` statement; `reach.deadline` holds for each question.

    The client is closed at the end of that statement, and never left to the garbage collector. A collection
    that begins on the client's own thread ends the process ("rd_kafka_destroy() called from librdkafka owned
    thread", confluent-kafka 2.16).
    """

    def __init__(self, reach: Reach, way: str | None = None) -> None:
        """Connect lazily. See `settings` for `way`."""
        self._reach = reach
        self._client = AdminClient(settings(reach, way))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.__exit__(None, None, None)

    def schema(self, topic: str) -> dict[str, Json]:
        """Return the topic's partitions, its own configuration, and its replication.

        With a single broker, replication means nothing and is left out.
        """
        cluster = self._cluster(topic)
        metadata = cluster.topics[topic]
        found: dict[str, Json] = {
            "partitions": partitions_of(self._reach, metadata),
            "configuration": dict(self.configuration(topic, own=True)),
        }
        if len(cluster.brokers) > 1:
            found["replication"] = min(len(each.replicas) for each in metadata.partitions.values())
        return found

    def configuration(self, topic: str, *, own: bool) -> dict[str, str]:
        """Return the topic's configuration: only its `own`, or with inherited values if the broker tells."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        answers = self._client.describe_configs([resource], request_timeout=self._reach.deadline)
        entries: list[Any] = list(self._result(answers[resource], f"configuration of {topic}").values())
        # A broker that names no inherited value tells only set values, though it may call them defaults.
        only_set = not any(entry.synonyms for entry in entries)
        return {
            entry.name: entry.value
            for entry in sorted(entries, key=lambda entry: str(entry.name))
            if entry.value is not None
            and (not own or only_set or entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value)
        }

    def upkeep(self, topic: str) -> Upkeep:
        """Return what the broker removes from the topic by itself."""
        return upkeep_of(self.configuration(topic, own=False))

    def groups(self, patterns: Iterable[str]) -> list[str]:
        """Return the groups that match a shell-style pattern, sorted."""
        patterns = tuple(patterns)
        if not patterns:
            return []
        answer = self._client.list_consumer_groups(request_timeout=self._reach.deadline)
        return chosen((group.group_id for group in self._result(answer, "the groups").valid), patterns)

    def committed(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the offsets that `group` has committed in `partitions`.

        Each is asked for by name, so that the broker has to say so where there is none.
        """
        wanted = [TopicPartition(*partition) for partition in partitions]
        if not wanted:
            return {}
        request = [ConsumerGroupTopicPartitions(group, wanted)]
        answers = self._client.list_consumer_group_offsets(request, request_timeout=self._reach.deadline)
        found: dict[Partition, int] = {}
        for place in self._result(answers[group], f"the offsets of group {group}").topic_partitions:
            if place.error is not None:
                raise failed(self._reach, f"the offset of group {group} in {place.topic}", place.error)
            found[place.topic, place.partition] = place.offset
        for asked in wanted:
            if (asked.topic, asked.partition) not in found:
                raise without_offset(self._reach, (asked.topic, asked.partition))
        # A negative one says that the group has committed none.
        return {partition: offset for partition, offset in sorted(found.items()) if offset >= 0}

    def _cluster(self, topic: str) -> ClusterMetadata:
        """Return the metadata of the brokers and the existing `topic`."""
        with translated(self._reach, f"metadata of {topic}"):
            cluster = self._client.list_topics(topic, timeout=self._reach.deadline)
        if topic not in cluster.topics:
            raise self._reach.failed("none", expected=f"metadata of {topic}")
        return cluster

    def _result(self, answer: Any, what: str) -> Any:  # noqa: ANN401 - the library's futures are untyped
        with translated(self._reach, what):
            # The library ends the request at its deadline; the margin lets its own error arrive.
            return answer.result(self._reach.deadline + 1)


def holdings(readable: Readable[KafkaProfile]) -> dict[str, Any]:
    """Return the topics, the broker's own apart, and the groups. See `Recognition.holdings`."""
    way = way_to(readable.reach)
    with Log(readable.reach, way) as log, Inventory(readable.reach, way) as inventory:
        return {"topics": log.names(["*"]) or ["*"], "groups": inventory.groups(["*"])}


def retentions(readable: Readable[KafkaProfile]) -> Mapping[str, Retention | None]:
    """Return the retention by topic, or None if the broker does not tell it. See `Descriptor.retentions`."""
    way = way_to(readable.reach)
    with Log(readable.reach, way) as log, Inventory(readable.reach, way) as inventory:
        topics = log.topics(readable.profile.topics)
        return {topic: _retention(inventory.configuration(topic, own=False)) for topic in topics}


def _retention(configuration: Mapping[str, str]) -> Retention | None:
    if "retention.ms" not in configuration:
        return None
    upkeep = upkeep_of(configuration)
    return Retention(
        seconds=None if upkeep.milliseconds is None else upkeep.milliseconds / 1000,
        size=upkeep.size,
        compacted=upkeep.compacted,
    )
