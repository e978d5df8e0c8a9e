"""A Kafka cluster, asked in its own protocol: topics, configuration, groups, and the log's records.

Requests are answered on the caller's thread, one at a time, each within its deadline. Reading asks by
partition and offset, so that no group is joined and nothing is committed.
"""

from __future__ import annotations

import logging
import socket
import time
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from kafka import errors
from kafka.consumer.fetcher import Fetcher
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.protocol.admin import DescribeConfigsRequest, ListGroupsRequest
from kafka.protocol.consumer import FetchRequest, IsolationLevel, ListOffsetsRequest, OffsetFetchRequest
from kafka.protocol.metadata import FindCoordinatorRequest, MetadataRequest
from kafka.record import MemoryRecords
from kafka.structs import TopicPartition

from rollproof.errors import Meaning, Unverifiable, listed, unanswered
from rollproof.profile.sections import Model
from rollproof.stores.contract import Pace, Retention
from rollproof.stores.kafka.ranges import Extent, Partition, runs, segments
from rollproof.stores.kafka.records import Record
from rollproof.stores.policy import chosen
from rollproof.stores.reach import NOBODY, Countdown, Reach

# Brokers on object storage have served log ends that were up to 5 s old.
SETTLE_SECONDS = 5.5
POLL_SECONDS = 0.1
# Of an answer to a fetch; a single larger record is given all the same.
PARTITION_BYTES, ANSWER_BYTES, LARGEST_BYTES = 1 << 20, 1 << 25, 1 << 30
# The connection to the address at which the cluster was found.
FOUND = "bootstrap-0"
# Of the protocol: a topic, its own setting, and special times in a log.
TOPIC, OWN_SETTING, LATEST, EARLIEST = 2, 1, -1, -2
_INCOMPLETE = (
    "the broker's answer was incomplete: ask again, and see whether all its partitions have a leader"
)
# The library's log has passwords at its lowest level, and repeats each error that is raised.
logging.getLogger("kafka").setLevel(logging.CRITICAL)


class Topic(Model):
    """The properties that a topic is created with. `configuration` omits inherited settings."""

    partitions: int
    replication: int
    configuration: dict[str, str]


class Broker:
    """A cluster, in a `with` statement; the first request connects. Raises `Unverifiable`.

    A cluster's only broker is asked at the address at which it was found, whatever address it advertises: in
    a compose project that is often one which only the project's own network knows.
    """

    def __init__(self, reach: Reach) -> None:
        """Connect lazily."""
        self._reach = reach
        self._brokers: dict[int | str, str] = {}
        self._answered = False

    def __enter__(self) -> Self:
        self._net = NetworkSelector(client_id="rollproof")
        self._manager = KafkaConnectionManager(self._net, **_settings(self._reach))
        return self

    def __exit__(self, *exception: object) -> None:
        self._manager.close()
        self._net.close()

    def ask(
        self,
        request: Any,  # noqa: ANN401 - the library's messages
        what: str,
        node: int | str = FOUND,
        countdown: Countdown | None = None,
    ) -> Any:  # noqa: ANN401
        """Return the answer of `node`; `what` names it in errors.

        A connection that has ended since the last answer is made again, once.
        """
        left = self._reach.deadline if countdown is None else countdown.left()
        milliseconds = left * 1000

        async def answer() -> Any:  # noqa: ANN401
            connection = self._manager.get_connection(node, milliseconds, refresh_metadata_on_err=False)
            sent = connection.send_request(request, request_timeout_ms=milliseconds)
            return await self._manager.wait_for(sent, milliseconds)

        try:
            if not self._answered and not self._reach.endpoint.tls:
                # The library says less of a broker that cannot be reached, and leaves a socket open. A broker
                # with TLS would log this as a handshake that failed.
                socket.create_connection((self._reach.endpoint.host, self._reach.endpoint.port), left).close()
            try:
                found = self._net.run(answer)
            except errors.KafkaConnectionError:
                if not self._answered:
                    raise
                found = self._net.run(answer)
        except (errors.KafkaError, OSError) as error:
            if countdown is not None and _is_late(error):
                countdown.left()  # that says which deadline has passed
            raise failed(self._reach, what, error) from None
        self._answered = True
        return found

    def expect(self, code: int, what: str, message: str | None = None) -> None:
        """Raise the broker's error, if `code` is one."""
        if code:
            raise failed(self._reach, what, errors.for_code(code)(*filter(None, [message])))

    # The cluster.

    def metadata(self, topics: Sequence[str] | None = (), countdown: Countdown | None = None) -> Any:  # noqa: ANN401
        """Return the metadata of the cluster and of `topics`; None stands for all topics."""
        named = None if topics is None else [MetadataRequest.MetadataRequestTopic(name=one) for one in topics]
        request = MetadataRequest(topics=named, allow_auto_topic_creation=False)
        what = f"metadata of {listed(topics)}" if topics else "metadata"
        found = self.ask(request, what, countdown=countdown)
        self._brokers = {one.node_id: f"{one.host}:{one.port}" for one in found.brokers}
        if len(self._brokers) > 1:
            self._manager.cluster.update_metadata(found)
        return found

    def brokers(self) -> dict[int | str, str]:
        """Return the addresses to which clients have to connect, by node."""
        if not self._brokers:
            self.metadata()
        return {FOUND: self._reach.address} if len(self._brokers) == 1 else self._brokers

    def node(self, number: int) -> int | str:
        """Return the node of the broker `number`."""
        return FOUND if FOUND in self.brokers() else number

    def names(self, patterns: Iterable[str]) -> list[str]:
        """Return the names of the topics that match a shell-style pattern, sorted.

        Of one that is being created or deleted, the broker may tell nothing else. Its own topics, whose names
        begin with two underscores, never match.
        """
        return list(self._matching(patterns))

    def topics(self, patterns: Iterable[str]) -> dict[str, int]:
        """Return the number of partitions of each of these topics, by name."""
        return {name: self.partitions_of(topic) for name, topic in self._matching(patterns).items()}

    def _matching(self, patterns: Iterable[str]) -> dict[str, Any]:
        found = {topic.name: topic for topic in self.metadata(None).topics}
        return {name: found[name] for name in chosen((n for n in found if not n.startswith("__")), patterns)}

    def topic(self, name: str) -> Any:  # noqa: ANN401
        """Return the metadata of the topic, which exists."""
        (found,) = self.metadata([name]).topics or (None,)
        if found is None:
            raise self._reach.failed("none", expected=f"metadata of {name}")
        self.partitions_of(found)
        return found

    def partitions_of(self, topic: Any) -> int:  # noqa: ANN401
        """Return the number of partitions of a topic, of which the broker's metadata must name each."""
        self.expect(topic.error_code, f"the partitions of {topic.name}")
        numbers = sorted(one.partition_index for one in topic.partitions)
        if not numbers or numbers != list(range(len(numbers))):
            named = ", ".join(map(str, numbers)) or "none"
            raise self._reach.failed(named, expected=f"each partition of {topic.name}", hint=_INCOMPLETE)
        return len(numbers)

    def describe(self, topic: str) -> Topic:
        """Return the topic's partitions, replication and own configuration."""
        found = self.topic(topic)
        return Topic(
            partitions=len(found.partitions),
            replication=min(len(one.replica_nodes) for one in found.partitions) or 1,
            configuration=self.configuration(topic, own=True),
        )

    def configuration(self, topic: str, *, own: bool) -> dict[str, str]:
        """Return the topic's configuration: only its `own`, or with inherited values if the broker tells."""
        request = DescribeConfigsRequest(resources=[(TOPIC, topic, None)], include_synonyms=True)
        what = f"configuration of {topic}"
        (answer,) = self.ask(request, what).results
        self.expect(answer.error_code, what, answer.error_message)
        # A broker that names no inherited value tells only set values, though it may call them defaults.
        only_set = not any(entry.synonyms for entry in answer.configs)
        return {
            entry.name: entry.value
            for entry in sorted(answer.configs, key=lambda entry: str(entry.name))
            if entry.value is not None and (not own or only_set or entry.config_source == OWN_SETTING)
        }

    def retention(self, topic: str) -> Retention | None:
        """Return what the broker removes from the topic by itself; None if it does not tell."""
        return retention_of(self.configuration(topic, own=False))

    # Groups.

    def groups(self, patterns: Iterable[str]) -> list[str]:
        """Return the groups that match a shell-style pattern, sorted."""
        patterns = tuple(patterns)
        return chosen(self.states(), patterns) if patterns else []

    def states(self) -> dict[str, str]:
        """Return the state of each group, as far as its broker lists states."""
        found: dict[str, str] = {}
        for node in self.brokers():
            answer = self.ask(ListGroupsRequest(), "the groups", node)
            self.expect(answer.error_code, "the groups")
            found |= {one.group_id: one.group_state for one in answer.groups}
        return found

    def coordinator(self, group: str) -> int | str:
        """Return the node that coordinates `group`."""
        what, countdown = f"the coordinator of group {group}", self._reach.start()
        request = FindCoordinatorRequest(key=group, key_type=0, max_version=3)
        while True:
            answer = self.ask(request, what, countdown=countdown)
            # A new cluster first makes the topic that holds the groups' offsets.
            if not issubclass(errors.for_code(answer.error_code), errors.RetriableError):
                self.expect(answer.error_code, what, answer.error_message)
                return self.node(answer.node_id)
            time.sleep(min(POLL_SECONDS, countdown.left()))

    def committed(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the offsets that `group` has committed in `partitions`.

        Each is asked for by name, so that the broker has to say so where there is none.
        """
        wanted = list(partitions)
        if not wanted:
            return {}
        request = OffsetFetchRequest(
            group_id=group, topics=by_topic(wanted, lambda one: one[1]), max_version=7
        )
        answer = self.ask(request, f"the offsets of group {group}", self.coordinator(group))
        self.expect(answer.error_code, f"the offsets of group {group}")
        found = self._each(wanted, answer.topics, lambda one: int(one.committed_offset))
        # A negative one says that the group has committed none.
        return {partition: offset for partition, offset in sorted(found.items()) if offset >= 0}

    # The log.

    def beginnings(self, partitions: Iterable[Partition], countdown: Countdown) -> dict[Partition, int]:
        """Return the offset at which each partition's retained range begins."""
        return self._offsets("beginnings", partitions, EARLIEST, countdown)

    def ends(self, partitions: Iterable[Partition], countdown: Countdown) -> dict[Partition, int]:
        """Return each partition's end as stated by the broker: too low on some, never too high."""
        return self._offsets("ends", partitions, LATEST, countdown)

    def extents(self, partitions: Iterable[Partition]) -> dict[Partition, Extent]:
        """Return each partition's begin, and its end as the broker reports it while giving records.

        A broker asked for the end alone has been seen to answer 1 for as long as it ran.
        """
        places, countdown = list(partitions), self._reach.start()
        begins, ends = self.beginnings(places, countdown), self.ends(places, countdown)
        waiting = dict(ends)
        while waiting:
            for place, _, end in self.fetch(waiting, countdown):
                ends[place] = max(waiting.pop(place), end)
        return {place: Extent(begins[place], ends[place]) for place in places}

    def log(self, topic: str) -> dict[int, Extent]:
        """Return the extent of each partition of a topic, which must exist."""
        found = self.extents(partitions_in({topic: len(self.topic(topic).partitions)}))
        return {number: extent for (_, number), extent in found.items()}

    def read(
        self,
        topic: str,
        extents: Mapping[int, Extent],
        division: Sequence[str],
        parts: Sequence[int],
        pace: Pace,
    ) -> Iterator[tuple[int, tuple[Record, int]]]:
        """Yield the records of `parts` within `extents`, each with its offset's shift, part by part.

        What came later is left out. The deadline holds for each answer.
        """
        size, count, spent = Pace.SMALLEST, 0, 0.0
        for run in runs(segments(division, parts, extents)):
            number, starts, stop = run[0].partition, [segment.start for segment in run], run[-1].stop
            place, shift = (topic, number), extents[number].shift
            positions, countdown = {place: starts[0]}, self._reach.start()
            while (at := positions[place]) < stop:
                asked = time.monotonic()
                for _, messages, _ in self.fetch(positions, countdown):
                    spent += time.monotonic() - asked
                    count += len(messages)
                    for message in messages:
                        # Compaction leaves holes, so the next record may be past the range's end.
                        if message.offset < stop:
                            part = run[bisect_right(starts, message.offset) - 1].part
                            yield part, (Record.of(message), shift)
                if positions[place] > at:
                    countdown = self._reach.start()
                if count >= size:
                    size = pace.next_size(count, spent)
                    count, spent = 0, 0.0

    def every_record(self, topics: Mapping[str, int], countdown: Countdown) -> Generator[Any]:
        """Yield each record of `topics`, which have so many partitions. See `records`."""
        return self.records(self.beginnings(partitions_in(topics), countdown), countdown)

    def records(self, starts: Mapping[Partition, int], countdown: Countdown) -> Generator[Any]:
        """Yield the records of each partition from `starts` on, in order within a partition, to its end.

        Reading ends at the partition's stated end, or at the one that came with its records if that is later.
        A broker that caches ends stops too early for a while.

        Raises:
            Unverifiable: the end was not reached before the deadline of `countdown`.
        """
        stated, pending = self.ends(starts, countdown), dict(starts)
        while pending:
            for place, records, end in self.fetch(pending, countdown):
                yield from records
                if pending[place] >= max(stated[place], end):
                    del pending[place]

    def fetch(
        self, positions: dict[Partition, int], countdown: Countdown
    ) -> Iterator[tuple[Partition, list[Any], int]]:
        """Ask once for records at `positions`, and move these: yield each partition's records and its end.

        Transactions that are open, or were aborted, and their markers are left out. Records that retention
        removes meanwhile are skipped.
        """
        # A broker that answers for its only self needs not say so before each answer.
        alone = FOUND in self.brokers()

        def wanted(place: Partition) -> object:
            return FetchRequest.FetchTopic.FetchPartition(
                partition=place[1], fetch_offset=positions[place], partition_max_bytes=PARTITION_BYTES
            )

        led = {FOUND: list(positions)} if alone else self.led(positions, countdown)
        for node, partitions in led.items():
            request = FetchRequest(
                max_wait_ms=10,
                min_bytes=1,
                max_bytes=ANSWER_BYTES,
                isolation_level=IsolationLevel.READ_COMMITTED,
                topics=by_topic(partitions, wanted),
                # Later versions name topics by another id.
                max_version=12,
            )
            what = f"the records of {listed(_topics_of(partitions))}"
            answer = self.ask(request, what, node, countdown)
            self.expect(answer.error_code, what)
            for topic in answer.responses:
                for one in topic.partitions:
                    place = topic.topic, one.partition_index
                    error = errors.for_code(one.error_code)
                    if error is errors.OffsetOutOfRangeError:
                        begin = self.beginnings([place], countdown)[place]
                        if begin <= positions[place]:
                            said = "that it was re-created meanwhile"
                            raise failed(self._reach, f"the records of {topic.topic}", said)
                        positions[place] = begin
                    elif issubclass(error, errors.InvalidMetadataError) and not alone:
                        time.sleep(min(POLL_SECONDS, countdown.left()))  # until its leader is known again
                    else:
                        self.expect(one.error_code, f"the records of {topic.topic}")
                        records = self._parsed(place, positions, one)
                        end = one.last_stable_offset
                        yield place, records, end if end >= 0 else one.high_watermark

    def _parsed(self, place: Partition, positions: dict[Partition, int], answer: Any) -> list[Any]:  # noqa: ANN401
        parsed = Fetcher.PartitionRecords(
            positions[place],
            TopicPartition(*place),
            MemoryRecords(answer.records or b""),
            isolation_level=IsolationLevel.READ_COMMITTED,
            aborted_transactions=answer.aborted_transactions,
        )
        try:
            records: list[Any] = parsed.take()
        except errors.KafkaError as error:
            raise failed(self._reach, f"the records of {place[0]}", error) from None
        positions[place] = parsed.next_fetch_offset
        return records

    def _offsets(
        self, places: str, partitions: Iterable[Partition], when: int, countdown: Countdown
    ) -> dict[Partition, int]:
        """Return the offset of each partition at the time `when`; errors call them `places`.

        Raises:
            Unverifiable: the broker did not answer, has no such partition, or left one out.
        """
        wanted, topics = list(partitions), list[Any]()
        for node, led in self.led(wanted, countdown).items():
            request = ListOffsetsRequest(
                replica_id=-1,
                isolation_level=IsolationLevel.READ_COMMITTED,
                topics=by_topic(led, lambda one: (one[1], -1, when)),
                min_version=2,
            )
            what = f"the {places} of the partitions of {listed(_topics_of(led))}"
            topics += self.ask(request, what, node, countdown).topics
        return self._each(wanted, topics, lambda one: None if one.offset < 0 else int(one.offset))

    def led(self, partitions: Iterable[Partition], countdown: Countdown) -> dict[int | str, list[Partition]]:
        """Return the partitions by the node that leads them; each must be there."""
        if not (wanted := list(partitions)):
            return {}
        topics = self.metadata(_topics_of(wanted), countdown).topics
        leaders = {
            (topic.name, one.partition_index): one.leader_id for topic in topics for one in topic.partitions
        }
        found: dict[int | str, list[Partition]] = {}
        for place in wanted:
            if leaders.get(place, -1) < 0:
                what = f"the leader of partition {place[1]} of {place[0]}"
                gone = place not in leaders
                error = errors.UnknownTopicOrPartitionError if gone else errors.LeaderNotAvailableError
                raise failed(self._reach, what, error())
            found.setdefault(self.node(leaders[place]), []).append(place)
        return found

    def _each(
        self, wanted: Iterable[Partition], topics: Iterable[Any], offset_of: Callable[[Any], int | None]
    ) -> dict[Partition, int]:
        """Return the offset of each of the `wanted` partitions in an answer, which must have them all."""
        answers = {(topic.name, one.partition_index): one for topic in topics for one in topic.partitions}
        found: dict[Partition, int] = {}
        for place in wanted:
            what = f"an offset of partition {place[1]} of {place[0]}"
            if place in answers:
                self.expect(answers[place].error_code, what)
            offset = offset_of(answers[place]) if place in answers else None
            if offset is None:
                raise self._reach.failed("none", expected=what, hint=_INCOMPLETE)
            found[place] = offset
        return found


def partitions_in(topics: Mapping[str, int]) -> list[Partition]:
    """Return every partition of `topics`, which have so many."""
    return [(topic, number) for topic, count in topics.items() for number in range(count)]


def _topics_of(places: Iterable[Partition]) -> list[str]:
    return list(dict.fromkeys(topic for topic, _ in places))


def by_topic(places: Iterable[Partition], of: Callable[[Partition], Any]) -> list[tuple[str, list[Any]]]:
    """Return what `of` says of each partition, by topic, as requests have it."""
    found: dict[str, list[Any]] = {}
    for place in places:
        found.setdefault(place[0], []).append(of(place))
    return list(found.items())


def retention_of(configuration: Mapping[str, str]) -> Retention | None:
    """Return a topic's retention by its configuration, inherited values included; None if that hides it.

    Compaction removes superseded records as well: a compacted topic needs the policy `volatile`.
    """
    if "retention.ms" not in configuration:
        return None
    policies = configuration.get("cleanup.policy", "delete").split(",")

    def limit(name: str) -> int | None:
        value = int(configuration.get(name, -1))
        return value if value >= 0 and "delete" in policies else None

    milliseconds = limit("retention.ms")
    return Retention(
        seconds=None if milliseconds is None else milliseconds / 1000,
        size=limit("retention.bytes"),
        compacted="compact" in policies,
    )


def _settings(reach: Reach) -> dict[str, Any]:
    """Return the connection's settings. An account logs in by SASL/PLAIN."""
    known: dict[str, Any] = {
        "bootstrap_servers": reach.address,
        "client_id": "rollproof",
        "receive_message_max_bytes": LARGEST_BYTES,
        "ssl_cafile": reach.endpoint.ca,
    }
    secure = "SSL" if reach.endpoint.tls else "PLAINTEXT"
    if reach.account != NOBODY:
        known["sasl_mechanism"] = "PLAIN"
        known["sasl_plain_username"] = reach.account.user
        known["sasl_plain_password"] = reach.account.password.get_secret_value()
        secure = f"SASL_{secure}"
    return known | {"security_protocol": secure}


def failed(reach: Reach, what: str, error: object) -> Unverifiable:
    """Return the error for a missing answer."""
    means = unanswered(error, refused=isinstance(error, errors.BrokerResponseError))
    return reach.failed(
        error,
        expected=f"{what} within {reach.deadline:g} s",
        hint="it was deleted since it was listed, or the account may not see it: ask again"
        if isinstance(error, errors.UnknownTopicOrPartitionError)
        else "see that the broker runs, that the address it advertises can be reached from here, "
        "and that the account may read topics and their configuration",
        means=Meaning.TIMEOUT if _is_late(error) else means,
    )


def _is_late(error: object) -> bool:
    return isinstance(error, TimeoutError | errors.KafkaTimeoutError | errors.RequestTimedOutError)
