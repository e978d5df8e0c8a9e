"""Kafka, read side: records are counted by reading the log.

A count is the number of records between the retained range's start and end. It is not a difference of
offsets: compaction and transactions make that too large, and a broker on object storage has reported it too
small. Reading assigns partitions, without joining a group or committing offsets.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, ClassVar, Self, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from rollproof.errors import Meaning, Unverifiable, listed, unanswered
from rollproof.stores.contract import Answer
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.kafka.relay import known_way, way_to
from rollproof.stores.policy import chosen
from rollproof.stores.reach import NOBODY, Countdown, Reach, Readable, StoreReader

Client = TypeVar("Client")
# A partition of one topic.
Partition = tuple[str, int]
BATCH = 1000
_LATE = frozenset({KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT})  # noqa: SLF001 - public names
POLL_SECONDS = 0.05
# The broker knows no such topic or partition, or no more.
_GONE = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - public names
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError._NOENT,  # noqa: SLF001
    }
)
# What the library remembers of a partition may be old: where it is, or that there is none.
_MOVED = _GONE | {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE}
# Brokers on object storage have served log ends that were up to 5 s old.
SETTLE_SECONDS = 5.5
_INCOMPLETE = (
    "the broker's answer was incomplete: ask again, and see whether all its partitions have a leader"
)
# Records that `ask` reads at most: enough to show that the log holds any.
ASK_RECORDS = 100


def settings(reach: Reach, way: str | None = None) -> dict[str, Any]:
    """Return the settings for every client of the library. An account logs in by SASL/PLAIN.

    `way` is what `way_to` answered; without one it is asked.
    """
    known: dict[str, Any] = {
        "bootstrap.servers": way or way_to(reach),
        "client.id": "rollproof",
        "allow.auto.create.topics": False,
        "socket.connection.setup.timeout.ms": max(1000, int(reach.deadline * 1000)),
        # Errors arrive as exceptions and events; otherwise the library also prints them to standard error.
        "log_level": 0,
    }
    secure = "SSL" if reach.endpoint.tls else "PLAINTEXT"
    if reach.endpoint.ca:
        known["ssl.ca.location"] = reach.endpoint.ca
    if reach.account != NOBODY:
        known["sasl.mechanism"] = "PLAIN"
        known["sasl.username"] = reach.account.user
        known["sasl.password"] = reach.account.password.get_secret_value()
        secure = f"SASL_{secure}"
    return known | {"security.protocol": secure}


@contextmanager
def translated(reach: Reach, what: str) -> Iterator[None]:
    """Turn the library's exceptions during `what` into `Unverifiable`, in the library's words."""
    try:
        yield
    except (KafkaException, TimeoutError) as error:
        raise failed(reach, what, error) from None


class Log:
    """Reads the log of one broker. One connection, for use in a `with` statement."""

    SETTINGS: ClassVar[Mapping[str, str]] = {}
    """A subclass's additional or replaced settings for the library."""

    def __init__(self, reach: Reach, way: str | None = None) -> None:
        """Connect lazily: with the first call. See `settings` for `way`."""
        self._reach, self._way = reach, way or way_to(reach)
        # The library retries in the background; its last error says more than "timed out". The consumer
        # holds only this, not the log: so it is freed at once, never by a collection on any thread.
        self._errors: deque[KafkaError] = deque(maxlen=1)
        self._consumer = Consumer(
            settings(reach, self._way)
            | {
                # The library requires a name; a group is formed only by a subscription.
                "group.id": "rollproof",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                # The default costs 500 ms at the end of every partition, one after the other.
                "fetch.wait.max.ms": 10,
                "error_cb": partial(_remember, self._errors),
            }
            | dict(self.SETTINGS)
        )

    def cluster(self) -> str:
        """Return the cluster's own id."""
        with self._translated("metadata"):
            return str(self._consumer.list_topics(timeout=self._reach.deadline).cluster_id)

    def brokers(self) -> list[str]:
        """Return the brokers to which clients are redirected, as ``host:port``."""
        with self._translated("metadata"):
            found = self._consumer.list_topics(timeout=self._reach.deadline).brokers
        return sorted(f"{broker.host}:{broker.port}" for broker in found.values())

    def names(self, patterns: Iterable[str]) -> list[str]:
        """Return the names of the topics that match a shell-style pattern, sorted.

        Of one that is being created or deleted, the broker may tell nothing else. Its own topics, whose names
        begin with two underscores, never match.
        """
        with self._translated("metadata"):
            found = self._consumer.list_topics(timeout=self._reach.deadline).topics
        return _matching(found, patterns)

    def topics(self, patterns: Iterable[str]) -> dict[str, int]:
        """Return the number of partitions of each of these topics, by name."""
        with self._translated("metadata"):
            found = self._consumer.list_topics(timeout=self._reach.deadline).topics
        return {name: partitions_of(self._reach, found[name]) for name in _matching(found, patterns)}

    def beginnings(self, partitions: Iterable[Partition], countdown: Countdown) -> dict[Partition, int]:
        """Return the offset at which each partition's retained range begins."""
        return self._offsets("beginnings", partitions, OFFSET_BEGINNING, countdown)

    def ends(self, partitions: Iterable[Partition], countdown: Countdown) -> dict[Partition, int]:
        """Return each partition's end as stated by the broker: too low on some, never too high."""
        return self._offsets("ends", partitions, OFFSET_END, countdown)

    def records(
        self, starts: Mapping[Partition, int], countdown: Countdown, ends: dict[Partition, int] | None = None
    ) -> Generator[Any]:
        """Yield the records of each partition from `starts` on, in order within a partition, to its end.

        Reading ends when the broker has no more records, at its stated end or later. A broker that caches
        ends stops too early for a while. `ends` is filled with the offsets found.

        Raises:
            Unverifiable: the end was not reached before the deadline of `countdown`.
        """
        stated = self.ends(starts, countdown)
        pending = set(starts)
        self._consumer.assign([TopicPartition(*partition, start) for partition, start in starts.items()])
        try:
            while pending:
                batch: list[Any] = self._consumer.consume(BATCH, min(POLL_SECONDS, countdown.left()))
                for message in batch:
                    partition = (message.topic(), message.partition())
                    error = message.error()
                    if error is None:
                        yield message
                    elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library's public name
                        raise failed(self._reach, f"the records of {partition[0]}", error)
                    elif message.offset() >= stated[partition]:
                        pending.discard(partition)
                        if ends is not None:
                            ends[partition] = message.offset()
        except KafkaException as error:
            raise failed(self._reach, "records", error) from None
        finally:
            self._consumer.unassign()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._consumer.close()

    def _offsets(
        self, places: str, partitions: Iterable[Partition], place: int, countdown: Countdown
    ) -> dict[Partition, int]:
        """Return the offset at a `place` of each partition; errors call them `places`.

        Raises:
            Unverifiable: the broker did not answer, has no such partition, or left one out.
        """
        wanted = [TopicPartition(*partition, place) for partition in partitions]
        if not wanted:
            return {}
        found = {}
        topics = listed(list(dict.fromkeys(one.topic for one in wanted)))
        with self._translated(f"the {places} of the partitions of {topics}"):
            for answer in self._answers(wanted, countdown):
                if answer.error is None:
                    found[answer.topic, answer.partition] = answer.offset
                elif _refused(answer.error.code()):
                    raise failed(
                        self._reach,
                        f"an offset of partition {answer.partition} of {answer.topic}",
                        answer.error,
                    )
                else:
                    raise KafkaException(answer.error)
        for asked in wanted:
            if found.get((asked.topic, asked.partition), OFFSET_INVALID) < 0:
                raise without_offset(self._reach, (asked.topic, asked.partition))
        return found

    def _answers(self, wanted: list[TopicPartition], countdown: Countdown) -> list[TopicPartition]:
        """Ask for offsets, and once more where the library asked a broker that leads a partition no longer.

        `AdminClient.list_offsets` asks the same, and ends the process now and then. Two threads of the
        library (2.16) look for the leaders at once there, and one frees what the other locks.
        """
        try:
            answers = self._consumer.offsets_for_times(wanted, timeout=countdown.left())
        except KafkaException as error:
            if error.args[0].code() not in _MOVED:
                raise
        else:
            if not any(one.error is not None and one.error.code() in _MOVED for one in answers):
                return answers
        self._consumer.list_topics(timeout=countdown.left())
        return self._consumer.offsets_for_times(wanted, timeout=countdown.left())

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except (KafkaException, TimeoutError) as error:
            self._consumer.poll(0)  # delivers the errors from the library's background retries
            said = error.args[0].code() if isinstance(error, KafkaException) else None
            late = self._errors and not _refused(said)
            raise failed(self._reach, what, self._errors[-1] if late else error) from None


def _matching(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    return chosen((name for name in names if not name.startswith("__")), patterns)


def partitions_of(reach: Reach, topic: Any) -> int:  # noqa: ANN401 - the library's metadata
    """Return the number of partitions of a topic, of which the broker's metadata must name each.

    Raises:
        Unverifiable: the broker refused the topic, or left one of its partitions out.
    """
    if topic.error is not None:
        raise failed(reach, f"the partitions of {topic.topic}", topic.error)
    count = len(topic.partitions)
    if not count or set(topic.partitions) != set(range(count)):
        named = ", ".join(map(str, sorted(topic.partitions))) or "none"
        raise reach.failed(named, expected=f"each partition of {topic.topic}", hint=_INCOMPLETE)
    return count


def without_offset(reach: Reach, partition: Partition) -> Unverifiable:
    """Return the error for an answer without an offset of `partition`: a negative number stands for none."""
    topic, number = partition
    return reach.failed("none", expected=f"an offset of partition {number} of {topic}", hint=_INCOMPLETE)


def _remember(errors: deque[KafkaError], error: KafkaError) -> None:
    # "All brokers are down" follows each error and says less.
    if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - the library's public name
        errors.append(error)


def failed(reach: Reach, what: str, error: object) -> Unverifiable:
    """Return the error for a missing answer."""
    if isinstance(error, KafkaException):
        error = error.args[0]
    code = error.code() if isinstance(error, KafkaError) else None
    return reach.failed(
        error.str() if isinstance(error, KafkaError) else error,
        expected=f"{what} within {reach.deadline:g} s",
        hint="it was deleted since it was listed, or the account may not see it: ask again"
        if code in _GONE
        else "see that the broker runs, that the address it advertises can be reached from here, "
        "and that the account may read topics and their configuration",
        means=Meaning.TIMEOUT if code in _LATE else unanswered(error, refused=_refused(code)),
    )


def _refused(code: int | None) -> bool:
    """Return whether a broker said so: the library's own errors have negative numbers."""
    return code is not None and (
        code > 0 or code in _GONE or code == KafkaError._AUTHENTICATION  # noqa: SLF001 - a public name
    )


def beginnings(topics: Mapping[str, int]) -> dict[Partition, int]:
    """Return the marker of the retained range's start for every partition of `topics`."""
    return {(topic, number): OFFSET_BEGINNING for topic, count in topics.items() for number in range(count)}


def brokers(readable: Readable[KafkaProfile]) -> list[str]:
    """Return the brokers, as ``host:port``, to which this broker redirects clients of this process.

    Through a relay that is the broker itself, whatever address it names.

    Raises:
        Unverifiable: the broker does not answer.
    """
    reach = readable.reach
    way = way_to(reach)
    relayed = {way: reach.address}
    with Log(reach, way) as log:
        return [relayed.get(broker, broker) for broker in log.brokers()]


class KafkaReader(StoreReader[KafkaProfile]):
    """The common part of the view, the content reader and the export: its clients, one for each call.

    The way to the broker is asked for once, and again after a failure: the broker may be another one then.
    """

    kind = "kafka"

    def __init__(self, readable: Readable[KafkaProfile]) -> None:
        """Keep the access data; each question connects."""
        super().__init__(readable)
        self._way: str | None = None

    @contextmanager
    def _with(self, client: Callable[[Reach, str], AbstractContextManager[Client]]) -> Iterator[Client]:
        """Give a new `client`, such as `Log`, that finds the broker."""
        self._way = self._way or known_way(self._reach)
        try:
            with client(self._reach, self._way or self._reach.address) as made:
                yield made
        except Unverifiable:
            self._way = None
            raise

    def close(self) -> None:
        """Forget the way to the broker; connections end with their call, as a topic may be re-created."""
        self._way = None


class View(KafkaReader):
    """Read-only view of the topics of one broker. See `StoreView`."""

    def ask(self) -> Answer:
        """Read from the first topic that holds a record, or from the last if all are empty."""
        countdown = self._reach.start()
        with self._with(Log) as log:
            topics = log.topics(self._profile.topics)
            if not topics:
                raise self._reach.failed(
                    "none",
                    expected=f"a topic that matches {', '.join(self._profile.topics)}",
                    hint="a query can only touch data where there is some: check `topics` in the profile",
                )
            for topic, count in topics.items():
                reading = log.records(beginnings({topic: count}), countdown)
                records = sum(1 for _ in zip(range(ASK_RECORDS), reading, strict=False))
                reading.close()
                if records:
                    break
            return Answer(
                query=f"read of up to {ASK_RECORDS} records",
                collection=topic,
                records=records,
                server=f"Kafka cluster {log.cluster()}",
            )

    def counts(self) -> Mapping[str, int]:
        """Return the number of readable records by topic; one deadline holds for all."""
        with self._with(Log) as log:
            return self._counts(log, log.topics(self._profile.topics))

    def collections(self) -> Sequence[str]:
        """Return the topics. See `CollectionsView`."""
        with self._with(Log) as log:
            return list(log.topics(self._profile.topics))

    def count(self, collection: str) -> int:
        """Return the number of readable records of one topic. See `CollectionsView`."""
        with self._with(Log) as log:
            topics = {name: parts for name, parts in log.topics([collection]).items() if name == collection}
            if not topics:
                raise self._reach.failed(
                    "none",
                    expected=f"the topic {collection}",
                    hint="it was deleted since the topics were listed: count again",
                )
            return self._counts(log, topics)[collection]

    def _counts(self, log: Log, topics: Mapping[str, int]) -> Mapping[str, int]:
        countdown = self._reach.start()
        found = Counter(message.topic() for message in log.records(beginnings(topics), countdown))
        return {topic: found[topic] for topic in topics}
