"""Changes to a Kafka broker: topics, configuration, offsets of groups, records."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kafka import errors
from kafka.protocol.admin import (
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DescribeGroupsRequest,
    IncrementalAlterConfigsRequest,
)
from kafka.protocol.consumer import JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest
from kafka.protocol.producer import InitProducerIdRequest, ProduceRequest
from kafka.record.memory_records import MemoryRecordsBuilder

from rollproof.errors import listed
from rollproof.stores.kafka.broker import POLL_SECONDS, TOPIC, Broker, Topic, by_topic
from rollproof.stores.kafka.ranges import Partition
from rollproof.stores.kafka.records import Record
from rollproof.stores.keeper import action_failed
from rollproof.stores.reach import Countdown

SESSION_MILLISECONDS, JOIN_SECONDS = 6000, 60.0
# A member that lives is back after the heartbeat that says who else came: every 3 s by default.
HEARTBEAT_SECONDS = 4.0
IDLE = frozenset({"Empty", "Dead"})
# Of the protocol.
SET, DELETE, ALL_REPLICAS = 0, 1, -1
# Of a request's records for one partition; a single larger record is sent all the same.
BATCH_BYTES = 1 << 18
# A topic that was made just now may have no leader yet.
PATIENCE_SECONDS = 10.0


class Admin(Broker):
    """Also changes the topics and groups of one cluster. Raises `Unverifiable` and `ActionFailed`."""

    def expect_idle(self, groups: Sequence[str], seconds: float) -> None:
        """Wait until no group has a member; raise `ActionFailed` after `seconds`."""
        end = time.monotonic() + seconds
        while busy := {group: state for group in groups if (state := self._state(group)) not in IDLE}:
            if time.monotonic() > end:
                raise action_failed(
                    self._reach,
                    f"groups {', '.join(busy)}",
                    expected="no members",
                    observed=", ".join(f"{group} {state}" for group, state in busy.items()),
                    hint="stop the consumers first. One that was killed is a member until its session ends",
                )
            time.sleep(POLL_SECONDS)
            for group in busy:
                members = self._group(group).members
                if members and not any(one.client_host for one in members):
                    self._join_and_leave(group)

    def set_offsets(self, group: str, wanted: Mapping[Partition, int]) -> None:
        """Set the committed offsets of `group`, and check that they are set."""
        if not wanted:
            return
        request = OffsetCommitRequest(
            group_id=group,
            generation_id_or_member_epoch=-1,
            member_id="",
            topics=by_topic(wanted, lambda place: (place[1], wanted[place], -1, "")),
            # Later versions name topics by another id.
            max_version=8,
        )
        answer = self.ask(request, f"new offsets of group {group}", self.coordinator(group))
        codes = {one.error_code for topic in answer.topics for one in topic.partitions}
        observed = self.committed(group, wanted)
        if observed != wanted:
            raise action_failed(
                self._reach,
                f"offsets of group {group}",
                expected=wanted,
                observed=f"{observed} {listed(sorted(errors.for_code(code).__name__ for code in codes))}",
                hint="a group's offsets can be set only while it has no member: stop its consumers",
            )

    def configure(self, topic: str, wanted: Mapping[str, str]) -> None:
        """Set the topic's own configuration to `wanted`."""
        observed = self.configuration(topic, own=True)
        changes: list[tuple[str, int, str | None]] = [
            (name, SET, value) for name, value in wanted.items() if observed.get(name) != value
        ]
        changes += [(name, DELETE, None) for name in observed.keys() - wanted.keys()]
        if not changes:
            return
        what = f"configuration of topic {topic}"
        request = IncrementalAlterConfigsRequest(resources=[(TOPIC, topic, changes)], validate_only=False)
        for answer in self.ask(request, what).responses:
            self.expect(answer.error_code, what, answer.error_message)

    def delete(self, topic: str, countdown: Countdown) -> None:
        """Delete the topic, if it exists, and wait until it is gone."""
        if self._count(topic) is None:
            return
        request = DeleteTopicsRequest(topic_names=[topic], timeout_ms=self._milliseconds, max_version=5)
        (answer,) = self.ask(request, f"deletion of {topic}", self._controller()).responses
        if errors.for_code(answer.error_code) is not errors.UnknownTopicOrPartitionError:
            self.expect(answer.error_code, f"deletion of {topic}", answer.error_message)
        while self._count(topic) is not None:
            time.sleep(min(POLL_SECONDS, countdown.left()))

    def create(self, topic: str, shape: Topic, countdown: Countdown) -> None:
        """Create the topic and wait until it has its partitions."""
        settings = list(shape.configuration.items())
        request = CreateTopicsRequest(
            topics=[(topic, shape.partitions, shape.replication, [], settings)],
            timeout_ms=self._milliseconds,
            validate_only=False,
        )
        while True:
            (answer,) = self.ask(request, f"creation of {topic}", self._controller()).topics
            # A deletion continues in the background after the topic has left the metadata.
            if errors.for_code(answer.error_code) is not errors.TopicAlreadyExistsError:
                break
            time.sleep(min(POLL_SECONDS, countdown.left()))
        self.expect(answer.error_code, f"creation of {topic}", answer.error_message)
        while self._count(topic) != shape.partitions:
            time.sleep(min(POLL_SECONDS, countdown.left()))
        self.configure(topic, shape.configuration)

    def produce(self, topic: str, records: Iterable[Record], countdown: Countdown) -> None:
        """Append `records` to their partitions, in order, each acknowledged by every replica in sync.

        They are numbered, so that what is sent again makes no duplicates. The library's own producer takes no
        record without key and value, and no header without a value.
        """
        request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=self._milliseconds)
        producer = self.ask(request, "the number of a producer", countdown=countdown)
        self.expect(producer.error_code, "the number of a producer")
        sent: Counter[Partition] = Counter()
        place, batch = (topic, -1), None
        for record in records:
            message = record.message()
            if batch is None or record.partition != place[1] or batch.append(*message) is None:
                if batch is not None:
                    self._send(place, batch, countdown)
                    sent[place] += batch.next_offset()
                place = topic, record.partition
                batch = MemoryRecordsBuilder(
                    2,
                    compression_type=0,
                    batch_size=BATCH_BYTES,
                    producer_id=producer.producer_id,
                    producer_epoch=producer.producer_epoch,
                    base_sequence=sent[place] % (1 << 31),
                )
                batch.append(*message)
        if batch is not None:
            self._send(place, batch, countdown)

    def _send(self, place: Partition, batch: MemoryRecordsBuilder, countdown: Countdown) -> None:
        """Send a partition's batch until it is acknowledged."""
        batch.close()
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            ((node, _),) = self.led([place], countdown).items()
            request = ProduceRequest(
                transactional_id=None,
                acks=ALL_REPLICAS,
                timeout_ms=int(countdown.left() * 1000),
                topic_data=[(place[0], [(place[1], batch.buffer())])],
                # Later versions name topics by another id.
                max_version=12,
            )
            (answer,) = self.ask(request, f"records of {place[0]}", node, countdown).responses
            (one,) = answer.partition_responses
            error = errors.for_code(one.error_code)
            if not one.error_code or error is errors.DuplicateSequenceNumberError:
                return
            if not issubclass(error, errors.RetriableError) or time.monotonic() > give_up:
                raise action_failed(
                    self._reach,
                    f"records of topic {place[0]}",
                    expected=f"those of partition {place[1]} acknowledged",
                    observed=f"{error.__name__} {one.error_message or ''}".strip(),
                    hint="the topic is incomplete now: restore again",
                )
            time.sleep(min(POLL_SECONDS, countdown.left()))

    @property
    def _milliseconds(self) -> int:
        return int(self._reach.deadline * 1000)

    def _controller(self) -> int | str:
        return self.node(self.metadata().controller_id)

    def _count(self, topic: str) -> int | None:
        """Return how many partitions of the topic the broker names, or None if it names no such topic."""
        (found,) = self.metadata([topic]).topics or (None,)
        if found is None or errors.for_code(found.error_code) is errors.UnknownTopicOrPartitionError:
            return None
        return len(found.partitions)

    def _state(self, group: str) -> str:
        found = self._group(group)
        if errors.for_code(found.error_code) is errors.GroupIdNotFoundError:
            # Kafka 4 says so of every group that uses its newer protocol, but lists the states of all.
            return self.states().get(group, "Dead")
        self.expect(found.error_code, f"the state of group {group}")
        return str(found.group_state)

    def _group(self, group: str) -> Any:  # noqa: ANN401 - the library's answer
        request = DescribeGroupsRequest(groups=[group])
        (found,) = self.ask(request, f"the state of group {group}", self.coordinator(group)).groups
        return found

    def _join_and_leave(self, group: str) -> None:
        """Be a member for a moment: Tansu, which names no member's host, looks for dead ones only then."""
        node, member, what = self.coordinator(group), "", f"membership of group {group}"
        for _ in range(2):  # the first answer may only give a name
            request = JoinGroupRequest(
                group_id=group,
                session_timeout_ms=SESSION_MILLISECONDS,
                rebalance_timeout_ms=SESSION_MILLISECONDS,
                member_id=member,
                protocol_type="consumer",
                protocols=[("range", b"")],
                max_version=5,
            )
            # Not cut short: there, a member that leaves before it was admitted stays for ever.
            answer = self.ask(request, what, node, replace(self._reach, deadline=JOIN_SECONDS).start())
            member = answer.member_id
            if errors.for_code(answer.error_code) is not errors.MemberIdRequiredError:
                break
        members = [(member, None)]
        self.ask(LeaveGroupRequest(group_id=group, members=members, min_version=3, max_version=4), what, node)
        time.sleep(HEARTBEAT_SECONDS)
