"""Kafka alone: partitions, transactions, positions of groups, and ends that a broker states too high."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kafka import KafkaProducer

from rollproof.contract.subject import digests, read
from rollproof.errors import Unverifiable
from rollproof.stores.kafka import reader as kafka_content
from rollproof.stores.kafka.broker import Broker
from rollproof.stores.kafka.ranges import Partition
from rollproof.stores.reach import Countdown
from rollproof.stores.reader import Reader
from tests.stack.stores.kafka import ALL, LOG, Kafka

STORES = ("kafka",)


@pytest.fixture
def topic(subject: Kafka) -> Iterator[str]:
    """A topic of the test's own, with the log."""
    yield subject.shaped("as filled")
    subject.undefine()


def test_markers_of_transactions_are_no_records(subject: Kafka, content: Reader, topic: str) -> None:
    scratch = subject.scratch
    with KafkaProducer(bootstrap_servers=scratch.reach.address, transactional_id=scratch.group) as producer:
        producer.init_transactions()
        for _ in range(2):
            producer.begin_transaction()
            producer.send(topic, value=b"in a transaction", partition=1)
            producer.commit_transaction()
    assert read(content, topic).records.keys() == ALL | {"1/2", "1/4"}
    # The last part ends in a marker, and one part is nothing but one.
    division = ("", "0:0", "1:0", "1:3", "1:4", "1:5", "2:0")
    found = read(content, topic, division)
    assert [found.digests[part].records for part in range(7)] == [0, 4, 3, 0, 1, 0, 1]


def test_configuration_is_a_schema_and_tells_when_records_go(subject: Kafka, content: Reader) -> None:
    configuration = {"cleanup.policy": "delete", "retention.ms": "60000"}
    subject.scratch.create(subject.settings, 1, configuration)
    try:
        subject.append({subject.settings: LOG[:1]})
        assert content.schemas()[subject.settings] == {"partitions": 1, "configuration": configuration}
        (kept,) = read(content, subject.settings).records.values()
    finally:
        subject.undefine()
    assert kept.expires == 1_700_000_060


def test_an_offset_that_moved_back_is_told(
    subject: Kafka, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_content, "SETTLE_SECONDS", 0.1)
    content, scratch = subject.reader(topics=(topic,)), subject.scratch
    scratch.commit(topic, {0: 2})
    recorded, place = content.positions(), f"group {scratch.group} in topic {topic} 0"
    assert content.position_faults(recorded) == []
    scratch.commit(topic, {0: 0})
    assert list(content.position_faults(recorded)) == [f"{place}: expected offset 2 or later, observed 0"]
    scratch.delete_group()


def test_reading_joins_no_group_and_commits_nothing(subject: Kafka, content: Reader) -> None:
    with Broker(subject.scratch.reach) as broker:
        before = broker.states()
        with subject.reader() as view:
            view.counts()
        assert digests(content, subject.many)[0].records == subject.counts[subject.many]
        assert broker.states() == before


def test_an_end_that_is_not_reached_is_unverifiable(subject: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that says there is more than it gives is not believed to have given all."""
    stated = Broker.ends

    def one_more(broker: Broker, partitions: list[Partition], countdown: Countdown) -> dict[Partition, int]:
        return {place: end + 1 for place, end in stated(broker, partitions, countdown).items()}

    monkeypatch.setattr(Broker, "ends", one_more)
    with (
        subject.reader(topics=(subject.full,), deadline_seconds=2.0) as view,
        pytest.raises(Unverifiable, match="more than 2 s"),
    ):
        view.counts()
