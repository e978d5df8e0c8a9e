"""The content of a log, against the stack's own broker: every change is seen, and a restore leaves none."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from confluent_kafka import Producer

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores import kafka_content
from fixtures.stores.content import Digest, MovingContent, Pace
from fixtures.stores.kafka import settings
from fixtures.stores.kafka_content import Content
from fixtures.stores.profiles import KafkaProfile
from fixtures.stores.reach import NOBODY, Reach
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from rollback_actions.stores.kafka import Keeper
from tests.stack.content_reading import expect_parts_are_whole, read
from tests.stack.kafka_scratch import SECONDS, Scratch
from tests.stack.scratch_stores import changed, nowhere

PARTITIONS = 3


@dataclass(frozen=True)
class Message:
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    milliseconds: int = 1_700_000_000_000


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
Log = tuple[Message, ...]


def _with(index: int, **changes: object) -> Log:
    changed_one = replace(LOG[index], **changes)  # type: ignore[arg-type]
    return (*LOG[:index], changed_one, *LOG[index + 1 :])


DAMAGE: dict[str, tuple[Log, dict[str, set[str] | None]]] = {
    "last lost": (LOG[:-1], {"2/0": None}),
    "one lost between": (
        (LOG[0], *LOG[2:]),
        {"0/1": {"key", "value"}, "0/2": {"key", "value"}, "0/3": None},
    ),
    "added": ((*LOG, Message(1, b"x", b"y")), {"1/2": None}),
    "duplicated": ((*LOG, LOG[-1]), {"2/1": None}),
    "values swapped": (
        (
            LOG[0],
            replace(LOG[1], value=LOG[2].value),
            replace(LOG[2], value=LOG[1].value),
            *LOG[3:],
        ),
        {"0/1": {"value"}, "0/2": {"value"}},
    ),
    "order swapped": (
        (LOG[0], LOG[2], LOG[1], *LOG[3:]),
        {"0/1": {"key", "value"}, "0/2": {"key", "value"}},
    ),
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


@pytest.fixture
def endpoint(target: Target, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(target.stores["kafka"].address)


@pytest.fixture
def profile(target: Target) -> KafkaProfile:
    store = target.stores["kafka"]
    assert isinstance(store, KafkaProfile)
    name = f"scratch_{uuid.uuid4().hex[:8]}_*"
    return changed(store, topics=(name,), groups=(name,))


@pytest.fixture
def scratch(profile: KafkaProfile, endpoint: Endpoint) -> Iterator[Scratch]:
    made = Scratch(Reach("kafka", endpoint, NOBODY, 20), profile.topics[0].removesuffix("*"))
    yield made
    made.clear()


@pytest.fixture
def content(profile: KafkaProfile, endpoint: Endpoint) -> Content:
    return Content("kafka", profile, endpoint)


def _write(scratch: Scratch, log: Log, partitions: int = PARTITIONS) -> None:
    """Make the topic anew with `log` in it."""
    if scratch.topic in scratch.topics():
        scratch.delete(scratch.topic)
    scratch.create(scratch.topic, partitions)
    _append(scratch, log)


def _append(scratch: Scratch, log: Log) -> None:
    producer = Producer(settings(scratch.reach))
    for message in log:
        producer.produce(
            scratch.topic,
            partition=message.partition,
            key=message.key,
            value=message.value,
            headers=list(message.headers),
            timestamp=message.milliseconds,
        )
    assert producer.flush(SECONDS) == 0


def test_every_change_is_seen_and_named(content: Content, scratch: Scratch) -> None:
    _write(scratch, LOG)
    before = read(content, scratch.topic)
    assert before.records.keys() == ALL
    for name, (log, expected) in DAMAGE.items():
        _write(scratch, log)
        after = read(content, scratch.topic)
        assert before.changed(after) == expected, name
        assert after.digests != before.digests, name
    _write(scratch, LOG)
    assert read(content, scratch.topic) == before


def test_any_division_holds_every_record_once(content: Content, scratch: Scratch) -> None:
    _write(scratch, LOG)
    expect_parts_are_whole(content, scratch.topic)
    scratch.produce(scratch.topic, 3000, PARTITIONS)
    expect_parts_are_whole(content, scratch.topic, sizes=(100, 999))


def test_growth_touches_one_part_of_a_partition(content: Content, scratch: Scratch) -> None:
    _write(scratch, LOG)
    division = content.divide(scratch.topic, 2)
    assert division == ("", "0:0", "0:2", "1:0", "2:0")
    before = read(content, scratch.topic, division)
    assert [before.digests[part].records for part in range(5)] == [0, 2, 2, 2, 1]
    _append(scratch, (Message(1, b"new", b"1"),) * 5)
    after = read(content, scratch.topic, division)
    assert {part for part in range(5) if before.digests[part] != after.digests[part]} == {3}
    assert before.records.items() < after.records.items()


def test_fewer_partitions_are_missing_records_and_another_schema(content: Content, scratch: Scratch) -> None:
    _write(scratch, LOG)
    division, schemas = content.divide(scratch.topic, 2), content.schemas()
    before = read(content, scratch.topic, division)
    _write(scratch, LOG[:6], partitions=2)
    assert before.changed(read(content, scratch.topic, division)) == {"2/0": None}
    assert content.schemas() != schemas
    _write(scratch, (*LOG, Message(3, b"x", b"y")), partitions=4)
    later = read(content, scratch.topic, division)
    assert before.changed(later) == {"3/0": None}
    # A partition that came later is in the last part.
    assert later.digests[4].records == 2


def test_a_topic_made_anew_is_compared_from_its_first_record(content: Content, scratch: Scratch) -> None:
    """As a restore leaves it whose old records had begun later than at 0."""
    _write(scratch, LOG)
    found = read(content, scratch.topic, ("", "0:500", "0:502", "1:0", "2:7"))
    assert found.records.keys() == {"0/500", "0/501", "0/502", "0/503", "1/0", "1/1", "2/7"}
    assert [found.digests[part].records for part in range(5)] == [0, 2, 2, 2, 1]


def test_markers_of_transactions_are_no_records(content: Content, scratch: Scratch) -> None:
    _write(scratch, LOG)
    producer = Producer(settings(scratch.reach) | {"transactional.id": scratch.group})
    producer.init_transactions(SECONDS)
    for _ in range(2):
        producer.begin_transaction()
        producer.produce(scratch.topic, value=b"in a transaction", partition=1)
        producer.flush(SECONDS)
        producer.commit_transaction(SECONDS)
    assert read(content, scratch.topic).records.keys() == ALL | {"1/2", "1/4"}
    # The last part ends in a marker, and one part is nothing but one.
    division = ("", "0:0", "1:0", "1:3", "1:4", "1:5", "2:0")
    found = read(content, scratch.topic, division)
    assert [found.digests[part].records for part in range(7)] == [0, 4, 3, 0, 1, 0, 1]


def test_an_empty_topic_has_one_empty_part(content: Content, scratch: Scratch) -> None:
    _write(scratch, ())
    assert content.divide(scratch.topic, 10) == ("",)
    assert read(content, scratch.topic).digests == {0: Digest(0, 0)}


def test_a_topic_that_is_gone_is_unverifiable_and_has_no_schema(content: Content, scratch: Scratch) -> None:
    assert content.schemas() == {}
    calls: list[Callable[[], object]] = [
        lambda: content.divide(scratch.topic, 10),
        lambda: list(content.digest(scratch.topic, ("",), [0], Pace())),
        lambda: list(content.records(scratch.topic, ("",), [0], Pace())),
    ]
    for call in calls:
        with pytest.raises(Unverifiable, match="no such topic"):
            call()


def test_excluded_fields_are_in_no_hash(
    content: Content, profile: KafkaProfile, endpoint: Endpoint, scratch: Scratch
) -> None:
    _write(scratch, LOG)
    blind = Content("kafka", changed(profile, exclude={"*": ("timestamp", "headers")}), endpoint)
    before, whole = read(blind, scratch.topic), read(content, scratch.topic)
    assert before.digests != whole.digests
    _write(scratch, DAMAGE["time"][0])
    assert read(blind, scratch.topic) == before
    assert read(content, scratch.topic) != whole
    _write(scratch, DAMAGE["one bit"][0])
    assert before.changed(read(blind, scratch.topic)) == {"2/0": {"value"}}


def test_configuration_is_a_schema_and_tells_when_records_go(content: Content, scratch: Scratch) -> None:
    scratch.create(scratch.topic, 1, {"cleanup.policy": "delete", "retention.ms": "60000"})
    _append(scratch, LOG[:1])
    assert content.schemas() == {
        scratch.topic: {
            "partitions": 1,
            "configuration": {"cleanup.policy": "delete", "retention.ms": "60000"},
        }
    }
    (record,) = read(content, scratch.topic).records.values()
    assert record.expires == 1_700_000_060
    scratch.delete(scratch.topic)
    scratch.create(scratch.topic, 1, {"cleanup.policy": "compact", "retention.ms": "60000"})
    _append(scratch, LOG[:1])
    (kept,) = read(content, scratch.topic).records.values()
    assert (kept.expires, kept.hash) == (None, record.hash)


def test_positions_that_strayed_are_told(
    content: Content, scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_content, "SETTLE_SECONDS", 0.1)
    assert isinstance(content, MovingContent)
    _write(scratch, LOG)
    scratch.commit(scratch.topic, {0: 2, 1: 2})
    recorded = content.positions()
    assert recorded == {
        f"topic {scratch.topic} 0": {"begin": 0, "end": 4},
        f"topic {scratch.topic} 1": {"begin": 0, "end": 2},
        f"topic {scratch.topic} 2": {"begin": 0, "end": 1},
        f"group {scratch.group} {scratch.topic} 0": 2,
        f"group {scratch.group} {scratch.topic} 1": 2,
    }
    assert content.strayed(recorded) == []
    _append(scratch, LOG)
    scratch.commit(scratch.topic, {0: 6, 1: 3, 2: 0})
    assert content.strayed(recorded) == []
    later = content.positions()
    scratch.commit(scratch.topic, {0: 0})
    name = f"group {scratch.group} {scratch.topic}"
    assert list(content.strayed(later)) == [f"{name} 0: expected offset 6 or later, observed 0: 6 again"]
    scratch.commit(scratch.topic, {0: 9})
    (beyond,) = content.strayed(later)
    assert beyond.startswith(f"{name} 0: expected an offset up to the end")
    answers = scratch.admin.delete_consumer_groups([scratch.group], request_timeout=SECONDS)
    answers[scratch.group].result(SECONDS)
    assert [line.partition(":")[0] for line in content.strayed(later)] == [f"{name} {n}" for n in range(3)]
    _write(scratch, LOG, partitions=PARTITIONS)
    lines = content.strayed(later)
    assert f"topic {scratch.topic} 0: expected to end at 8 or later, observed 4" in lines
    _write(scratch, (), partitions=1)
    assert content.strayed(later)[0] == f"topic {scratch.topic}: expected 3 partitions, observed 1"


def test_a_restore_leaves_no_difference(
    content: Content,
    profile: KafkaProfile,
    endpoint: Endpoint,
    control: ContainerControl,
    scratch: Scratch,
    tmp_path: Path,
) -> None:
    scratch.create(scratch.topic, PARTITIONS, {"retention.ms": "-1"})
    _append(scratch, LOG)
    scratch.commit(scratch.topic, {0: 2, 1: 1})
    keeper = Keeper("kafka", profile, endpoint, control)
    keeper.back_up(tmp_path)
    division = content.divide(scratch.topic, 2)
    before = (read(content, scratch.topic, division), content.schemas())
    positions = content.positions()
    _write(scratch, DAMAGE["one bit"][0], partitions=4)
    assert (read(content, scratch.topic, division), content.schemas()) != before
    assert content.strayed(positions) != []
    keeper.restore(tmp_path)
    assert (read(content, scratch.topic, division), content.schemas()) == before
    assert content.strayed(positions) == []
    assert content.positions() == positions


def test_reading_joins_no_group_and_can_be_stopped(content: Content, scratch: Scratch) -> None:
    scratch.create(scratch.topic, PARTITIONS)
    scratch.produce(scratch.topic, 3000, PARTITIONS)
    division = content.divide(scratch.topic, 100)
    reading = content.digest(scratch.topic, division, range(len(division)), Pace())
    assert [next(reading)[1].records for _ in range(3)] == [0, 100, 100]
    reading.close()  # type: ignore[attr-defined]
    assert read(content, scratch.topic).digests[0].records == 3000
    groups = scratch.admin.list_consumer_groups(request_timeout=10).result(10).valid
    assert "rollproof" not in {group.group_id for group in groups}


def test_a_closed_port_is_unverifiable(profile: KafkaProfile) -> None:
    away = Content("kafka", changed(profile, deadline_seconds=2.0), nowhere())
    for call in (away.schemas, away.positions, lambda: away.divide("topic", 10)):
        with pytest.raises(Unverifiable, match="HINT: "):
            call()
