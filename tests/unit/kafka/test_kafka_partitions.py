"""Answers by partition: what one leaves out is asked again, and never a position."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from rollproof.errors import Meaning, Unverifiable
from rollproof.stores.kafka import view
from rollproof.stores.kafka.admin import Admin
from rollproof.stores.kafka.inventory import Inventory
from rollproof.stores.kafka.ranges import RangeLog
from rollproof.stores.kafka.view import Log, partitions_of, settings
from tests.unit.kafka.test_kafka_ranges import SECONDS, TOPIC, Broker, made_broker

GONE = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
WANTED = [(TOPIC, 0), (TOPIC, 1)]


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    return made_broker(monkeypatch)


def _told(answer: Mapping[int, object], broker: Broker) -> Mapping[Any, int]:
    """Return the offsets of `WANTED` by a broker that answers so for each partition."""
    answers = [
        SimpleNamespace(
            topic=TOPIC,
            partition=number,
            error=result if isinstance(result, KafkaError) else None,
            offset=OFFSET_INVALID if isinstance(result, KafkaError) else result,
        )
        for number, result in answer.items()
    ]
    with Log(broker.reach) as log, pytest.MonkeyPatch.context() as patch:
        consumer = SimpleNamespace(
            offsets_for_times=lambda *_, **__: answers,
            list_topics=lambda **_: None,
            poll=lambda _: None,
            close=log._consumer.close,
        )
        patch.setattr(log, "_consumer", consumer)
        return log.ends(WANTED, broker.reach.start())


def test_each_partition_has_its_offset(broker: Broker) -> None:
    assert _told({0: 0, 1: 7}, broker) == {(TOPIC, 0): 0, (TOPIC, 1): 7}


@pytest.mark.parametrize("answer", [{0: 5}, {0: 5, 1: -1}, {0: 5, 1: -2}, {0: 5, 1: OFFSET_INVALID}, {}])
def test_a_partition_without_an_offset_was_not_answered(answer: Mapping[int, object], broker: Broker) -> None:
    with pytest.raises(
        Unverifiable, match=rf"an offset of partition [01] of {TOPIC}, observed none"
    ) as caught:
        _told(answer, broker)
    assert caught.value.means is Meaning.OTHER


@pytest.mark.parametrize("of", ["the question", "a partition"])
@pytest.mark.parametrize("code", [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError._UNKNOWN_PARTITION])
def test_a_leader_that_moved_is_asked_for_once_more(code: int, of: str, broker: Broker) -> None:
    """The library remembers who led a partition, and whether there was one."""
    wanted, asked = {(TOPIC, 0): 7}, list[str]()
    with Log(broker.reach) as log, pytest.MonkeyPatch.context() as patch:

        def offsets(*_: object, **__: object) -> list[object]:
            asked.append("offsets")
            error = KafkaError(code) if asked == ["offsets"] else None
            if error and of == "the question":
                raise KafkaException(error)
            return [SimpleNamespace(topic=TOPIC, partition=0, error=error, offset=7)]

        consumer = SimpleNamespace(
            offsets_for_times=offsets,
            list_topics=lambda **_: asked.append("metadata"),
            close=log._consumer.close,
        )
        patch.setattr(log, "_consumer", consumer)
        assert log.ends(wanted, broker.reach.start()) == wanted
    assert asked == ["offsets", "metadata", "offsets"]


def test_a_topic_that_was_made_meanwhile_is_known(broker: Broker) -> None:
    with Log(broker.reach) as log:
        with pytest.raises(Unverifiable, match="the ends of the partitions of later"):
            log.ends([("later", 0)], broker.reach.start())
        broker.owner.list_topics("later", timeout=SECONDS)
        assert log.ends([("later", 0)], broker.reach.start()) == {("later", 0): 0}


def test_a_broker_that_does_not_answer_for_a_partition_is_out_of_reach(broker: Broker) -> None:
    with pytest.raises(
        Unverifiable, match=r"the ends of the partitions of jobs within .*Timed out"
    ) as caught:
        _told({0: 5, 1: KafkaError(KafkaError._TIMED_OUT)}, broker)
    assert caught.value.means is Meaning.TIMEOUT


def test_a_partition_that_is_gone_is_told_in_the_broker_s_words(broker: Broker) -> None:
    with pytest.raises(Unverifiable, match=f"partition 1 of {TOPIC} .*Unknown topic or partition") as caught:
        _told({0: 5, 1: GONE}, broker)
    assert (caught.value.means, "deleted since" in caught.value.hint) == (Meaning.OTHER, True)


@pytest.mark.parametrize("partition", [(TOPIC, 99), ("another", 0)])
@pytest.mark.parametrize("beside", [[], [(TOPIC, 0)]])
def test_what_is_gone_is_no_broker_out_of_reach(
    partition: tuple[str, int], beside: list[tuple[str, int]], broker: Broker
) -> None:
    """By the library's own broker: there the library itself says that it knows no such partition."""
    wanted = [*beside, partition]
    asked: dict[str, Callable[[Log, Inventory], object]] = {
        "ends": lambda log, _: log.ends(wanted, broker.reach.start()),
        "records": lambda log, _: [*log.records(dict.fromkeys(wanted, 0), broker.reach.start())],
        "beginnings": lambda log, _: log.beginnings(wanted, broker.reach.start()),
        "offsets": lambda _, inventory: inventory.committed("group", wanted),
    }
    with RangeLog(broker.reach) as log, Inventory(broker.reach) as inventory:
        # An error of before says nothing of this one.
        log._errors.append(KafkaError(KafkaError._TRANSPORT))
        for name, ask in asked.items():
            with pytest.raises(Unverifiable) as caught:
                ask(log, inventory)
            assert (name, caught.value.means) == (name, Meaning.OTHER)
            assert "it was deleted since it was listed" in caught.value.hint


@pytest.mark.parametrize(
    ("error", "partitions", "said"),
    [
        (None, [0, 2], "each partition of jobs, observed 0, 2"),
        (None, [], "each partition of jobs, observed none"),
        (GONE, [], "the partitions of jobs .*Unknown topic or partition"),
    ],
)
def test_a_topic_of_which_a_partition_is_not_named_was_not_answered(
    error: KafkaError | None, partitions: list[int], said: str, broker: Broker
) -> None:
    topic = SimpleNamespace(topic=TOPIC, error=error, partitions=dict.fromkeys(partitions))
    consumer = SimpleNamespace(list_topics=lambda **_: SimpleNamespace(topics={TOPIC: topic}))
    log = SimpleNamespace(_translated=lambda _: nullcontext(), _reach=broker.reach, _consumer=consumer)
    with pytest.raises(Unverifiable, match=said) as caught:
        Log.topics(cast("Log", log), ["*"])
    assert caught.value.means is Meaning.OTHER
    with pytest.raises(Unverifiable):
        partitions_of(broker.reach, topic)


def test_a_topic_of_others_is_named_whatever_the_broker_tells_of_its_partitions(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.owner.list_topics("another", timeout=SECONDS)

    def untold(*_: object) -> int:
        raise broker.reach.failed("none", expected="each partition")

    monkeypatch.setattr(view, "partitions_of", untold)
    assert "topic another" in broker.content.beside().outside


def _commit(broker: Broker, offset: int) -> None:
    consumer = Consumer(settings(broker.reach) | {"group.id": "group"})
    consumer.commit(offsets=[TopicPartition(TOPIC, 1, offset)], asynchronous=False)
    consumer.close()


def test_a_group_has_an_offset_where_it_has_committed_one(broker: Broker) -> None:
    _commit(broker, 5)
    with Admin(broker.reach) as admin:
        assert admin.committed("group", [(TOPIC, 0), (TOPIC, 1)]) == {(TOPIC, 1): 5}
        assert admin.committed("group", []) == {}
        assert admin.offsets("group", {TOPIC: 4}) == {TOPIC: {"1": 5}}
        assert admin.offsets("group", {TOPIC: 1}) == {}


@pytest.mark.parametrize("left", [[], [TopicPartition(TOPIC, 0, 3)]])
def test_a_partition_that_the_offsets_of_a_group_leave_out_was_not_answered(
    left: list[TopicPartition], broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Future[object]()
    answer.set_result(SimpleNamespace(topic_partitions=left))
    client = SimpleNamespace(list_consumer_group_offsets=lambda *_, **__: {"group": answer})
    with Inventory(broker.reach) as inventory, monkeypatch.context() as patch:
        patch.setattr(inventory, "_client", client)
        with pytest.raises(
            Unverifiable, match=r"an offset of partition [01] of jobs, observed none"
        ) as caught:
            inventory.committed("group", WANTED)
    assert caught.value.means is Meaning.OTHER


def test_metadata_without_the_topic_was_not_answered(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    client = SimpleNamespace(list_topics=lambda *_, **__: SimpleNamespace(topics={}, brokers={}))
    with Inventory(broker.reach) as inventory, monkeypatch.context() as patch:
        patch.setattr(inventory, "_client", client)
        with pytest.raises(Unverifiable, match="metadata of jobs, observed none"):
            inventory.schema(TOPIC)
