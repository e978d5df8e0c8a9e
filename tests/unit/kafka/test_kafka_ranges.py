"""Ranges of a log, read from the library's own broker, which answers as Apache Kafka does."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from confluent_kafka import Producer

from rollproof.engines.engine import Endpoint
from rollproof.errors import Unverifiable
from rollproof.profile.sections import Address
from rollproof.stores.contract import Digest, Pace
from rollproof.stores.kafka import content as kafka_content
from rollproof.stores.kafka.content import Content
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.kafka.inventory import Inventory
from rollproof.stores.kafka.ranges import RangeLog, Segment
from rollproof.stores.kafka.upkeep import Upkeep
from rollproof.stores.kafka.view import settings
from rollproof.stores.reach import NOBODY, Reach, Readable
from tests.stack.content_reading import expect_parts_are_whole, read

TOPIC = "jobs"
SECONDS = 60.0
STAMP = 1_700_000_000_000


@dataclass(frozen=True)
class Broker:
    reach: Reach
    profile: KafkaProfile
    content: Content
    owner: Producer  # the broker lives as long as this does

    def produce(self, count: int, partition: int, transactional: str = "") -> None:
        producer = Producer(
            settings(self.reach)
            | {"allow.auto.create.topics": True}
            | ({"transactional.id": transactional} if transactional else {})
        )
        if transactional:
            producer.init_transactions(SECONDS)
            producer.begin_transaction()
        for number in range(count):
            producer.produce(TOPIC, value=b"%d" % number, partition=partition, timestamp=STAMP)
        assert producer.flush(SECONDS) == 0
        if transactional:
            producer.commit_transaction(SECONDS)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    return made_broker(monkeypatch)


def made_broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """Return a broker whose topic is empty."""
    owner = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
    (address,) = owner.list_topics(TOPIC, timeout=SECONDS).brokers.values()
    profile = KafkaProfile(
        kind="kafka",
        address=Address(host=address.host, port=address.port),
        services=("kafka",),
        risk="low",
        topics=(TOPIC,),
    )
    endpoint = Endpoint(address.host, address.port)
    # That broker keeps no configuration.
    monkeypatch.setattr(Inventory, "upkeep", lambda *_: Upkeep())
    return Broker(
        Reach("kafka", endpoint, NOBODY, SECONDS),
        profile,
        Content(Readable("kafka", profile, endpoint)),
        owner,
    )


def test_any_division_holds_every_record_once(broker: Broker) -> None:
    broker.produce(500, 0)
    broker.produce(7, 2)
    assert broker.content.divide(TOPIC, 200) == ("", "0:0", "0:200", "0:400", "1:0", "2:0", "3:0")
    expect_parts_are_whole(broker.content, TOPIC, sizes=(3, 100, 1000))


def test_an_empty_topic_has_one_empty_part(broker: Broker) -> None:
    assert broker.content.divide(TOPIC, 200) == ("",)
    assert read(broker.content, TOPIC).digests == {0: Digest(0, 0)}


def test_markers_of_transactions_are_no_records(broker: Broker) -> None:
    broker.produce(2, 0)
    broker.produce(2, 0, "first")
    broker.produce(1, 0)
    broker.produce(1, 0, "second")
    # A marker is at 4 and at 7, where the log ends.
    assert list(read(broker.content, TOPIC).records) == [f"0/{offset}" for offset in (0, 1, 2, 3, 5, 6)]


def test_a_log_that_begins_before_its_range_was_made_anew(broker: Broker) -> None:
    broker.produce(5, 0)
    with (
        RangeLog(broker.reach) as log,
        pytest.raises(Unverifiable, match="re-created meanwhile"),
    ):
        list(log.read(TOPIC, [Segment(0, 0, 100, 200)], Pace()))


def test_positions_tell_where_a_log_ends(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_content, "SETTLE_SECONDS", 0.1)
    broker.produce(5, 1)
    recorded = broker.content.positions()
    assert recorded[f"topic {TOPIC} 1"] == {"begin": 0, "end": 5}
    assert list(broker.content.strayed(recorded)) == []
    assert list(broker.content.strayed({**recorded, f"topic {TOPIC} 1": {"begin": 0, "end": 6}})) == [
        f"topic {TOPIC} 1: expected to end at 6 or later, observed 5"
    ]


def test_an_end_that_comes_late_is_no_stray(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is behind says so at first; only what it still says later is believed."""
    broker.produce(5, 1)
    recorded = broker.content.positions()
    behind = {**recorded, f"topic {TOPIC} 1": {"begin": 0, "end": 4}}
    answers = iter([behind, recorded])
    monkeypatch.setattr(Content, "positions", lambda _: next(answers))
    monkeypatch.setattr(kafka_content, "SETTLE_SECONDS", 0.1)
    assert list(broker.content.strayed(recorded)) == []
