"""Kafka as a subject of the contract: topics with records of every shape, and the offsets of a group."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import ClassVar, cast

import pytest

from rollproof.stores.kafka import keeper as kafka
from rollproof.stores.kafka.admin import Admin
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.reach import NOBODY, Reach
from tests.stack.kafka_scratch import Scratch, made_record
from tests.stack.scratch_stores import changed
from tests.stack.stores.keeping.subject import WHOLE, Bench, Chosen, Damage, Exported, Subject

PARTITIONS, RECORDS = 4, 40
TIME = 1_700_000_000_123
CONFIGURATION = {"retention.ms": "-1", "cleanup.policy": "delete"}
OTHERWISE = {"retention.ms": "3600000", "max.message.bytes": "1000000"}
# Partition 3 has records and no offset: its group never got there.
OFFSETS = {0: 7, 1: 10, 2: 0}
# Each is damaged in a way of its own.
TOPICS = ("moved", "gone", "fewer", "emptied", "others", "configured")


def _moved(subject: Kafka) -> None:
    subject.scratch.commit(subject.topic("moved"), {0: 1, 1: 9, 2: 5})


def _gone(subject: Kafka) -> None:
    subject.scratch.delete(subject.topic("gone"))


def _fewer(subject: Kafka) -> None:
    topic = subject.topic("fewer")
    subject.made_anew(topic, 2)
    subject.scratch.produce(topic, 30, 2)
    subject.scratch.commit(topic, {0: 3, 1: 3})


def _emptied(subject: Kafka) -> None:
    subject.made_anew(subject.topic("emptied"), PARTITIONS, CONFIGURATION)


def _others(subject: Kafka) -> None:
    topic = subject.topic("others")
    subject.made_anew(topic, PARTITIONS, CONFIGURATION)
    subject.scratch.produce(topic, RECORDS, PARTITIONS, word="another")
    subject.scratch.commit(topic, OFFSETS)


def _configured(subject: Kafka) -> None:
    topic = subject.topic("configured")
    subject.made_anew(topic, PARTITIONS, OTHERWISE)
    subject.scratch.produce(topic, RECORDS, PARTITIONS)
    subject.scratch.commit(topic, OFFSETS)


class Kafka(Subject):
    """The stack's broker, which asks nobody for a secret."""

    shown: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "0/0": {
            "partition": 0,
            "offset": 0,
            "time": "2023-11-14T22:13:20.123+00:00",
            "milliseconds": TIME,
            "stamped by": "the producer",
            "key": {"base64": "AP8="},
            "value": "{\"a\": 'ü\n'}",
            "headers": [["h", "1"], ["h", {"base64": "/w=="}], ["none", None], ["ü", ""]],
        }
    }
    exclude = ("key", "value", "headers", "timestamp")
    locked = False

    rounds: ClassVar[Mapping[str, Mapping[str, Damage]]] = {
        "topics and offsets": {
            "offsets moved": _moved,
            "a topic deleted": _gone,
            "fewer partitions": _fewer,
            "emptied": _emptied,
            "other records": _others,
            "another configuration": _configured,
        }
    }
    words = ("every retained record",)
    kills = (0, 1)
    disturbed = "something writes"

    def __init__(self, bench: Bench, opened: ExitStack) -> None:
        stack = cast("KafkaProfile", bench.target.stores["kafka"])
        name = f"scratch_{uuid.uuid4().hex[:8]}_"
        profile = changed(stack, topics=(f"{name}*",), groups=(f"{name}*",), exclude={}, policy={})
        self.settle("kafka", profile, bench.engine.resolve(profile.address), bench.control)
        self.scratch = Scratch(Reach("kafka", self.place.endpoint, NOBODY, 60), name)
        self._beside = f"beside_{name}"
        self.notes = frozenset({f"topic {self.topic('later')} came after the backup and was deleted"})
        # These tests write and read through one broker, whose ends are never old.
        opened.enter_context(pytest.MonkeyPatch.context()).setattr(kafka, "SETTLE_SECONDS", 0.1)
        self.scratch.create(self._beside, 1)
        opened.callback(self.scratch.delete, self._beside)
        opened.callback(self.clear)
        self.scratch.produce(self._beside, 3, 1)

    def topic(self, suffix: str) -> str:
        return f"{self.scratch.name}{suffix}"

    def made_anew(self, topic: str, partitions: int, configuration: Mapping[str, str] | None = None) -> None:
        self.scratch.delete(topic)
        self.scratch.create(topic, partitions, configuration)

    def clear(self) -> None:
        self.scratch.clear()

    # The export.

    def _log(self) -> Exported:
        """Make a topic of two records with all that one can hold, and some of every shape."""
        topic = self.scratch.topic
        self.scratch.create(topic, 3)
        headers = [("h", b"1"), ("h", b"\xff"), ("none", None), ("ü", b"")]
        whole = made_record(0, b"\x00\xff", "{\"a\": 'ü\n'}".encode(), headers, TIME)
        self.scratch.append(topic, [whole, made_record(0, b"tombstone", None, milliseconds=1)])
        self.scratch.produce(topic, 200, 3)
        return Exported(topic, lambda: self.made_anew(topic, 3), size=30)

    exported: ClassVar[Mapping[str, Callable[[Kafka], Exported]]] = {"a log": _log}

    def choose(self) -> Chosen:
        made = self._log()

        def spoil() -> None:
            """Make the topic anew: of the wanted records, one is not there, and one is another."""
            made.damage()
            values = {1: b"another", 2: bytes([2, 0, 255]) * 2}
            self.scratch.append(
                made.name,
                [
                    made_record(number, f"job {number}".encode(), value, (), 1_700_000_000_000 + number)
                    for number, value in values.items()
                ],
            )

        return Chosen(made.name, ("0/3", "1/0", "2/0"), spoil, ("2/0",))

    # The keeper.

    def fill(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.clear()
        for suffix in TOPICS:
            topic = self.topic(suffix)
            self.scratch.create(topic, PARTITIONS, CONFIGURATION)
            self.scratch.produce(topic, RECORDS, PARTITIONS)
            self.scratch.commit(topic, OFFSETS)
        return {self.topic(suffix): RECORDS for suffix in TOPICS}

    def observe(self) -> object:
        return observed(self.scratch)

    def beside(self) -> object:
        return self.scratch.records(self._beside)

    def add(self) -> None:
        self.scratch.create(self.topic("later"), 1)
        self.scratch.produce(self.topic("later"), 3, 1)

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return Admin, "produce"

    def reading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return keeper, "_write", lambda: self.scratch.produce(self.topic("moved"), 2, 1)


def observed(scratch: Scratch) -> object:
    """Return everything that a restore has to bring back."""
    topics = scratch.topics()
    records = {topic: scratch.records(topic) for topic in topics}
    with Admin(scratch.reach) as admin:
        return records, {topic: admin.describe(topic) for topic in topics}, scratch.offsets()
