"""Kafka alone: partitions, transactions, positions of groups, and ends that a broker states too high."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kafka import KafkaProducer

from rollproof.errors import Unverifiable
from rollproof.stores.kafka import reader as kafka_content
from rollproof.stores.kafka.broker import Broker
from rollproof.stores.kafka.ranges import Partition
from rollproof.stores.reach import Countdown
from rollproof.stores.reader import Reader
from tests.stack.content_reading import digests, expect_parts_are_whole, read
from tests.stack.faults import closed_port
from tests.stack.reading.kafka import ALL, LOG, PARTITIONS, Kafka, Message
from tests.stack.reading.subject import at

STORES = ("kafka",)


@pytest.fixture
def topic(subject: Kafka) -> Iterator[str]:
    """A topic of the test's own, with the log."""
    yield subject.shaped("as filled")
    subject.undefine()


def test_any_division_of_many_holds_every_record_once(subject: Kafka, content: Reader) -> None:
    expect_parts_are_whole(content, subject.many, sizes=(100, 999))


def test_growth_touches_one_part_of_a_partition(subject: Kafka, content: Reader, topic: str) -> None:
    division = content.divide(topic, 2)
    assert division == ("", "0:0", "0:2", "1:0", "2:0")
    before = read(content, topic, division)
    assert [before.digests[part].records for part in range(5)] == [0, 2, 2, 2, 1]
    subject.append({topic: (Message(1, b"new", b"1"),) * 5})
    after = read(content, topic, division)
    assert {part for part in range(5) if before.digests[part] != after.digests[part]} == {3}
    assert before.records.items() < after.records.items()


def test_fewer_partitions_are_missing_records(subject: Kafka, content: Reader, topic: str) -> None:
    division = content.divide(topic, 2)
    before = read(content, topic, division)
    subject.write(topic, LOG[:6], partitions=2)
    assert before.changed(read(content, topic, division)) == {"2/0": None}
    subject.write(topic, (*LOG, Message(3, b"x", b"y")), partitions=4)
    later = read(content, topic, division)
    assert before.changed(later) == {"3/0": None}
    # A partition that came later is in the last part.
    assert later.digests[4].records == 2


def test_a_topic_made_anew_is_compared_from_its_first_record(subject: Kafka, content: Reader) -> None:
    """As a restore leaves it whose old records had begun later than at 0."""
    found = read(content, subject.full, ("", "0:500", "0:502", "1:0", "2:7"))
    assert found.records.keys() == {"0/500", "0/501", "0/502", "0/503", "1/0", "1/1", "2/7"}
    assert [found.digests[part].records for part in range(5)] == [0, 2, 2, 2, 1]


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


def test_positions_that_strayed_are_told(subject: Kafka, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_content, "SETTLE_SECONDS", 0.1)
    content, scratch = subject.content(topics=(topic,)), subject.scratch
    scratch.commit(topic, {0: 2, 1: 2})
    recorded = content.positions()
    name = f"group {scratch.group} {topic}"
    assert recorded == {
        f"topic {topic} 0": {"begin": 0, "end": 4},
        f"topic {topic} 1": {"begin": 0, "end": 2},
        f"topic {topic} 2": {"begin": 0, "end": 1},
        f"{name} 0": 2,
        f"{name} 1": 2,
    }
    assert content.strayed(recorded) == []
    subject.append({topic: LOG})
    scratch.commit(topic, {0: 6, 1: 3, 2: 0})
    assert content.strayed(recorded) == []
    later = content.positions()
    scratch.commit(topic, {0: 0})
    assert list(content.strayed(later)) == [f"{name} 0: expected offset 6 or later, observed 0: 6 again"]
    scratch.commit(topic, {0: 9})
    (beyond,) = content.strayed(later)
    assert beyond.startswith(f"{name} 0: expected an offset up to the end")
    scratch.delete_group()
    assert [line.partition(":")[0] for line in content.strayed(later)] == [f"{name} {n}" for n in range(3)]
    subject.write(topic, LOG, partitions=PARTITIONS)
    lines = content.strayed(later)
    assert f"topic {topic} 0: expected to end at 8 or later, observed 4" in lines
    subject.write(topic, (), partitions=1)
    assert content.strayed(later)[0] == f"topic {topic}: expected 3 partitions, observed 1"


def test_reading_joins_no_group_and_commits_nothing(subject: Kafka, content: Reader) -> None:
    with Broker(subject.scratch.reach) as broker:
        before = broker.states()
        with subject.view() as view:
            view.counts()
        assert digests(content, subject.many)[0].records == subject.counts[subject.many]
        assert broker.states() == before


def test_a_closed_port_refuses(subject: Kafka) -> None:
    with (
        closed_port() as port,
        subject.view(address=at(port), deadline_seconds=2.0) as view,
        pytest.raises(Unverifiable, match="refused"),
    ):
        view.counts()


def test_no_topic_has_no_schema_and_no_counts(subject: Kafka) -> None:
    changes, _ = subject.nothing
    with subject.content(**changes) as content, subject.view(**changes) as view:
        assert content.schemas() == {}
        assert view.counts() == {}


def test_an_end_that_is_not_reached_is_unverifiable(subject: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that says there is more than it gives is not believed to have given all."""
    stated = Broker.ends

    def one_more(broker: Broker, partitions: list[Partition], countdown: Countdown) -> dict[Partition, int]:
        return {place: end + 1 for place, end in stated(broker, partitions, countdown).items()}

    monkeypatch.setattr(Broker, "ends", one_more)
    with (
        subject.view(topics=(subject.full,), deadline_seconds=2.0) as view,
        pytest.raises(Unverifiable, match="more than 2 s"),
    ):
        view.counts()
