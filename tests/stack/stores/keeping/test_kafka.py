"""What is true of Kafka alone: a log cannot be wound back, and groups have members."""

from __future__ import annotations

import subprocess
import sys
import uuid
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from rollproof.errors import ActionFailed, Unverifiable
from rollproof.stores.kafka import keeper as kafka
from rollproof.stores.kafka.admin import Admin
from rollproof.stores.kafka.broker import Broker
from rollproof.stores.kafka.ranges import Partition
from rollproof.stores.keeper import StoreKeeper
from tests.stack.kafka_scratch import Scratch
from tests.stack.stores.kafka import CONFIGURATION, PARTITIONS, Kafka, observed
from tests.stack.stores.keeping.records import exported, put_back, wanted_of
from tests.stack.stores.place import Place

pytestmark = pytest.mark.of("kafka")

OFFSETS = {0: 23, 1: 10, 2: 0}
RECORDS = 90
# Ends in good order at the end of its input.
MEMBER = """
import sys, threading
from kafka import KafkaConsumer
broker, topic, group = sys.argv[1:]
consumer = KafkaConsumer(
    topic, bootstrap_servers=broker, group_id=group, enable_auto_commit=False, session_timeout_ms=6000
)
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
told = False
while not over.is_set():
    consumer.poll(200)
    if consumer.assignment() and not told:
        told = True
        print("joined", flush=True)
consumer.close()
"""


@pytest.fixture
def scratch(subject: Kafka) -> Iterator[Scratch]:
    """A topic that a group has read in part; of other names each time, since a group may keep members."""
    made = Scratch(subject.scratch.reach, f"scratch_{uuid.uuid4().hex[:8]}_")
    made.create(made.topic, PARTITIONS, CONFIGURATION)
    made.produce(made.topic, RECORDS, PARTITIONS)
    made.commit(made.topic, OFFSETS)
    yield made
    made.clear()


@pytest.fixture
def place(subject: Kafka, scratch: Scratch) -> Place:
    return subject.place.but(topics=(f"{scratch.name}*",), groups=(f"{scratch.name}*",))


@pytest.fixture
def keeper(place: Place, monkeypatch: pytest.MonkeyPatch) -> StoreKeeper:
    monkeypatch.setattr(kafka, "IDLE_SECONDS", 12)  # twice a member's session
    return place.keeper()


# The export.


def test_records_of_a_part_of_a_log_follow_those_that_are_there(
    place: Place, scratch: Scratch, tmp_path: Path
) -> None:
    with place.content() as content, place.export() as export:
        before = wanted_of(content, scratch.topic)[0]
        chosen = {f"0/{offset}" for offset in range(10)}
        some = exported(export, scratch.topic, wanted_of(content, scratch.topic, keys=chosen), tmp_path)
        put_back(place, scratch.topic, some, tmp_path)
        grown = wanted_of(content, scratch.topic)[0]
    assert before < grown
    assert len(grown) == RECORDS + 10


def test_a_topic_that_had_begun_later_has_the_keys_of_its_division(
    place: Place, scratch: Scratch, tmp_path: Path
) -> None:
    division = ("", "0:500", "0:502", "1:0", "2:7")
    with place.content() as content, place.export() as export:
        wanted = wanted_of(content, scratch.topic, division)
        found = exported(export, scratch.topic, {1: wanted[1]}, tmp_path, division)
    assert [record.key for record in found] == ["0/500", "0/501"]
    offsets = [cast("Mapping[str, Any]", record.content)["offset"] for record in found]
    assert offsets == [0, 1]


def test_a_record_whose_partition_is_gone_is_refused(place: Place, scratch: Scratch, tmp_path: Path) -> None:
    with place.content() as content, place.export() as export:
        wanted = wanted_of(content, scratch.topic, keys={"2/0"})
        records = exported(export, scratch.topic, wanted, tmp_path)
        scratch.delete(scratch.topic)
        scratch.create(scratch.topic, 1)
    with pytest.raises(Unverifiable, match="partition"):
        put_back(place, scratch.topic, records, tmp_path)


# The keeper.


def test_a_log_that_only_grew_is_left_alone_and_replayed(
    scratch: Scratch, keeper: StoreKeeper, tmp_path: Path
) -> None:
    keeper.back_up(tmp_path)
    scratch.produce(scratch.topic, 8, PARTITIONS, word="later")
    scratch.commit(scratch.topic, {0: 25, 1: 25, 2: 24, 3: 24})
    grown = scratch.records(scratch.topic)
    left_alone, keeps = keeper.restore(tmp_path).notes
    assert "left alone; 8 later ones remain" in left_alone
    assert keeps.endswith(f"{scratch.topic}/3")
    assert scratch.records(scratch.topic) == grown
    # What it had committed where nothing was recorded cannot be taken away; that is what the note says.
    assert scratch.offsets() == {(scratch.topic, n): o for n, o in OFFSETS.items()} | {(scratch.topic, 3): 24}


def test_a_recreated_topic_keeps_the_next_record_of_its_groups(
    scratch: Scratch, keeper: StoreKeeper, tmp_path: Path
) -> None:
    """When the recorded log no longer began at 0, the offsets are translated."""
    keeper.back_up(tmp_path)
    records = tmp_path / f"{scratch.topic}.jsonl"
    lines = records.read_text().splitlines(keepends=True)
    # As if retention had removed the first 10 records of partition 0 before the backup.
    kept = [line for line in lines if not any(f'"partition":0,"offset":{n},' in line for n in range(10))]
    assert len(kept) == len(lines) - 10
    records.write_text("".join(kept))
    offsets = kafka._offsets(records)
    assert (bisect_left(offsets[0], 23), bisect_left(offsets[1], 5)) == (13, 5)


def _expire(monkeypatch: pytest.MonkeyPatch, begin: int) -> None:
    """As if retention had removed from partition 0 what is before `begin`: this broker removes nothing."""
    records, beginnings = Broker.records, Broker.beginnings

    def retained(self: Broker, *given: Any, **named: Any) -> Iterator[Any]:  # noqa: ANN401 - as it is
        for message in records(self, *given, **named):
            if message.partition or message.offset >= begin:
                yield message

    def begun(self: Broker, *given: Any) -> dict[Partition, int]:  # noqa: ANN401 - as it is
        found = beginnings(self, *given)
        return {place: offset if place[1] else max(offset, begin) for place, offset in found.items()}

    monkeypatch.setattr(Broker, "records", retained)
    monkeypatch.setattr(Broker, "beginnings", begun)


@pytest.fixture
def short(scratch: Scratch) -> Scratch:
    """The topic, with a retention that its records have outlived."""
    scratch.delete(scratch.topic)
    scratch.create(scratch.topic, PARTITIONS, {"retention.ms": "3600000"})
    scratch.produce(scratch.topic, RECORDS, PARTITIONS)
    scratch.commit(scratch.topic, OFFSETS)
    return scratch


def test_records_that_expired_since_the_backup_are_no_damage(
    short: Scratch, keeper: StoreKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short.commit(short.topic, {**OFFSETS, 0: 2})
    kept = keeper.back_up(tmp_path)
    before = short.records(short.topic)
    _expire(monkeypatch, 5)
    short.commit(short.topic, {0: 9, 1: 20})
    restored = keeper.restore(tmp_path)
    monkeypatch.undo()
    # Left alone: in a re-created topic no record has expired yet, and offsets begin at 0.
    assert short.records(short.topic) == before
    assert restored.notes == (
        f"5 records of topic {short.topic} have expired since the backup, and stay away",
    )
    assert restored.records == {short.topic: kept.records[short.topic] - 5}
    # Who had read up to an expired record goes on with the first that is there.
    assert short.offsets() == {(short.topic, n): o for n, o in {**OFFSETS, 0: 5}.items()}


@pytest.mark.parametrize("retention", ["3600000", "-1"])
def test_records_that_went_before_their_time_are_damage(
    scratch: Scratch,
    keeper: StoreKeeper,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    retention: str,
) -> None:
    """A migration may shorten the retention of a topic that kept its records for ever."""
    keeper.back_up(tmp_path)
    before = observed(scratch)
    with Admin(scratch.reach) as admin:
        topic = admin.describe(scratch.topic)
        wanted = {**topic.configuration, "retention.ms": retention}
        admin.configure(scratch.topic, wanted)
    recreate = kafka.KafkaKeeper._recreate

    def seen(*given: Any) -> None:  # noqa: ANN401 - as it is
        monkeypatch.undo()
        recreate(*given)

    _expire(monkeypatch, 5)
    monkeypatch.setattr(kafka.KafkaKeeper, "_recreate", seen)
    (note,) = keeper.restore(tmp_path).notes
    assert "was re-created, since 5 of its records were gone" in note
    assert observed(scratch) == before


@contextmanager
def member(scratch: Scratch) -> Iterator[subprocess.Popen[str]]:
    """Give a process that is a member of the group; it leaves in good order unless it was killed."""
    given = [scratch.reach.address, scratch.topic, scratch.group]
    command = [sys.executable, "-c", MEMBER, *given]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "joined\n"
            yield process
            process.stdin.close()
            process.wait(60)
        finally:
            process.kill()


def test_a_group_with_a_member_stops_a_restore_before_anything_changes(
    scratch: Scratch, keeper: StoreKeeper, tmp_path: Path
) -> None:
    keeper.back_up(tmp_path)
    with member(scratch):
        scratch.create(f"{scratch.name}later", 1)
        before = observed(scratch)
        with pytest.raises(ActionFailed, match="stop the consumers first"):
            keeper.restore(tmp_path)
        assert observed(scratch) == before
    keeper.restore(tmp_path)
    assert scratch.topics() == {scratch.topic: PARTITIONS}


def test_a_member_that_was_killed_does_not_stop_a_restore(
    scratch: Scratch, keeper: StoreKeeper, tmp_path: Path
) -> None:
    """Some brokers keep one as a member for ever, until another one has come and gone."""
    keeper.back_up(tmp_path)
    with member(scratch) as process:
        process.kill()
        before = observed(scratch)
        keeper.restore(tmp_path)
    assert observed(scratch) == before
