"""The write side of Kafka: records and offsets come back, by replay where the log is whole."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import ActionFailed
from fixtures.stores.kafka import Log, settings
from fixtures.stores.profiles import KafkaProfile
from fixtures.stores.reach import NOBODY, Countdown, Reach
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from rollback_actions.stores import kafka
from rollback_actions.stores.kafka import Keeper
from rollback_actions.stores.kafka_admin import Admin
from rollback_actions.stores.keeper import kept_by
from tests.stack.faults import SPOILED, spoil
from tests.stack.kafka_scratch import Scratch

PARTITIONS = 4
RECORDS = 90
CONFIGURATION = {"retention.ms": "-1", "cleanup.policy": "delete"}
# Partition 3 has records and no offset: its group never got there.
OFFSETS = {0: 23, 1: 10, 2: 0}


@pytest.fixture
def endpoint(target: Target, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(target.stores["kafka"].address)


@pytest.fixture
def profile(target: Target) -> KafkaProfile:
    store = target.stores["kafka"]
    assert isinstance(store, KafkaProfile)
    name = f"scratch_{uuid.uuid4().hex[:8]}_"
    return store.model_copy(update={"topics": (f"{name}*",), "groups": (f"{name}*",)})


@pytest.fixture
def scratch(profile: KafkaProfile, endpoint: Endpoint) -> Iterator[Scratch]:
    made = Scratch(Reach("kafka", endpoint, NOBODY, 20), profile.topics[0].removesuffix("*"))
    made.create(made.topic, PARTITIONS, CONFIGURATION)
    made.produce(made.topic, RECORDS, PARTITIONS)
    made.commit(made.topic, OFFSETS)
    yield made
    made.clear()


@pytest.fixture
def keeper(
    profile: KafkaProfile, endpoint: Endpoint, control: ContainerControl, monkeypatch: pytest.MonkeyPatch
) -> Keeper:
    # These tests write and read through one broker, whose ends are never old.
    monkeypatch.setattr(kafka, "SETTLE_SECONDS", 0.1)
    return Keeper("kafka", profile, endpoint, control, idle_seconds=1)


def content(scratch: Scratch) -> dict[str, Any]:
    """Return everything that a restore has to bring back."""
    return {
        "records": {topic: scratch.records(topic) for topic in scratch.topics()},
        "shapes": {topic: Admin(scratch.reach).describe(topic) for topic in scratch.topics()},
        "offsets": scratch.offsets(),
    }


def offsets_moved(scratch: Scratch) -> None:
    scratch.commit(scratch.topic, {0: 1, 1: 22, 2: 5})


def topic_deleted(scratch: Scratch) -> None:
    scratch.delete(scratch.topic)


def fewer_partitions(scratch: Scratch) -> None:
    scratch.delete(scratch.topic)
    scratch.create(scratch.topic, 2)
    scratch.produce(scratch.topic, 30, 2)
    scratch.commit(scratch.topic, {0: 3, 1: 3})


def emptied(scratch: Scratch) -> None:
    scratch.delete(scratch.topic)
    scratch.create(scratch.topic, PARTITIONS, CONFIGURATION)


def other_records(scratch: Scratch) -> None:
    emptied(scratch)
    scratch.produce(scratch.topic, RECORDS, PARTITIONS, word="another")
    scratch.commit(scratch.topic, OFFSETS)


def configuration_changed(scratch: Scratch) -> None:
    scratch.delete(scratch.topic)
    scratch.create(scratch.topic, PARTITIONS, {"retention.ms": "3600000", "max.message.bytes": "1000000"})
    scratch.produce(scratch.topic, RECORDS, PARTITIONS)
    scratch.commit(scratch.topic, OFFSETS)


def topic_added(scratch: Scratch) -> None:
    scratch.create(f"{scratch.name}later", 1)
    scratch.produce(f"{scratch.name}later", 3, 1)


DAMAGE: tuple[Callable[[Scratch], None], ...] = (
    offsets_moved,
    topic_deleted,
    fewer_partitions,
    emptied,
    other_records,
    configuration_changed,
    topic_added,
)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_restore_brings_back_what_was_there(
    keeper: Keeper, scratch: Scratch, tmp_path: Path, damage: Callable[[Scratch], None]
) -> None:
    before = content(scratch)
    kept = keeper.back_up(tmp_path)
    assert kept.records == {scratch.topic: RECORDS}
    damage(scratch)
    assert content(scratch) != before
    assert keeper.restore(tmp_path).records == kept.records
    assert content(scratch) == before
    assert keeper.restore(tmp_path).notes == ()
    assert content(scratch) == before


def test_a_log_that_only_grew_is_left_alone_and_replayed(
    keeper: Keeper, scratch: Scratch, tmp_path: Path
) -> None:
    keeper.back_up(tmp_path)
    scratch.produce(scratch.topic, 8, PARTITIONS, word="later")
    scratch.commit(scratch.topic, {0: 25, 1: 25, 2: 24, 3: 24})
    grown = scratch.records(scratch.topic)
    left_alone, keeps = keeper.restore(tmp_path).notes
    assert "left alone; 8 later ones remain" in left_alone
    assert keeps.endswith("partitions 3")
    assert scratch.records(scratch.topic) == grown
    # What it had committed where nothing was recorded cannot be taken away; that is what the note says.
    assert scratch.offsets() == {(scratch.topic, n): o for n, o in OFFSETS.items()} | {(scratch.topic, 3): 24}


def test_a_topic_made_anew_keeps_the_next_record_of_its_groups(
    keeper: Keeper, scratch: Scratch, tmp_path: Path
) -> None:
    """When the recorded log no longer began at 0, the offsets are translated."""
    keeper.back_up(tmp_path)
    records = tmp_path / f"{scratch.topic}.jsonl"
    assert kafka._renumbered(records, {"0": 23, "2": 0}) == {"0": 23, "2": 0}
    lines = records.read_text().splitlines(keepends=True)
    # As if retention had removed the first 10 records of partition 0 before the backup.
    kept = [line for line in lines if not any(f'"partition":0,"offset":{n},' in line for n in range(10))]
    assert len(kept) == len(lines) - 10
    records.write_text("".join(kept))
    assert kafka._renumbered(records, {"0": 23, "1": 5}) == {"0": 13, "1": 5}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_backup_is_refused_before_anything_changes(
    keeper: Keeper, scratch: Scratch, tmp_path: Path, how: str
) -> None:
    keeper.back_up(tmp_path)
    offsets_moved(scratch)
    damaged = content(scratch)
    spoil(tmp_path, how)
    with pytest.raises(ActionFailed):
        keeper.restore(tmp_path)
    assert content(scratch) == damaged


def test_a_backup_of_what_changes_meanwhile_is_refused(
    keeper: Keeper, scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = keeper._write

    def write_late(log: Log, topics: Mapping[str, int], folder: Path, countdown: Countdown) -> object:
        written = write(log, topics, folder, countdown)
        scratch.produce(scratch.topic, 2, 1)
        return written

    monkeypatch.setattr(keeper, "_write", write_late)
    with pytest.raises(ActionFailed, match=f"2 in {scratch.topic}"):
        keeper.back_up(tmp_path)
    assert not (tmp_path / "backup.json").exists()


# Ends in good order at the end of its input.
MEMBER = """
import json, sys, threading
from confluent_kafka import Consumer
consumer = Consumer(json.loads(sys.argv[1]))
consumer.subscribe([sys.argv[2]])
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
told = False
while not over.is_set():
    consumer.poll(0.2)
    if consumer.assignment() and not told:
        told = True
        print("joined", flush=True)
consumer.close()
"""


@contextmanager
def member(scratch: Scratch) -> Iterator[subprocess.Popen[str]]:
    """Give a process that is a member of the group; it leaves in good order unless it was killed."""
    given = settings(scratch.reach) | {"group.id": scratch.group, "session.timeout.ms": 6000}
    given |= {"enable.auto.commit": False}
    command = [sys.executable, "-c", MEMBER, json.dumps(given), scratch.topic]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "joined\n"
            yield process
            process.stdin.close()
            process.wait(30)
        finally:
            process.kill()


def test_a_group_with_a_member_stops_a_restore_before_anything_changes(
    keeper: Keeper, scratch: Scratch, tmp_path: Path
) -> None:
    keeper.back_up(tmp_path)
    with member(scratch):
        scratch.create(f"{scratch.name}later", 1)
        before = content(scratch)
        with pytest.raises(ActionFailed, match="stop the consumers first"):
            keeper.restore(tmp_path)
        assert content(scratch) == before
    keeper.restore(tmp_path)
    assert scratch.topics() == {scratch.topic: PARTITIONS}


def test_a_member_that_was_killed_does_not_stop_a_restore(
    keeper: Keeper, scratch: Scratch, tmp_path: Path
) -> None:
    """Some brokers keep one as a member for ever, until another one has come and gone."""
    keeper.back_up(tmp_path)
    with member(scratch) as process:
        process.kill()
        before = content(scratch)
        keeper.restore(tmp_path)
    assert content(scratch) == before


def test_topics_that_were_dropped_stop_no_copy_before_a_restore(
    keeper: Keeper, scratch: Scratch, tmp_path: Path
) -> None:
    scratch.delete(scratch.topic)
    kept = kept_by(keeper, up=True)
    assert kept is not None
    assert kept.back_up(tmp_path).records == {}
