"""Kafka's write side on a broker in memory that removes records by itself, and leaves holes between them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from rollback_actions.containers.compose import ComposeControl
from rollproof.stores.kafka import keeper as kafka
from rollproof.stores.kafka.admin import Topic
from rollproof.stores.kafka.keeper import Keeper
from rollproof.stores.kafka.records import Record
from rollproof.stores.kafka.upkeep import Upkeep
from rollproof.stores.writable import Writable
from tests.unit.sandbox import stand_in
from tests.unit.stores.test_readers_reach import NOWHERE, section

TOPIC = "tasks"
HOUR = 3_600_000
OLD = int(time.time() * 1000) - 2 * HOUR


@dataclass
class Message:
    """A record, as the library gives it."""

    offset: int
    key: bytes | None = b"k"
    value: bytes | None = b"v"
    timestamp: int = OLD
    topic: str = TOPIC
    partition: int = 0
    timestamp_type: int = 0
    headers: tuple[()] = ()


@dataclass
class Broker:
    """One topic of one partition; `end` is beyond the last record, as after a transaction's marker."""

    log: list[Message]
    end: int
    begin: int = 0
    upkeep: Upkeep = field(default_factory=Upkeep)
    groups: dict[str, int] = field(default_factory=dict)
    busy: tuple[str, ...] = ()
    deleted: int = 0

    # What the keeper reads.

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def cluster(self) -> str:
        return "one"

    def topics(self, _: Iterable[str]) -> dict[str, int]:
        return {TOPIC: 1}

    names = topics

    def every_record(self, _: object, __: object, ends: dict[Any, int] | None = None) -> Iterator[Message]:
        return self.records({TOPIC: 0}, None, ends)

    def records(
        self, starts: Mapping[Any, int], _: object, ends: dict[Any, int] | None = None
    ) -> Iterator[Message]:
        if ends is not None:
            ends[TOPIC, 0] = self.end
        yield from (one for one in self.log if one.offset >= max(self.begin, *starts.values()))

    # What it does.

    def describe(self, _: str) -> Topic:
        return Topic(partitions=1, replication=1, configuration={})

    def upkeep_of(self, _: str) -> Upkeep:
        return self.upkeep

    def beginnings(self, *_: object) -> dict[Any, int]:
        return {(TOPIC, 0): self.begin}

    def groups_of(self, patterns: Iterable[str]) -> list[str]:
        return sorted(self.groups) if "*" in patterns else [name for name in self.groups if name == "ours"]

    def offsets(self, group: str, topics: Any) -> dict[str, dict[str, int]]:  # noqa: ANN401 - a container
        return {TOPIC: {"0": self.groups[group]}} if group in self.groups and TOPIC in topics else {}

    def set_offsets(self, group: str, wanted: Mapping[str, Mapping[str, int]]) -> None:
        assert group not in self.busy
        for partitions in wanted.values():
            self.groups[group] = partitions["0"]

    def expect_idle(self, groups: Iterable[str], *_: object) -> None:
        if set(groups) & set(self.busy):
            raise InterruptedError("it has members")

    def configure(self, *_: object, **__: object) -> None:
        pass

    def delete(self, *_: object) -> None:
        self.log, self.begin, self.end, self.groups = [], 0, 0, {}
        self.deleted += 1

    def create(self, *_: object) -> None:
        pass

    def produce(self, _: str, records: Iterable[Record], __: object) -> None:
        for record in records:
            stamp, key, value, headers = record.message()
            assert headers == []
            self.log.append(Message(self.end, key, value, stamp))
            self.end += 1


class _Admin:
    """The broker by the names of `Admin`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.upkeep, self.groups = broker.upkeep_of, broker.groups_of

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a method
        return getattr(self._broker, name)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """A log with a hole at 3 and one at its end, half read by a group of the profile and by another."""
    made = Broker(
        [Message(n, b"key %d" % n) for n in (0, 1, 2, 4, 5)], end=7, groups={"ours": 4, "theirs": 5}
    )
    monkeypatch.setattr(kafka, "Admin", lambda _: _Admin(made))
    monkeypatch.setattr(kafka, "SETTLE_SECONDS", 0.0)
    return made


@pytest.fixture
def keeper() -> Keeper:
    profile = section("kafka").model_copy(update={"topics": (TOPIC,), "groups": ("ours",)})
    return Keeper(Writable("kafka", profile, NOWHERE, stand_in(ComposeControl), 60.0))  # type: ignore[arg-type]


def _numbers(broker: Broker) -> list[int]:
    return [one.offset for one in broker.log]


def test_what_the_broker_removed_by_age_is_no_damage(broker: Broker, keeper: Keeper, tmp_path: Path) -> None:
    broker.upkeep = Upkeep(milliseconds=HOUR)
    keeper.back_up(tmp_path)
    broker.begin, broker.log = 5, broker.log[4:]
    broker.groups |= {"ours": 6}
    restored = keeper.restore(tmp_path)
    assert (broker.deleted, _numbers(broker), restored.records) == (0, [5], {TOPIC: 1})
    assert restored.notes == (f"4 records of topic {TOPIC} have expired since the backup, and stay away",)
    # The record before which ours stood is gone: it goes on with the first that is there.
    assert broker.groups == {"ours": 5, "theirs": 5}


@pytest.mark.parametrize("upkeep", [Upkeep(), Upkeep(milliseconds=100 * HOUR), Upkeep(compacted=True)])
def test_what_went_otherwise_is_damage_and_every_group_keeps_its_place(
    broker: Broker, keeper: Keeper, tmp_path: Path, upkeep: Upkeep
) -> None:
    broker.upkeep = upkeep
    keeper.back_up(tmp_path)
    broker.begin, broker.log = 2, broker.log[2:]
    # A migration that shortens the retention does not make that an expiry.
    broker.upkeep = Upkeep(milliseconds=1)
    restored = keeper.restore(tmp_path)
    assert (broker.deleted, _numbers(broker)) == (1, [0, 1, 2, 3, 4])
    assert "2 of its records were gone" in restored.notes[0]
    # Before the records that were at 4 and 5.
    assert broker.groups == {"ours": 3, "theirs": 4}
    assert any("group theirs, which is not in the profile" in note for note in restored.notes)


def test_a_group_that_came_since_the_backup_keeps_its_place_too(
    broker: Broker, keeper: Keeper, tmp_path: Path
) -> None:
    keeper.back_up(tmp_path)
    broker.groups["later"] = 7
    del broker.log[0]
    keeper.restore(tmp_path)
    assert broker.groups == {"ours": 3, "theirs": 4, "later": 5}


def test_a_member_of_another_group_stops_only_what_would_strand_it(
    broker: Broker, keeper: Keeper, tmp_path: Path
) -> None:
    keeper.back_up(tmp_path)
    broker.busy = ("theirs",)
    keeper.restore(tmp_path)
    del broker.log[0]
    with pytest.raises(InterruptedError):
        keeper.restore(tmp_path)
    assert (broker.deleted, _numbers(broker)) == (0, [1, 2, 4, 5])
