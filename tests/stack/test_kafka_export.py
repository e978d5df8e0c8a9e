"""The export of a log's records, against the stack's own broker: produced again, they are what they were."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Producer
from pydantic import SecretStr

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores.kafka import settings
from fixtures.stores.kafka_content import Content
from fixtures.stores.profiles import Account, KafkaProfile
from fixtures.stores.reach import NOBODY, Reach
from fixtures.target import Target
from rollback_actions.stores.kafka_export import Export
from tests.stack.content_reading import read
from tests.stack.kafka_scratch import SECONDS, Scratch
from tests.stack.record_exports import (
    expect_all_exported,
    expect_only_what_is_wanted,
    exported,
    replayed,
    wanted_of,
)
from tests.stack.scratch_stores import SECRET, changed, nowhere

PARTITIONS = 3
TIME = 1_700_000_000_123


@pytest.fixture
def endpoint(target: Target, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(target.stores["kafka"].address)


@pytest.fixture
def profile(target: Target) -> KafkaProfile:
    store = target.stores["kafka"]
    assert isinstance(store, KafkaProfile)
    return changed(store, topics=(f"scratch_{uuid.uuid4().hex[:8]}_*",), groups=())


@pytest.fixture
def scratch(profile: KafkaProfile, endpoint: Endpoint) -> Iterator[Scratch]:
    made = Scratch(Reach("kafka", endpoint, NOBODY, 20), profile.topics[0].removesuffix("*"))
    made.create(made.topic, PARTITIONS)
    yield made
    made.clear()


@pytest.fixture
def content(profile: KafkaProfile, endpoint: Endpoint) -> Content:
    return Content("kafka", profile, endpoint)


@pytest.fixture
def export(profile: KafkaProfile, endpoint: Endpoint) -> Export:
    return Export("kafka", profile, endpoint)


def _write(scratch: Scratch) -> None:
    """Append two records with all that one can hold, and some of every shape."""
    producer = Producer(settings(scratch.reach))
    headers: list[tuple[str, str | bytes | None]] = [("h", b"1"), ("h", b"\xff"), ("none", None), ("ü", b"")]
    producer.produce(
        scratch.topic, "{\"a\": 'ü\n'}".encode(), b"\x00\xff", 0, headers=headers, timestamp=TIME
    )
    producer.produce(scratch.topic, None, b"tombstone", 0, timestamp=1)
    assert producer.flush(SECONDS) == 0
    scratch.produce(scratch.topic, 200, PARTITIONS)


def _made_anew(scratch: Scratch) -> None:
    scratch.delete(scratch.topic)
    scratch.create(scratch.topic, PARTITIONS)


def test_what_is_produced_again_is_what_was_there(
    scratch: Scratch, content: Content, export: Export, tmp_path: Path
) -> None:
    _write(scratch)
    before = read(content, scratch.topic)
    records = expect_all_exported(export, content, scratch.topic, tmp_path, 30)
    _made_anew(scratch)
    done = replayed(export, scratch.topic, records, tmp_path, {})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert read(content, scratch.topic) == before
    # Of a part of a log: its records follow those that are there, at other offsets.
    again = replayed(export, scratch.topic, records[:10], tmp_path, {})
    assert (again.returncode, again.stderr) == (0, "")
    grown = read(content, scratch.topic)
    assert before.records.items() < grown.records.items()
    assert len(grown.records) == len(before.records) + 10


def test_people_read_what_a_record_was(
    scratch: Scratch, content: Content, export: Export, tmp_path: Path
) -> None:
    _write(scratch)
    wanted = wanted_of(content, scratch.topic, keys={"0/0"})
    (record,) = exported(export, scratch.topic, wanted, tmp_path)
    assert record.content == {
        "partition": 0,
        "offset": 0,
        "time": "2023-11-14T22:13:20.123+00:00",
        "milliseconds": TIME,
        "stamped by": "the producer",
        "key": {"base64": "AP8="},
        "value": "{\"a\": 'ü\n'}",
        "headers": [["h", "1"], ["h", {"base64": "/w=="}], ["none", None], ["ü", ""]],
    }
    assert json.loads(record.replay)["topic"] == scratch.topic


def test_only_what_is_wanted_is_exported(
    scratch: Scratch, content: Content, export: Export, tmp_path: Path
) -> None:
    _write(scratch)

    def spoil() -> None:
        """Make the topic anew: of the wanted records, one is not there, and one is another."""
        _made_anew(scratch)
        producer = Producer(settings(scratch.reach))
        for place, value in ((1, b"another"), (2, bytes([2, 0, 255]) * 2)):
            number = place
            producer.produce(
                scratch.topic,
                partition=place,
                key=f"job {number}".encode(),
                value=value,
                timestamp=1_700_000_000_000 + number,
            )
        assert producer.flush(SECONDS) == 0

    expect_only_what_is_wanted(export, content, scratch.topic, tmp_path, ["0/3", "1/0", "2/0"], spoil)


def test_a_topic_that_had_begun_later_has_the_keys_of_its_division(
    scratch: Scratch, content: Content, export: Export, tmp_path: Path
) -> None:
    _write(scratch)
    division = ("", "0:500", "0:502", "1:0", "2:7")
    wanted = wanted_of(content, scratch.topic, division)
    found = exported(export, scratch.topic, {1: wanted[1]}, tmp_path, division)
    assert [record.key for record in found] == ["0/500", "0/501"]
    offsets = [cast("Mapping[str, Any]", record.content)["offset"] for record in found]
    assert offsets == [0, 1]


def test_excluded_fields_are_in_the_export(
    scratch: Scratch, profile: KafkaProfile, endpoint: Endpoint, tmp_path: Path
) -> None:
    _write(scratch)
    chosen = changed(profile, exclude={"*": ("key", "value", "headers", "timestamp")})
    content, export = Content("kafka", chosen, endpoint), Export("kafka", chosen, endpoint)
    records = expect_all_exported(export, content, scratch.topic, tmp_path, 100)
    first = cast("Mapping[str, Any]", next(r.content for r in records if r.key == "0/0"))
    assert first["key"] == {"base64": "AP8="}
    assert first["milliseconds"] == TIME
    assert len(first["headers"]) == 4


def test_a_replay_that_is_refused_fails(
    scratch: Scratch, content: Content, export: Export, tmp_path: Path
) -> None:
    _write(scratch)
    wanted = wanted_of(content, scratch.topic, keys={"2/0"})
    records = exported(export, scratch.topic, wanted, tmp_path)
    scratch.delete(scratch.topic)
    scratch.create(scratch.topic, 1)
    done = replayed(export, scratch.topic, records, tmp_path, {})
    assert done.returncode != 0
    assert "partition" in done.stderr


def test_the_password_is_in_no_command(profile: KafkaProfile, endpoint: Endpoint) -> None:
    operator = Account(user="operator", password=SecretStr(SECRET))
    command = Export("kafka", changed(profile, operator=operator), endpoint).how_to_replay("topic")
    assert "KAFKA_PASSWORD" in command
    assert SECRET not in command


def test_a_closed_port_is_unverifiable(profile: KafkaProfile, tmp_path: Path) -> None:
    away = Export("kafka", changed(profile, deadline_seconds=2.0), nowhere())
    with pytest.raises(Unverifiable, match="HINT: "):
        exported(away, "topic", {0: frozenset({("0/0", 1)})}, tmp_path)
