"""What a Kafka broker is told to do: topics, configuration, offsets of groups, records."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
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
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewTopic,
    ResourceType,
)
from pydantic import BaseModel, ConfigDict

from fixtures.errors import ActionFailed
from fixtures.stores.kafka import failed, settings, translated
from fixtures.stores.reach import Countdown, Reach
from rollback_actions.stores.kafka_records import Record

# By topic, the committed offset of each partition. Partitions are text: JSON has no other keys.
GroupOffsets = dict[str, dict[str, int]]
POLL_SECONDS = 0.2
SESSION_MILLISECONDS = 6000
JOIN_SECONDS = 60.0
IDLE = frozenset({ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD})


class Topic(BaseModel):
    """What a topic is made with. `configuration` is what was set for it, not what it inherits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partitions: int
    replication: int
    configuration: dict[str, str]


class Admin:
    """Changes topics and groups of one broker. Raises `Unverifiable` and `ActionFailed`."""

    def __init__(self, reach: Reach) -> None:
        """Connect lazily; `reach.deadline` holds for each call."""
        self._reach = reach
        self._client = AdminClient(settings(reach))

    def groups(self, patterns: Iterable[str]) -> list[str]:
        """Return the groups that a shell-style pattern chooses, sorted."""
        patterns = tuple(patterns)
        if not patterns:
            return []
        answer = self._client.list_consumer_groups(request_timeout=self._reach.deadline)
        names = [group.group_id for group in self._result(answer, "the groups").valid]
        return sorted(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))

    def expect_idle(self, groups: Sequence[str], topics: Iterable[str], seconds: float) -> None:
        """Wait until no group that reads `topics` has a member; else `ActionFailed` after `seconds`.

        On a broker that does not name members, joining a group to find out takes longer.
        """
        for group in groups:
            if self._unclear(group):
                self._join_and_leave(group, [topic for topic in topics if self._present(topic)])
        end = time.monotonic() + seconds
        while busy := [group for group in groups if self._state(group) not in IDLE]:
            if time.monotonic() > end:
                raise self._wrong(
                    f"groups {', '.join(busy)}",
                    expected="no members",
                    observed=", ".join(f"{group} {self._state(group).name}" for group in busy),
                    hint="stop the consumers first; one that was killed is a member until its session ends, "
                    "and on some brokers until a new one has joined and left",
                )
            time.sleep(POLL_SECONDS)

    def offsets(self, group: str, topics: Iterable[str]) -> GroupOffsets:
        """Return the committed offsets of `group` in `topics`."""
        request = [ConsumerGroupTopicPartitions(group)]
        answers = self._client.list_consumer_group_offsets(request, request_timeout=self._reach.deadline)
        found: GroupOffsets = {}
        for place in self._result(answers[group], f"the offsets of group {group}").topic_partitions:
            if place.error is not None:
                raise failed(self._reach, f"the offset of group {group} in {place.topic}", place.error)
            if place.topic in topics and place.offset >= 0:
                found.setdefault(place.topic, {})[str(place.partition)] = place.offset
        return found

    def set_offsets(self, group: str, wanted: GroupOffsets) -> None:
        """Set the committed offsets of `group`, and see that they are set."""
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
        observed = self.offsets(group, wanted)
        wrong = {topic: observed.get(topic, {}) for topic in wanted if not _within(wanted, observed, topic)}
        if refused or wrong:
            raise self._wrong(
                f"offsets of group {group}",
                expected=wanted,
                observed="; ".join(sorted({place.error.str() for place in refused})) or wrong,
                hint="a group's offsets can be set only while it has no member: stop its consumers",
            )

    def describe(self, topic: str) -> Topic:
        """Return partitions, replication and what is configured for the topic itself."""
        with translated(self._reach, f"metadata of {topic}"):
            metadata = self._client.list_topics(topic, timeout=self._reach.deadline).topics[topic]
        if metadata.error is not None:
            raise failed(self._reach, f"metadata of {topic}", metadata.error)
        resource = ConfigResource(ResourceType.TOPIC, topic)
        answers = self._client.describe_configs([resource], request_timeout=self._reach.deadline)
        entries: list[Any] = list(self._result(answers[resource], f"configuration of {topic}").values())
        # A broker that names no inherited value tells only what was set, though it may call that default.
        only_set = not any(entry.synonyms for entry in entries)
        return Topic(
            partitions=len(metadata.partitions),
            replication=min((len(each.replicas) for each in metadata.partitions.values()), default=1) or 1,
            configuration={
                entry.name: entry.value
                for entry in sorted(entries, key=lambda entry: str(entry.name))
                if (only_set or entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value)
                and entry.value is not None
            },
        )

    def configure(self, topic: str, *, observed: Topic, wanted: Topic) -> None:
        """Set what is configured for the topic to what `wanted` has."""
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
            raise self._wrong(
                f"configuration of topic {topic}",
                expected=wanted.configuration,
                observed=found,
                hint="set it by hand, then restore again",
            )

    def delete(self, topic: str, countdown: Countdown) -> None:
        """Delete the topic, if it is there, and wait until it is gone."""
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
                # A deletion goes on in the background after the topic has left the metadata.
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise failed(self._reach, f"creation of {topic}", error) from None
                time.sleep(POLL_SECONDS)
        while not self._present(topic) or self.describe(topic).partitions != shape.partitions:
            countdown.left()
            time.sleep(POLL_SECONDS)
        self.configure(topic, observed=self.describe(topic), wanted=shape)

    def produce(self, topic: str, records: Iterable[Record], countdown: Countdown) -> None:
        """Append `records` to their partitions, in order, each acknowledged by every replica in sync."""
        refused: list[KafkaError] = []

        def acknowledge(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                refused.append(error)

        producer = Producer(
            settings(self._reach)
            # One producer, retried without doubles; a record may be as large as the topic allows.
            | {"acks": "all", "enable.idempotence": True, "message.max.bytes": 100_000_000, "linger.ms": 20}
        )
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
            raise self._wrong(
                f"records of topic {topic}",
                expected=f"{count} acknowledged",
                observed=f"{left} without an answer, {len(refused)} refused: "
                f"{'; '.join(sorted({error.str() for error in refused})) or 'no reason given'}",
                hint="the topic is incomplete now: restore again",
            )

    def _present(self, topic: str) -> bool:
        with translated(self._reach, "metadata"):
            return topic in self._client.list_topics(timeout=self._reach.deadline).topics

    def _state(self, group: str) -> Any:  # noqa: ANN401 - the library's enumeration
        answers = self._client.describe_consumer_groups([group], request_timeout=self._reach.deadline)
        return self._result(answers[group], f"the state of group {group}").state

    def _unclear(self, group: str) -> bool:
        """Whether the broker calls the group busy and names no member of it.

        Tansu does, also after the last member has left: it looks again only when somebody comes or goes.
        """
        answers = self._client.describe_consumer_groups([group], request_timeout=self._reach.deadline)
        found = self._result(answers[group], f"the state of group {group}")
        return found.state not in IDLE and not found.members

    def _join_and_leave(self, group: str, topics: list[str]) -> None:
        """Come and go as a member that commits nothing; without a topic there is nothing to come for."""
        # Not cut short: one that leaves before it was taken in stays a member for ever, on that broker.
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

    def _result(self, answer: Any, what: str) -> Any:  # noqa: ANN401 - the library's futures are untyped
        try:
            # The library ends the request at its deadline; the margin lets it say so itself.
            return answer.result(self._reach.deadline + 1)
        except (KafkaException, TimeoutError) as error:
            raise failed(self._reach, what, error) from None

    def _wrong(self, what: str, *, expected: object, observed: object, hint: str) -> ActionFailed:
        return ActionFailed(
            what=f"{self._reach.store}: {what}",
            expected=expected,
            observed=observed,
            source=f"the broker at {self._reach.address}",
            hint=hint,
        )


def _within(
    wanted: Mapping[str, Mapping[str, int]], observed: Mapping[str, Mapping[str, int]], topic: str
) -> bool:
    """Return whether every wanted offset of the topic is there."""
    return wanted[topic].items() <= observed.get(topic, {}).items()
