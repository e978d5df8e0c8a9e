"""Changes to a Kafka broker: topics, configuration, offsets of groups, records."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from rollproof.profile.sections import Model
from rollproof.stores.kafka.inventory import Inventory
from rollproof.stores.kafka.records import Record
from rollproof.stores.kafka.view import Partition, failed, partitions_of, settings, translated
from rollproof.stores.reach import Countdown
from rollproof.stores.writable import action_failed

# By topic, the committed offset of each partition. Partitions are text: JSON has no other keys.
GroupOffsets = dict[str, dict[str, int]]
POLL_SECONDS = 0.2
SESSION_MILLISECONDS = 6000
JOIN_SECONDS = 60.0
IDLE = frozenset({ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD})


class Topic(Model):
    """The properties that a topic is created with. `configuration` omits inherited settings."""

    partitions: int
    replication: int
    configuration: dict[str, str]


class Admin(Inventory):
    """Also changes the topics and groups of one broker. Raises `Unverifiable` and `ActionFailed`."""

    def expect_idle(self, groups: Sequence[str], topics: Iterable[str], seconds: float) -> None:
        """Wait until no group that reads `topics` has a member; raise `ActionFailed` after `seconds`.

        With a broker that does not name members, this takes longer: it joins the group to find out.
        """
        for group in groups:
            if self._unclear(group):
                self._join_and_leave(group, [topic for topic in topics if self._present(topic)])
        end = time.monotonic() + seconds
        while busy := [group for group in groups if self._state(group) not in IDLE]:
            if time.monotonic() > end:
                raise action_failed(
                    self._reach,
                    f"groups {', '.join(busy)}",
                    expected="no members",
                    observed=", ".join(f"{group} {self._state(group).name}" for group in busy),
                    hint="stop the consumers first. One that was killed is a member until its session ends, "
                    "and on some brokers until a new one has joined and left",
                )
            time.sleep(POLL_SECONDS)

    def offsets(self, group: str, topics: Mapping[str, int]) -> GroupOffsets:
        """Return the committed offsets of `group` in `topics`, which have so many partitions."""
        every = ((topic, number) for topic, count in topics.items() for number in range(count))
        return _by_topic(self.committed(group, every))

    def set_offsets(self, group: str, wanted: GroupOffsets) -> None:
        """Set the committed offsets of `group`, and check that they are set."""
        places = [
            TopicPartition(topic, int(partition), offset)
            for topic, partitions in wanted.items()
            for partition, offset in partitions.items()
        ]
        if not places:
            return
        request = [ConsumerGroupTopicPartitions(group, places)]
        answers = self._client.alter_consumer_group_offsets(request, request_timeout=self._reach.deadline)
        answer = self._result(answers[group], f"new offsets of group {group}")
        refused = [place for place in answer.topic_partitions if place.error is not None]
        observed: GroupOffsets = {}
        if not refused:
            observed = _by_topic(self.committed(group, [(place.topic, place.partition) for place in places]))
        wrong = {topic: observed.get(topic, {}) for topic in wanted if not _within(wanted, observed, topic)}
        if wrong:
            raise action_failed(
                self._reach,
                f"offsets of group {group}",
                expected=wanted,
                observed="; ".join(sorted({place.error.str() for place in refused})) or wrong,
                hint="a group's offsets can be set only while it has no member: stop its consumers",
            )

    def describe(self, topic: str) -> Topic:
        """Return the topic's partitions, replication and own configuration."""
        metadata = self._cluster(topic).topics[topic]
        return Topic(
            partitions=partitions_of(self._reach, metadata),
            replication=min((len(each.replicas) for each in metadata.partitions.values()), default=1) or 1,
            configuration=self.configuration(topic, own=True),
        )

    def configure(self, topic: str, *, observed: Topic, wanted: Topic) -> None:
        """Set the topic's own configuration to that in `wanted`."""
        changes = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in wanted.configuration.items()
            if observed.configuration.get(name) != value
        ] + [
            ConfigEntry(name, None, incremental_operation=AlterConfigOpType.DELETE)
            for name in observed.configuration.keys() - wanted.configuration.keys()
        ]
        if not changes:
            return
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=changes)
        answers = self._client.incremental_alter_configs([resource], request_timeout=self._reach.deadline)
        for answer in answers.values():
            self._result(answer, f"configuration of {topic}")
        found = self.describe(topic).configuration
        if found != wanted.configuration:
            raise action_failed(
                self._reach,
                f"configuration of topic {topic}",
                expected=wanted.configuration,
                observed=found,
                hint="set it by hand, then restore again",
            )

    def delete(self, topic: str, countdown: Countdown) -> None:
        """Delete the topic, if it exists, and wait until it is gone."""
        if not self._present(topic):
            return
        answers = self._client.delete_topics([topic], request_timeout=self._reach.deadline)
        self._result(answers[topic], f"deletion of {topic}")
        while self._present(topic):
            countdown.left()
            time.sleep(POLL_SECONDS)

    def create(self, topic: str, shape: Topic, countdown: Countdown) -> None:
        """Create the topic and wait until it has its partitions."""
        new = NewTopic(topic, shape.partitions, shape.replication, config=shape.configuration)
        while True:
            countdown.left()
            answers = self._client.create_topics([new], request_timeout=self._reach.deadline)
            try:
                answers[topic].result(self._reach.deadline)
                break
            except KafkaException as error:
                # A deletion continues in the background after the topic has left the metadata.
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise failed(self._reach, f"creation of {topic}", error) from None
                time.sleep(POLL_SECONDS)
        while self._count(topic) != shape.partitions:
            countdown.left()
            time.sleep(POLL_SECONDS)
        self.configure(topic, observed=self.describe(topic), wanted=shape)

    def produce(self, topic: str, records: Iterable[Record], countdown: Countdown) -> None:
        """Append `records` to their partitions, in order, each acknowledged by every replica in sync."""
        refused: list[KafkaError] = []

        def acknowledge(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                refused.append(error)

        producer = self.producer(linger_milliseconds=20)
        count = 0
        for record in records:
            while True:
                try:
                    producer.produce(topic, on_delivery=acknowledge, **record.message())
                    break
                except BufferError:
                    countdown.left()
                    producer.poll(POLL_SECONDS)
            count += 1
            producer.poll(0)
        left = producer.flush(countdown.left())
        if left or refused:
            raise action_failed(
                self._reach,
                f"records of topic {topic}",
                expected=f"{count} acknowledged",
                observed=f"{left} without an answer, {len(refused)} refused: "
                f"{'; '.join(sorted({error.str() for error in refused})) or 'no reason given'}",
                hint="the topic is incomplete now: restore again",
            )

    def producer(self, *, linger_milliseconds: int = 0) -> Producer:
        """Return a producer whose retries make no duplicates, for records as large as a topic allows."""
        return Producer(
            settings(self._reach)
            | {"acks": "all", "enable.idempotence": True, "message.max.bytes": 100_000_000}
            | {"linger.ms": linger_milliseconds}
        )

    def _present(self, topic: str) -> bool:
        return self._count(topic) is not None

    def _count(self, topic: str) -> int | None:
        """Return how many partitions of the topic the broker names, or None if it names no such topic."""
        with translated(self._reach, "metadata"):
            found = self._client.list_topics(timeout=self._reach.deadline).topics.get(topic)
        return None if found is None else len(found.partitions)

    def _state(self, group: str) -> Any:  # noqa: ANN401 - the library's enumeration
        return self._group(group).state

    def _group(self, group: str) -> Any:  # noqa: ANN401 - the library's description
        answers = self._client.describe_consumer_groups([group], request_timeout=self._reach.deadline)
        return self._result(answers[group], f"the state of group {group}")

    def _unclear(self, group: str) -> bool:
        """Return True if the broker calls the group busy but names none of its members.

        Tansu does so even after the last member has left: it looks again only when somebody joins or leaves.
        """
        found = self._group(group)
        return found.state not in IDLE and not found.members

    def _join_and_leave(self, group: str, topics: list[str]) -> None:
        """Join and leave as a member that commits nothing; without a topic there is no reason to join."""
        # Not cut short: on that broker, a member that leaves before it was admitted stays for ever.
        end = time.monotonic() + JOIN_SECONDS
        consumer = Consumer(
            settings(self._reach)
            | {"group.id": group, "enable.auto.commit": False, "session.timeout.ms": SESSION_MILLISECONDS}
        )
        try:
            with translated(self._reach, f"membership of group {group}"):
                if topics:
                    consumer.subscribe(topics)
                while topics and not consumer.assignment() and time.monotonic() < end:
                    consumer.poll(POLL_SECONDS)
        finally:
            consumer.close()


def _by_topic(offsets: Mapping[Partition, int]) -> GroupOffsets:
    found: GroupOffsets = {}
    for (topic, partition), offset in offsets.items():
        found.setdefault(topic, {})[str(partition)] = offset
    return found


def _within(
    wanted: Mapping[str, Mapping[str, int]], observed: Mapping[str, Mapping[str, int]], topic: str
) -> bool:
    """Return True if every wanted offset of the topic is there."""
    return wanted[topic].items() <= observed.get(topic, {}).items()
