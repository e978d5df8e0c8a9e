"""Ranges of a log, read from the library's own broker, which answers as Apache Kafka does."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Producer

from rollproof.backups.index import StoreIndex, _index_collection
from rollproof.baseline.comparison import compare, strayed_positions
from rollproof.baseline.facts import RecordedContent
from rollproof.baseline.recording import record_collection
from rollproof.baseline.sampling import SamplePlan
from rollproof.engines.engine import Endpoint
from rollproof.errors import Unverifiable
from rollproof.losses.accounting import _Collection
from rollproof.losses.changes import ground_of
from rollproof.losses.lost_window import LostWindow, WindowCollection, WindowPart, WindowStore, blocks_file
from rollproof.profile.sections import Address
from rollproof.stores.blocks import new_blocks, write_block
from rollproof.stores.contract import Digest, Pace
from rollproof.stores.kafka import content as kafka_content
from rollproof.stores.kafka.content import Content
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.kafka.inventory import Inventory
from rollproof.stores.kafka.positions import Positions
from rollproof.stores.kafka.ranges import RangeLog, Segment
from rollproof.stores.kafka.upkeep import LastOfKeys, Upkeep
from rollproof.stores.kafka.view import settings
from rollproof.stores.reach import NOBODY, Reach, Readable
from rollproof.system.command import Deadline
from tests.stack.content_reading import expect_parts_are_whole, read

TOPIC = "jobs"
SECONDS = 60.0
STAMP = 1_700_000_000_000


@dataclass(frozen=True)
class Broker:
    reach: Reach
    profile: KafkaProfile
    content: Content
    owner: Producer  # the broker lives as long as this does

    def produce(self, count: int, partition: int, transactional: str = "") -> None:
        producer = Producer(
            settings(self.reach)
            | {"allow.auto.create.topics": True}
            | ({"transactional.id": transactional} if transactional else {})
        )
        if transactional:
            producer.init_transactions(SECONDS)
            producer.begin_transaction()
        for number in range(count):
            producer.produce(TOPIC, value=b"%d" % number, partition=partition, timestamp=STAMP)
        assert producer.flush(SECONDS) == 0
        if transactional:
            producer.commit_transaction(SECONDS)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    return made_broker(monkeypatch)


def made_broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """Return a broker whose topic is empty."""
    owner = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
    (address,) = owner.list_topics(TOPIC, timeout=SECONDS).brokers.values()
    profile = KafkaProfile(
        kind="kafka",
        address=Address(host=address.host, port=address.port),
        services=("kafka",),
        risk="low",
        topics=(TOPIC,),
    )
    endpoint = Endpoint(address.host, address.port)
    # That broker keeps no configuration.
    monkeypatch.setattr(Inventory, "upkeep", lambda *_: Upkeep())
    return Broker(
        Reach("kafka", endpoint, NOBODY, SECONDS),
        profile,
        Content(Readable("kafka", profile, endpoint)),
        owner,
    )


def test_any_division_holds_every_record_once(broker: Broker) -> None:
    broker.produce(500, 0)
    broker.produce(7, 2)
    assert broker.content.divide(TOPIC, 200) == ("", "0:0", "0:200", "0:400", "1:0", "2:0", "3:0")
    expect_parts_are_whole(broker.content, TOPIC, sizes=(3, 100, 1000))


def test_an_empty_topic_has_one_empty_part(broker: Broker) -> None:
    assert broker.content.divide(TOPIC, 200) == ("",)
    assert read(broker.content, TOPIC).digests == {0: Digest(0, 0)}


def test_markers_of_transactions_are_no_records(broker: Broker) -> None:
    broker.produce(2, 0)
    broker.produce(2, 0, "first")
    broker.produce(1, 0)
    broker.produce(1, 0, "second")
    # A marker is at 4 and at 7, where the log ends.
    assert list(read(broker.content, TOPIC).records) == [f"0/{offset}" for offset in (0, 1, 2, 3, 5, 6)]


def test_a_log_that_begins_before_its_range_was_made_anew(broker: Broker) -> None:
    broker.produce(5, 0)
    with (
        RangeLog(broker.reach) as log,
        pytest.raises(Unverifiable, match="re-created meanwhile"),
    ):
        list(log.read(TOPIC, [Segment(0, 0, 100, 200)], Pace()))


def test_positions_tell_where_a_log_ends(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_content, "SETTLE_SECONDS", 0.1)
    broker.produce(5, 1)
    recorded = broker.content.positions()
    assert recorded[f"topic {TOPIC} 1"] == {"begin": 0, "end": 5}
    assert list(broker.content.strayed(recorded)) == []
    assert list(broker.content.strayed({**recorded, f"topic {TOPIC} 1": {"begin": 0, "end": 6}})) == [
        f"topic {TOPIC} 1: expected to end at 6 or later, observed 5"
    ]


def test_an_end_that_comes_late_is_no_stray(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is behind says so at first; only what it still says later is believed."""
    broker.produce(5, 1)
    recorded = broker.content.positions()
    behind = {**recorded, f"topic {TOPIC} 1": {"begin": 0, "end": 4}}
    answers = iter([behind, recorded])
    monkeypatch.setattr(Content, "positions", lambda _: next(answers))
    monkeypatch.setattr(kafka_content, "SETTLE_SECONDS", 0.1)
    assert list(broker.content.strayed(recorded)) == []


@pytest.fixture
def holed(broker: Broker) -> Broker:
    """A log with a hole in it, at 4, and one at its end, at 7."""
    _fill(broker, markers=True)
    return broker


def _fill(broker: Broker, *, markers: bool = False) -> None:
    for number, count in enumerate((2, 2, 1, 1)):
        broker.produce(count, 0, f"{number}" if markers and number % 2 else "")


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_re_created_log_has_no_holes_and_its_records_are_matched_by_position(
    holed: Broker, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    division = holed.content.divide(TOPIC, size)
    before = read(holed.content, TOPIC, division)
    anew = made_broker(monkeypatch)
    _fill(anew)
    unmatched = read(anew.content, TOPIC, division)
    assert set(unmatched.records) == {f"0/{offset}" for offset in range(6)}
    assert before.changed(unmatched)
    assert anew.content.renumber(TOPIC, list(before.records))
    assert read(anew.content, TOPIC, division) == before
    # It is matched already.
    assert not anew.content.renumber(TOPIC, list(before.records))
    # A later record follows the last recorded one.
    anew.produce(1, 0)
    assert before.changed(read(anew.content, TOPIC, division)) == {"0/7": None}


@pytest.mark.parametrize(
    ("counts", "seen"), [((2, 2, 1), {"0/6"}), ((2, 1, 1, 1), {"0/3", "0/6"}), ((2, 2, 1, 2), {"0/7"})]
)
def test_what_differs_in_a_re_created_log_is_seen(
    holed: Broker, monkeypatch: pytest.MonkeyPatch, counts: tuple[int, ...], seen: set[str]
) -> None:
    before = read(holed.content, TOPIC)
    anew = made_broker(monkeypatch)
    for count in counts:
        anew.produce(count, 0)
    assert anew.content.renumber(TOPIC, list(before.records))
    assert set(before.changed(read(anew.content, TOPIC))) == seen


def test_a_log_that_is_the_same_keeps_its_offsets(holed: Broker) -> None:
    before = read(holed.content, TOPIC)
    assert not holed.content.renumber(TOPIC, list(before.records))
    holed.produce(3, 0, "third")
    assert not holed.content.renumber(TOPIC, list(before.records))
    assert set(before.changed(read(holed.content, TOPIC))) == {"0/8", "0/9", "0/10"}


def test_positions_of_a_re_created_log_are_those_of_the_same_records(
    holed: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_content, "SETTLE_SECONDS", 0.1)
    partition, group = f"topic {TOPIC} 0", f"group g {TOPIC} 0"
    recorded = {**holed.content.positions(), group: 5}
    assert recorded[partition] == {"begin": 0, "end": 8}
    keys = list(read(holed.content, TOPIC).records)
    anew = made_broker(monkeypatch)
    _fill(anew)
    now = {**anew.content.positions(), group: 4}
    assert now[partition] == {"begin": 0, "end": 6}
    monkeypatch.setattr(Content, "_positions", lambda _: Positions.of_record(now))
    assert len(anew.content.strayed(recorded)) == 2
    anew.content.renumber(TOPIC, keys)
    assert anew.content.strayed(recorded) == []
    now[group] = 3
    assert anew.content.strayed(recorded) == [f"{group}: expected offset 4 or later, observed 3: 1 again"]
    now[partition] = {"begin": 0, "end": 5}
    assert anew.content.strayed(recorded)[0] == f"{partition}: expected to end at 6 or later, observed 5"


@pytest.mark.parametrize("upkeep", [Upkeep(), Upkeep(compacted=True)])
def test_what_compaction_may_take_is_over(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, upkeep: Upkeep
) -> None:
    monkeypatch.setattr(Inventory, "upkeep", lambda *_: upkeep)
    producer = Producer(settings(broker.reach))
    for partition, key in ((0, b"a"), (0, b"b"), (0, b"a"), (1, b"b")):
        producer.produce(TOPIC, key=key, value=b"v", partition=partition)
        assert producer.flush(SECONDS) == 0
    ends = {key: record.expires for key, record in read(broker.content, TOPIC).records.items()}
    superseded = 0.0 if upkeep.compacted else None
    assert ends == {"0/0": superseded, "0/1": None, "0/2": None, "1/0": None}


def test_a_comparison_reads_a_compacted_log_no_oftener_than_one_whose_parts_are_equal(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Once for the digests, once for what was superseded, and once for the parts, however many differ."""
    monkeypatch.setattr(Inventory, "upkeep", lambda *_: Upkeep(compacted=True))
    for partition in range(4):
        broker.produce(20, partition)
    path = tmp_path / "records" / "kafka" / "0000.blocks"
    recorded = record_collection(broker.content, broker.profile, TOPIC, path, tmp_path)
    anew = made_broker(monkeypatch)
    monkeypatch.setattr(Inventory, "upkeep", lambda *_: Upkeep(compacted=True))
    for partition in range(4):
        anew.produce(19, partition)
    seen, given = 0, RangeLog.read

    def counted(log: RangeLog, topic: str, run: Sequence[Segment], pace: Pace) -> Generator[tuple[int, Any]]:
        nonlocal seen
        for found in given(log, topic, run, pace):
            seen += 1
            yield found

    monkeypatch.setattr(RangeLog, "read", counted)
    everything = SamplePlan(tuple(range(len(recorded.division))), 60.0)
    monkeypatch.setattr(Content, "renumber", lambda *_: False)
    assert compare(anew.content, TOPIC, recorded, path, everything, Pace()).missing.count == 4
    assert seen == 3 * 4 * 19


def test_no_room_for_the_keys_of_a_log_is_said() -> None:
    last = LastOfKeys()
    last._file.execute("PRAGMA max_page_count = 3")
    keys = (SimpleNamespace(partition=int, key=str(n).encode, offset=int) for n in range(999))
    with closing(last), pytest.raises(Unverifiable, match=r"full \(from .*\)\nHINT: .*TMPDIR"):
        last.fill(keys)


def _indexed(content: Content, folder: Path) -> StoreIndex:
    (folder / "records").mkdir()
    found = _index_collection(content, TOPIC, folder, "records/kafka/0000.blocks", Pace())
    return StoreIndex({TOPIC: found}, folder)


def test_a_restore_that_re_creates_a_log_accounts_for_every_record(
    holed: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The lost window is of before the restore, when the log had its holes and a later record."""
    index = _indexed(holed.content, tmp_path)
    holed.produce(1, 0, "later")
    ground, digests = ground_of(holed.content, TOPIC, index, Pace())
    digest = digests[1]
    assert digest.records == 7
    path = tmp_path / "lost-window" / "kafka" / blocks_file(0, "now")
    path.parent.parent.mkdir(parents=True)
    with new_blocks(path) as stream:
        now = write_block(
            stream, (record for _, record in holed.content.records(TOPIC, ground.division, [1], Pace()))
        )
    parts = (
        WindowPart("", 0, "0"),
        WindowPart(ground.division[1], digest.records, f"{digest.total:x}", now=now),
        *(WindowPart(bound, 0, "0") for bound in ground.division[2:]),
    )
    found = WindowCollection(0, parts, indexed=True, file="", lines=0, new=1, changed=0, gone=0)
    store = WindowStore(collections={TOPIC: found}, unknown={})
    window = LostWindow("backup", {"kafka": store}, folder=tmp_path / "lost-window")
    anew = made_broker(monkeypatch)
    _fill(anew)
    collection = _Collection(anew.content, TOPIC, index, (window,), "kafka", Pace())
    account = collection.account(lambda *_: None, Deadline(60.0), there=True)
    # What came later was not exported here; all others are there, at the same positions.
    assert account.counts() == {"kept": 6, "restored": 0, "exported": 0, "revived": 0, "unaccounted": 1}
    assert account.first.first == [f"{TOPIC} 0/8"]
    # The next rollback takes it for the same log too.
    again, digests = ground_of(anew.content, TOPIC, index, Pace())
    assert digests == again.digests


def test_the_baseline_is_matched_by_position(
    holed: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kafka_content, "SETTLE_SECONDS", 0.1)
    path = tmp_path / "records" / "kafka" / "0000.blocks"
    recorded = record_collection(holed.content, holed.profile, TOPIC, path, tmp_path)
    content = RecordedContent({}, {TOPIC: recorded}, holed.content.positions(), ())
    anew = made_broker(monkeypatch)
    _fill(anew)
    everything = SamplePlan(tuple(range(len(recorded.division))), 60.0)
    found = compare(anew.content, TOPIC, recorded, path, everything, Pace())
    assert (found.found, found.wrong("exact")) == (0, False)
    # Part 2 was empty.
    anew.produce(1, 1)
    assert compare(anew.content, TOPIC, recorded, path, everything, Pace()).added.first == ["1/0"]
    # By another reader, as by another worker.
    reader = Content(Readable("kafka", anew.profile, anew.reach.endpoint))
    assert strayed_positions(reader, content, tmp_path) == []
