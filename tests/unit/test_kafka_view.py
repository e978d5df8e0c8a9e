"""Questions to the library's own broker, by a view."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any

import pytest

from fixtures.errors import Unverifiable
from fixtures.stores.kafka.view import Log, Partition, View
from fixtures.stores.reach import Countdown, Readable
from tests.unit.test_kafka_ranges import TOPIC, Broker, made_broker


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
        for message in read(log, starts, countdown, ends):
            time.sleep(0.005)
            yield message

    monkeypatch.setattr(Log, "records", slowly)
    broker.produce(1200, 0)
    with _view(broker, deadline_seconds=3.0) as view:
        answer = view.ask()
        assert (answer.collection, answer.records) == (TOPIC, 100)
        with pytest.raises(Unverifiable, match="more than 3 s"):
            view.counts()
