"""A cluster's answers, which a stand-in gives: what one leaves out is no position; faults of positions."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace as Given
from typing import Any, cast

import pytest
from kafka.protocol.consumer import FetchRequest, ListOffsetsRequest
from kafka.protocol.metadata import FindCoordinatorRequest, MetadataRequest
from kafka.protocol.producer import InitProducerIdRequest, ProduceRequest
from kafka.record import MemoryRecords
from kafka.record.memory_records import MemoryRecordsBuilder

from rollproof.collection import Json
from rollproof.engines.engine import Endpoint
from rollproof.errors import ActionFailed, Meaning, Unverifiable
from rollproof.profile.sections import Address
from rollproof.stores.kafka import admin as kafka_admin
from rollproof.stores.kafka import broker as kafka_broker
from rollproof.stores.kafka import reader as kafka_reader
from rollproof.stores.kafka.admin import Admin
from rollproof.stores.kafka.broker import FOUND, Broker
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.kafka.ranges import Extent, strays
from rollproof.stores.kafka.reader import KafkaReader
from rollproof.stores.kafka.records import CREATED, Record
from rollproof.stores.reach import NOBODY, Countdown, Reach, Readable

TOPIC, SECONDS = "jobs", 60.0
GONE, OUT_OF_RANGE, NOT_ENOUGH, DUPLICATE, TOO_LARGE = 3, 1, 19, 46, 10
REACH = Reach("kafka", Endpoint("127.0.0.1", 9), NOBODY, SECONDS)
PROFILE = KafkaProfile(
    kind="kafka", address=Address(host="x", port=9), services=("kafka",), risk="low", topics=("*",)
)
READABLE = Readable("kafka", PROFILE.model_copy(update={"deadline_seconds": SECONDS}), REACH.endpoint)


@dataclass
class Part:
    """One partition: its records' offsets, and what the broker says of it."""

    offsets: range = range(0)
    stated: int | None = None
    """The end that it states when it is asked for the end alone."""
    open: int = 0
    """Offsets at the end that an open transaction has taken."""
    most: int = 1000
    """Records of one answer."""
    leader: int = 1

    def batch(self, start: int) -> bytes:
        """Return the records from `start` on, as a broker gives them."""
        found = [offset for offset in self.offsets if offset >= start][: self.most]
        if not found:
            return b""
        made = MemoryRecordsBuilder(2, 0, 1 << 20)
        for offset in found:
            made.append(1_700_000_000_000, b"k", b"%d" % offset, [])
        made.close()
        return struct.pack(">q", found[0]) + bytes(made.buffer()[8:])


@dataclass
class Cluster:
    """Answers requests; `instead` has other answers by the request's class."""

    parts: list[Part]
    brokers: tuple[int, ...] = (1,)
    others: tuple[str, ...] = ()
    asked: list[tuple[str, object]] = field(default_factory=list)
    instead: dict[type, Callable[[Any], object]] = field(default_factory=dict)

    def ask(self, request: Any, node: object) -> Any:  # noqa: ANN401 - as messages are
        self.asked.append((type(request).__name__, node))
        answer: Callable[[Any], object] = self.instead.get(type(request), self._answer)
        return answer(request)

    def _answer(self, request: Any) -> Any:  # noqa: ANN401 - as messages are
        match request:
            case MetadataRequest():
                parts = [
                    Given(partition_index=number, leader_id=part.leader, replica_nodes=[1])
                    for number, part in enumerate(self.parts)
                ]
                topics = [Given(name=name, error_code=0, partitions=parts) for name in (TOPIC, *self.others)]
                brokers = [Given(node_id=number, host=f"b{number}", port=9) for number in self.brokers]
                return Given(brokers=brokers, topics=topics, cluster_id="one", controller_id=1)
            case ListOffsetsRequest(topics=[(name, wanted)]):
                return Given(topics=[Given(name=name, partitions=[self._offset(*one) for one in wanted])])
            case FetchRequest(topics=[(name, wanted)]):
                return Given(
                    error_code=0, responses=[Given(topic=name, partitions=[*map(self._fetched, wanted)])]
                )
            case FindCoordinatorRequest():
                return Given(error_code=0, error_message="", node_id=1)
            case InitProducerIdRequest():
                return Given(error_code=0, producer_id=7, producer_epoch=0)
        raise AssertionError(type(request))

    def _offset(self, number: int, _: int, when: int) -> object:
        part = self.parts[number]
        end = part.offsets.stop if part.stated is None else part.stated
        offset = part.offsets.start if when == kafka_broker.EARLIEST else end
        return Given(partition_index=number, error_code=0, offset=offset)

    def _fetched(self, wanted: Any) -> object:  # noqa: ANN401 - as messages are
        part = self.parts[wanted.partition]
        inside = part.offsets.start <= wanted.fetch_offset <= part.offsets.stop
        return Given(
            partition_index=wanted.partition,
            error_code=0 if inside else OUT_OF_RANGE,
            high_watermark=part.offsets.stop + part.open,
            last_stable_offset=part.offsets.stop,
            aborted_transactions=None,
            records=part.batch(wanted.fetch_offset),
        )


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cluster]:
    def make(*parts: Part, **more: Any) -> Cluster:  # noqa: ANN401 - as the cluster has them
        cluster = Cluster(list(parts), **more)

        def ask(
            _: Broker, request: object, __: str, node: object = FOUND, countdown: object = None
        ) -> object:
            assert countdown is None or isinstance(countdown, Countdown)
            return cluster.ask(request, node)

        monkeypatch.setattr(Broker, "ask", ask)
        monkeypatch.setattr(kafka_reader, "SETTLE_SECONDS", 0.0)
        monkeypatch.setattr(kafka_broker, "POLL_SECONDS", 0.0)
        monkeypatch.setattr(kafka_admin, "POLL_SECONDS", 0.0)
        return cluster

    return make


def _read(broker: Broker, count: int = 1) -> list[int]:
    return [one.offset for one in broker.every_record({TOPIC: count}, REACH.start())]


# Reading.


@pytest.mark.parametrize("stated", [0, 1, None])
def test_a_log_ends_where_the_records_say_though_an_older_end_is_stated(
    made: Callable[..., Cluster], stated: int | None
) -> None:
    made(Part(range(3, 28), stated=stated, most=10))
    with Broker(REACH) as broker:
        assert _read(broker) == list(range(3, 28))
        assert broker.log(TOPIC) == {0: Extent(3, 28)}


def test_records_that_retention_removes_meanwhile_are_skipped(made: Callable[..., Cluster]) -> None:
    cluster = made(Part(range(20), most=5))
    with Broker(REACH) as broker:
        reading = broker.every_record({TOPIC: 1}, REACH.start())
        first = [next(reading).offset for _ in range(5)]
        cluster.parts[0].offsets = range(10, 20)
        assert first + [one.offset for one in reading] == [*range(5), *range(10, 20)]


def test_a_log_that_was_re_created_meanwhile_was_not_read(made: Callable[..., Cluster]) -> None:
    cluster = made(Part(range(20), most=15))
    with Broker(REACH) as broker:
        reading = broker.every_record({TOPIC: 1}, REACH.start())
        assert next(reading).offset == 0
        cluster.parts[0].offsets = range(3)
        with pytest.raises(Unverifiable, match="re-created meanwhile"):
            list(reading)


def test_an_end_that_comes_late_is_no_stray(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is behind says so at first; only what it still says later is believed."""
    whole: Mapping[str, Json] = {"topic jobs 0": {"begin": 0, "end": 5, "groups": {}}}
    behind: Mapping[str, Json] = {"topic jobs 0": {"begin": 0, "end": 4, "groups": {}}}
    answers = iter([behind, whole, behind, behind])
    monkeypatch.setattr(KafkaReader, "positions", lambda _: next(answers))
    monkeypatch.setattr(kafka_reader, "SETTLE_SECONDS", 0.0)
    assert list(KafkaReader(READABLE).position_faults(whole)) == []
    assert len(list(KafkaReader(READABLE).position_faults(whole))) == 1


# Answers that leave something out.


@pytest.mark.parametrize(("answer", "seen"), [({0: 5}, 1), ({0: 5, 1: -1}, 1), ({1: 5}, 0), ({}, 0)])
def test_a_partition_without_an_offset_was_not_answered(
    made: Callable[..., Cluster], answer: Mapping[int, int], seen: int
) -> None:
    offsets = [
        Given(partition_index=number, error_code=0, offset=offset) for number, offset in answer.items()
    ]
    cluster = made(Part(range(5)), Part(range(5)))
    cluster.instead[ListOffsetsRequest] = lambda _: Given(topics=[Given(name=TOPIC, partitions=offsets)])
    with (
        Broker(REACH) as broker,
        pytest.raises(Unverifiable, match=f"offset of partition {seen} of {TOPIC}, observed none") as caught,
    ):
        broker.ends([(TOPIC, 0), (TOPIC, 1)], REACH.start())
    assert caught.value.means is Meaning.OTHER


def test_what_is_gone_is_no_broker_out_of_reach(made: Callable[..., Cluster]) -> None:
    cluster = made(Part(range(5)))
    gone = [Given(partition_index=0, error_code=GONE, offset=-1, records=b"")]
    asked: list[Callable[[Broker], object]] = [
        lambda broker: broker.ends([(TOPIC, 7)], REACH.start()),
        lambda broker: broker.beginnings([("another", 0)], REACH.start()),
        lambda broker: [*broker.records({("another", 0): 0}, REACH.start())],
        lambda broker: [*broker.fetch({(TOPIC, 0): 0}, REACH.start())],
    ]
    cluster.instead[FetchRequest] = lambda _: Given(
        error_code=0, responses=[Given(topic=TOPIC, partitions=gone)]
    )
    for ask in asked:
        with Broker(REACH) as broker, pytest.raises(Unverifiable) as caught:
            ask(broker)
        assert caught.value.means is Meaning.OTHER
        assert "it was deleted since it was listed" in caught.value.hint


@pytest.mark.parametrize(
    ("code", "numbers", "said"),
    [(0, [0, 2], "each partition of jobs, observed 0, 2"), (0, [], "observed none"), (GONE, [], "Unknown")],
)
def test_a_topic_of_which_a_partition_is_not_named_was_not_answered(
    made: Callable[..., Cluster], code: int, numbers: list[int], said: str
) -> None:
    partitions = [Given(partition_index=number) for number in numbers]
    topic = Given(name=TOPIC, error_code=code, partitions=partitions)
    one = Given(node_id=1, host="x", port=9)
    made().instead[MetadataRequest] = lambda _: Given(brokers=[one], topics=[topic])
    with Broker(REACH) as broker:
        # That it is there is known all the same.
        assert broker.names(["*"]) == [TOPIC]
        with pytest.raises(Unverifiable, match=said):
            broker.topics(["*"])
        with pytest.raises(Unverifiable, match=said):
            broker.topic(TOPIC)


# Writing.


def _records(count: int, partitions: int = 1, size: int = 1) -> list[Record]:
    return [
        Record(
            partition=number % partitions,
            offset=0,
            timestamp=(CREATED, 1),
            key=None,
            value=b"ABC" * size,
            headers=[("h", None)],
        )
        for number in range(count)
    ]


def test_what_was_not_acknowledged_is_sent_again_under_its_number(
    made: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, sent, codes = made(Part(), Part()), [], iter([NOT_ENOUGH, DUPLICATE, 0, 0, 0, 0, 0])

    def produced(request: Any) -> object:  # noqa: ANN401 - as messages are
        ((_, parts),) = request.topic_data
        for number, records in parts:
            batch = MemoryRecords(bytes(records)).next_batch()
            sent.append((number, batch.base_sequence, batch.records_count, batch.producer_id))
        answers = [Given(index=number, error_code=next(codes), error_message=None) for number, _ in parts]
        return Given(responses=[Given(partition_responses=answers)])

    monkeypatch.setattr(kafka_admin, "BATCH_BYTES", 270)
    cluster.instead[ProduceRequest] = produced
    with Admin(REACH) as admin:
        records = sorted(_records(8, 2, size=15), key=lambda one: one.partition)
        admin.produce(TOPIC, records, REACH.start())
        assert sent == [(0, 0, 3, 7), (0, 0, 3, 7), (0, 3, 1, 7), (1, 0, 3, 7), (1, 3, 1, 7)]
        with pytest.raises(Unverifiable, match="partition 2"):
            admin.produce(TOPIC, _records(3, 3), REACH.start())


@pytest.mark.parametrize("code", [TOO_LARGE, NOT_ENOUGH])
def test_what_is_refused_leaves_a_topic_incomplete(
    made: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(kafka_admin, "PATIENCE_SECONDS", 0.0)
    answer = Given(index=0, error_code=code, error_message="too large")
    made(Part()).instead[ProduceRequest] = lambda _: Given(responses=[Given(partition_responses=[answer])])
    with Admin(REACH) as admin, pytest.raises(ActionFailed, match="too large"):
        admin.produce(TOPIC, _records(1), REACH.start())


# Connections.


RECORDED: Mapping[str, Json] = {
    "topic t 0": {"begin": 5, "end": 25, "groups": {"a group": 20}},
    "topic t 1": {"begin": 0, "end": 9, "groups": {"a group": 9}},
}


@pytest.mark.parametrize(
    ("zero", "one", "words"),
    [
        ({}, {}, []),
        # It went on: more came, more was read, more has expired.
        ({"begin": 22, "end": 40, "groups": {"a group": 40, "new": 22}}, {}, []),
        ({"groups": {}}, {}, ["group a group in topic t 0: expected offset 20 or later, observed none"]),
        ({"groups": {"a group": 19}}, {}, ["expected offset 20 or later, observed 19"]),
        ({"groups": {"a group": 26}}, {}, ["expected an offset up to 25, observed 26"]),
        ({"end": 24}, {}, ["topic t 0: expected to end at 25 or later, observed 24"]),
        (
            {},
            None,
            ["expected to end at 9 or later, observed 0", "expected offset 9 or later, observed none"],
        ),
        # Made again: all offsets are 5 lower.
        ({"begin": 0, "end": 20, "groups": {"a group": 15}}, {}, []),
        (
            {"begin": 0, "end": 19, "groups": {"a group": 14}},
            {},
            ["expected to end at 20 or later, observed 19", "expected offset 15 or later, observed 14"],
        ),
        # Made again and empty.
        ({}, {"begin": 0, "end": 0}, ["topic t 1: expected to end at 9", "up to 0, observed 9"]),
    ],
)
def test_what_strayed_is_told(zero: dict[str, Json], one: dict[str, Json] | None, words: list[str]) -> None:
    changes = {"topic t 0": zero, "topic t 1": one}
    now = {
        name: {**cast("dict[str, Json]", RECORDED[name]), **change}
        for name, change in changes.items()
        if change is not None
    }
    lines = list(strays(RECORDED, now))
    assert len(lines) == len(words)
    for line, word in zip(lines, words, strict=True):
        assert word in line
