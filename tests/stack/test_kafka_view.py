"""The read side of Kafka, against the stack's own broker."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores.kafka import Log, Partition, View
from fixtures.stores.profiles import KafkaProfile
from fixtures.stores.reach import NOBODY, Countdown, Reach
from fixtures.target import Target
from tests.stack.faults import closed_port, silent_port
from tests.stack.kafka_scratch import Scratch

PARTITIONS = 10


@pytest.fixture
def endpoint(target: Target, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(target.stores["kafka"].address)


@pytest.fixture
def profile(target: Target) -> KafkaProfile:
    store = target.stores["kafka"]
    assert isinstance(store, KafkaProfile)
    return store.model_copy(update={"topics": (f"scratch_{uuid.uuid4().hex[:8]}_*",)})


@pytest.fixture
def scratch(profile: KafkaProfile, endpoint: Endpoint) -> Iterator[Scratch]:
    made = Scratch(Reach("kafka", endpoint, NOBODY, 20), profile.topics[0].removesuffix("*"))
    yield made
    made.clear()


@pytest.fixture
def view(profile: KafkaProfile, endpoint: Endpoint) -> View:
    return View("kafka", profile, endpoint)


def test_counts_are_what_can_be_read(view: View, scratch: Scratch) -> None:
    scratch.create(scratch.topic, PARTITIONS)
    scratch.create(f"{scratch.name}empty", 2)
    # Fewer than the partitions, so that some of those stay empty.
    scratch.produce(scratch.topic, 7, PARTITIONS)
    assert view.counts() == {f"{scratch.name}empty": 0, scratch.topic: 7}
    scratch.produce(scratch.topic, 3000, PARTITIONS)
    started = time.monotonic()
    assert view.counts() == {f"{scratch.name}empty": 0, scratch.topic: 3007}
    assert time.monotonic() - started < 5


def test_reading_commits_nothing(view: View, scratch: Scratch) -> None:
    scratch.create(scratch.topic, 2)
    scratch.produce(scratch.topic, 10, 2)
    view.counts()
    groups = scratch.admin.list_consumer_groups(request_timeout=10).result(10).valid
    assert "rollproof" not in {group.group_id for group in groups}


def test_ask_reads_from_a_topic_that_holds_records(view: View, scratch: Scratch) -> None:
    scratch.create(f"{scratch.name}empty", 1)
    scratch.create(scratch.topic, 2)
    scratch.produce(scratch.topic, 12, 2)
    answer = view.ask()
    assert (answer.collection, answer.records) == (scratch.topic, 12)


def test_ask_without_a_topic_is_unverifiable(view: View) -> None:
    with pytest.raises(Unverifiable, match="observed none"):
        view.ask()


def test_an_end_that_is_not_reached_is_unverifiable(
    profile: KafkaProfile, endpoint: Endpoint, scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that says there is more than it gives is not believed to have given all."""
    scratch.create(scratch.topic, 1)
    scratch.produce(scratch.topic, 5, 1)
    stated = Log.ends

    def one_more(log: Log, partitions: list[Partition], countdown: Countdown) -> dict[Partition, int]:
        return dict.fromkeys(stated(log, partitions, countdown), 6)

    monkeypatch.setattr(Log, "ends", one_more)
    hasty = profile.model_copy(update={"deadline_seconds": 2.0})
    with pytest.raises(Unverifiable, match="more than 2 s"):
        View("kafka", hasty, endpoint).counts()


def test_a_closed_port_is_unverifiable(profile: KafkaProfile, endpoint: Endpoint) -> None:
    hasty = profile.model_copy(update={"deadline_seconds": 2.0})
    with pytest.raises(Unverifiable, match="refused"):
        View("kafka", hasty, replace(endpoint, host="127.0.0.1", port=closed_port())).counts()


def test_silence_ends_at_the_deadline(profile: KafkaProfile) -> None:
    hasty = profile.model_copy(update={"deadline_seconds": 1.0})
    with silent_port() as port:
        started = time.monotonic()
        with pytest.raises(Unverifiable, match="metadata within 1 s"):
            View("kafka", hasty, Endpoint("127.0.0.1", port)).counts()
    assert time.monotonic() - started < 3
