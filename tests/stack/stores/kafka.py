"""Kafka: a log with a record of every shape, a topic for each change of it, and the offsets of a group."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any, ClassVar, cast

import pytest

from rollproof.stores.kafka import keeper as kafka
from rollproof.stores.kafka.admin import Admin
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.keepers import open_keeper
from rollproof.stores.reach import NOBODY, Reach
from tests.stack.kafka_scratch import SECONDS, Scratch, made_record
from tests.stack.scratch_stores import changed
from tests.stack.stores.subject import WHOLE, Act, Change, Chosen, Exported, Given, Sizes, Subject, Way

LOG_PARTITIONS = 3
MANY = 3000


@dataclass(frozen=True)
class Message:
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    milliseconds: int = 1_700_000_000_000


Log = tuple[Message, ...]
LOG = (
    Message(0, b"ab", b"c", (("h", b"1"), ("h", b"2"), ("n", None))),
    Message(0, b"left", b"left side"),
    Message(0, b"right", b"right sid"),
    Message(0, None, b"1"),
    Message(1, b"tombstone", None),
    Message(1, b"word", b"Word"),
    Message(2, b"last", b"\x00\xff"),
)
ALL = {f"{partition}/{offset}" for partition, count in ((0, 4), (1, 2), (2, 1)) for offset in range(count)}
TWO = {"0/1": {"key", "value"}, "0/2": {"key", "value"}}


def _with(index: int, **changes: object) -> Log:
    altered = replace(LOG[index], **changes)  # type: ignore[arg-type]
    return (*LOG[:index], altered, *LOG[index + 1 :])


LOGS: Mapping[str, tuple[Log, Mapping[str, set[str] | None]]] = {
    "lost": (LOG[:-1], {"2/0": None}),
    "one lost between": ((LOG[0], *LOG[2:]), {**TWO, "0/3": None}),
    "added": ((*LOG, Message(1, b"x", b"y")), {"1/2": None}),
    "duplicated": ((*LOG, LOG[-1]), {"2/1": None}),
    "values swapped": (
        (LOG[0], replace(LOG[1], value=LOG[2].value), replace(LOG[2], value=LOG[1].value), *LOG[3:]),
        {"0/1": {"value"}, "0/2": {"value"}},
    ),
    "order swapped": ((LOG[0], LOG[2], LOG[1], *LOG[3:]), TWO),
    "moved between partitions": (_with(6, partition=1), {"2/0": None, "1/2": None}),
    "one bit": (_with(6, value=b"\x00\xfe"), {"2/0": {"value"}}),
    "tombstone to empty": (_with(4, value=b""), {"1/0": {"value"}}),
    "no key to empty": (_with(3, key=b""), {"0/3": {"key"}}),
    "trailing space": (_with(5, value=b"Word "), {"1/1": {"value"}}),
    "case": (_with(5, value=b"word"), {"1/1": {"value"}}),
    "precision": (_with(3, value=b"1.0"), {"0/3": {"value"}}),
    "boundary between key and value": (_with(0, key=b"a", value=b"bc"), {"0/0": {"key", "value"}}),
    "header": (_with(0, headers=(("h", b"1"), ("h", b"3"), ("n", None))), {"0/0": {"headers"}}),
    "headers in another order": (
        _with(0, headers=(("h", b"2"), ("h", b"1"), ("n", None))),
        {"0/0": {"headers"}},
    ),
    "header to empty": (_with(0, headers=(("h", b"1"), ("h", b"2"), ("n", b""))), {"0/0": {"headers"}}),
    "headers lost": (_with(0, headers=()), {"0/0": {"headers"}}),
    "boundary in headers": (_with(0, headers=(("h1", b""), ("h", b"2"), ("n", None))), {"0/0": {"headers"}}),
    "time": (_with(1, milliseconds=1_700_000_000_001), {"0/1": {"timestamp"}}),
    "emptied": ((), dict.fromkeys(ALL)),
}


def _defined(partitions: int, **configuration: str) -> Act:
    def act(subject: Kafka) -> None:
        named = {name.replace("_", "."): value for name, value in configuration.items()}
        if subject.settings in subject.scratch.topics():
            subject.scratch.delete(subject.settings)
        subject.scratch.create(subject.settings, partitions, named)

    return act


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
    subject.recreated(topic, 2)
    subject.scratch.produce(topic, 30, 2)
    subject.scratch.commit(topic, {0: 3, 1: 3})


def _emptied(subject: Kafka) -> None:
    subject.recreated(subject.topic("emptied"), PARTITIONS, CONFIGURATION)


def _others(subject: Kafka) -> None:
    topic = subject.topic("others")
    subject.recreated(topic, PARTITIONS, CONFIGURATION)
    subject.scratch.produce(topic, RECORDS, PARTITIONS, word="another")
    subject.scratch.commit(topic, OFFSETS)


def _configured(subject: Kafka) -> None:
    topic = subject.topic("configured")
    subject.recreated(topic, PARTITIONS, OTHERWISE)
    subject.scratch.produce(topic, RECORDS, PARTITIONS)
    subject.scratch.commit(topic, OFFSETS)


def observed(scratch: Scratch) -> object:
    """Return everything that a restore has to bring back."""
    topics = scratch.topics()
    records = {topic: scratch.records(topic) for topic in topics}
    with Admin(scratch.reach) as admin:
        return records, {topic: admin.describe(topic) for topic in topics}, scratch.offsets()


class Kafka(Subject):
    """Records by partition and offset. A log cannot be changed: a change is another topic."""

    store = "kafka"
    changes: Mapping[str, Change] = {name: (lambda _: None, seen) for name, (_, seen) in LOGS.items()}
    equals: ClassVar[Mapping[str, Act]] = {"the topic made again": lambda s: s.write(s.full, LOG)}
    schema_changes: ClassVar[Mapping[str, Act]] = {
        "partitions": _defined(3, cleanup_policy="delete", retention_ms="60000"),
        "a setting": _defined(3, cleanup_policy="delete", retention_ms="60001"),
        "another setting": _defined(3, cleanup_policy="compact", retention_ms="60001"),
        "a topic gone": lambda s: s.scratch.delete(s.settings),
    }
    position_changes: ClassVar[Mapping[str, Act]] = {
        "an offset reset": lambda s: s.scratch.commit(s.full, {0: 0}),
        "an offset beyond the end": lambda s: s.scratch.commit(s.full, {0: 900}),
        "a group lost": lambda s: s.scratch.delete_group(),
    }
    shapes: ClassVar[Mapping[str, Sizes]] = {"as filled": "at most"}
    ways: ClassVar[Mapping[Way, str]] = {"closed port": "within 2 s", "silence": "within 1 s"}
    gone = "UnknownTopicOrPartition"
    excluded = ("timestamp", "headers")
    hidden, shown = "time", "one bit"
    hasty = 1.0
    server = "Kafka cluster "

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        stored = cast("KafkaProfile", given.target.stores["kafka"])
        name = f"scratch_{uuid.uuid4().hex[:8]}_"
        self.nothing = ({"topics": (f"{name}none*",)}, "observed none")
        reach = Reach("kafka", given.engine.resolve(stored.address), NOBODY, SECONDS)
        self.scratch = Scratch(reach, name)
        self.full, self.many, self.settings = (f"{name}{part}" for part in ("full", "many", "settings"))
        self.empty, self.absent, self.shape = self._topic("emptied"), f"{name}absent", f"{name}shape"
        self.logs = {self.full: LOG, **{self._topic(change): log for change, (log, _) in LOGS.items()}}
        self.keys = frozenset(ALL)
        # The first in the order of names is asked.
        added, lost = self._topic("added"), self._topic("lost")
        self.counts = {added: 8, self.empty: 0, self.full: 7, lost: 6, self.many: MANY}
        self.asked = (added, 8)
        # Each topic more takes time to be counted.
        self.profile = changed(stored, topics=(*self.counts, self.settings), groups=(f"{name}*",))

    def fill(self) -> None:
        for topic in (*self.logs, self.many):
            self.scratch.create(topic, LOG_PARTITIONS)
        self.append(self.logs)
        self.scratch.produce(self.many, MANY, LOG_PARTITIONS)
        self._commit()

    def _commit(self) -> None:
        self.scratch.commit(self.full, {0: 2, 1: 1})

    def damage(self, change: str) -> None:
        self.write(self.full, LOGS[change][0])

    def repair(self) -> None:
        self.write(self.full, LOG)
        self._commit()

    def mend(self) -> None:
        """Do nothing: a record stays what it is."""

    def make(self, change: str) -> str:
        return self._topic(change)

    def write(self, topic: str, log: Log, partitions: int = LOG_PARTITIONS) -> None:
        """Make a topic again with `log` in it."""
        if topic in self.scratch.topics():
            self.scratch.delete(topic)
        self.scratch.create(topic, partitions)
        self.append({topic: log})

    def append(self, logs: Mapping[str, Log]) -> None:
        """Append records to topics."""
        for topic, log in logs.items():
            self.scratch.append(topic, (made_record(*astuple(message)) for message in log))

    def shaped(self, shape: str) -> str:
        self.write(self.shape, LOG)
        return self.shape

    def stir(self, shape: str) -> tuple[set[str], set[str]]:
        self.append({self.shape: (Message(1, b"new", b"1"), Message(2, b"new", b"1"))})
        return set(), {"2/1"}

    def define(self) -> None:
        self.scratch.create(self.settings, 2, {"cleanup.policy": "delete", "retention.ms": "60000"})

    def undefine(self) -> None:
        topics = self.scratch.topics()
        for topic in (self.settings, self.shape):
            if topic in topics:
                self.scratch.delete(topic)

    def spoil(self) -> None:
        self.write(self.full, LOGS["one bit"][0], partitions=4)

    def exclude(self, fields: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        return {"*": tuple(fields)}

    def keeper(self) -> StoreKeeper:
        """Open one of two topics: the others are nothing to restore."""
        profile = self.altered(topics=(self.full, self.settings))
        return open_keeper(self.store, profile, self.given.engine, self.given.control, 60)

    def refused(self) -> Mapping[str, Any]:
        return {}

    def _topic(self, change: str) -> str:
        return f"{self.scratch.name}{change.replace(' ', '_')}"

    def clear(self) -> None:
        self.scratch.clear()
        self.leave()

    # How it is kept.

    readable: ClassVar[Mapping[str, Mapping[str, object]]] = {
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
    undigested = ("key", "value", "headers", "timestamp")
    locked = False

    rounds: ClassVar[Mapping[str, Mapping[str, Act]]] = {
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

    def settle(self) -> None:
        self.take(changed(self.profile, topics=(f"{self.scratch.name}*",), exclude={}))
        self._outside = f"outside_{self.scratch.name}"
        self.notes = frozenset({f"topic {self.topic('later')} came after the backup and was deleted"})
        # These tests write and read through one broker, whose ends are never old.
        self.opened.enter_context(pytest.MonkeyPatch.context()).setattr(kafka, "SETTLE_SECONDS", 0.1)
        self.scratch.create(self._outside, 1)
        self.opened.callback(self.scratch.delete, self._outside)
        self.opened.callback(self.wipe)
        self.scratch.produce(self._outside, 3, 1)

    def topic(self, suffix: str) -> str:
        return f"{self.scratch.name}{suffix}"

    def recreated(self, topic: str, partitions: int, configuration: Mapping[str, str] | None = None) -> None:
        self.scratch.delete(topic)
        self.scratch.create(topic, partitions, configuration)

    def wipe(self) -> None:
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
        return Exported(topic, lambda: self.recreated(topic, 3), size=30)

    exported: ClassVar[Mapping[str, Callable[[Kafka], Exported]]] = {"a log": _log}

    def choose(self) -> Chosen:
        made = self._log()

        def spoil() -> None:
            """Make the topic again: of the wanted records, one is not there, and one is another."""
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

    def populate(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.wipe()
        for suffix in TOPICS:
            topic = self.topic(suffix)
            self.scratch.create(topic, PARTITIONS, CONFIGURATION)
            self.scratch.produce(topic, RECORDS, PARTITIONS)
            self.scratch.commit(topic, OFFSETS)
        return {self.topic(suffix): RECORDS for suffix in TOPICS}

    def observe(self) -> object:
        return observed(self.scratch)

    def unlisted(self) -> object:
        return self.scratch.records(self._outside)

    def add(self) -> None:
        self.scratch.create(self.topic("later"), 1)
        self.scratch.produce(self.topic("later"), 3, 1)

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return Admin, "produce"

    def reading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return keeper, "_write", lambda: self.scratch.produce(self.topic("moved"), 2, 1)
