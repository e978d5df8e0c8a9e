"""Questions to the library's own broker, by a view."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rollproof.errors import Unverifiable
from rollproof.stores.contract import Pace
from rollproof.stores.kafka import relay
from rollproof.stores.kafka.content import Content
from rollproof.stores.kafka.view import Log, Partition, View
from rollproof.stores.reach import Countdown, Reach, Readable
from tests.unit.kafka.test_kafka_ranges import TOPIC, Broker, made_broker

SECONDS = 60.0


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    return made_broker(monkeypatch)


def _view(broker: Broker, **changes: object) -> View:
    return View(Readable("kafka", broker.profile.model_copy(update=changes), broker.reach.endpoint))


def test_a_log_that_takes_longer_than_the_deadline_is_asked_all_the_same(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question needs few records, a count all."""
    read = Log.records

    def slowly(
        log: Log,
        starts: Mapping[Partition, int],
        countdown: Countdown,
        ends: dict[Partition, int] | None = None,
    ) -> Generator[Any]:
        for number, message in enumerate(read(log, starts, countdown, ends)):
            if number == 200:
                # As if these had taken all of it.
                object.__setattr__(countdown, "started", countdown.started - SECONDS)
            yield message

    monkeypatch.setattr(Log, "records", slowly)
    broker.produce(1200, 0)
    with _view(broker, deadline_seconds=SECONDS) as view:
        answer = view.ask()
        assert (answer.collection, answer.records) == (TOPIC, 100)
        with pytest.raises(Unverifiable, match="more than 60 s"):
            view.counts()


def test_a_broker_s_own_topics_never_match(broker: Broker) -> None:
    found = {
        name: SimpleNamespace(topic=name, error=None, partitions={0: 0, 1: 1})
        for name in ("b", "__consumer_offsets", "a")
    }
    consumer = SimpleNamespace(list_topics=lambda **_: SimpleNamespace(topics=found))
    log = SimpleNamespace(_translated=lambda _: nullcontext(), _reach=broker.reach, _consumer=consumer)
    assert Log.topics(cast("Log", log), ["*"]) == {"a": 2, "b": 2}


def test_the_way_to_the_broker_is_asked_once_a_reader_and_again_after_a_failure(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is re-created may send its clients elsewhere; until then all go the same way."""
    asked, named = list[str](), relay.named_brokers

    def counted(reach: Reach) -> list[tuple[str, int]]:
        asked.append(reach.address)
        return named(reach)

    monkeypatch.setattr(relay, "named_brokers", counted)
    broker.produce(3, 0)
    asked.clear()
    readable = Readable("kafka", broker.profile, broker.reach.endpoint)
    with Content(readable) as content:
        division = content.divide(TOPIC, 2)
        assert sum(1 for _ in content.records(TOPIC, division, range(len(division)), Pace())) == 3
        assert content.positions()
        assert asked == [broker.reach.address]
        with pytest.raises(Unverifiable, match="no such topic"):
            content.divide("another", 2)
        content.positions()
        assert len(asked) == 2
    with View(readable) as view:
        assert view.counts() == view.counts() == {TOPIC: 3}
        assert len(asked) == 3
