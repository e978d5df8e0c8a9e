"""Kafka, write side: every retained record, the topics' configuration, the groups' offsets.

A log cannot be wound back. If a topic still holds all recorded records, apart from those that the broker has
removed by itself, a restore leaves it alone. It only sets the groups' offsets back, so that newer records are
read again. Otherwise it rebuilds the topic, and sets the offsets of the profile's groups.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, NamedTuple

from rollproof.profile.sections import Model
from rollproof.profile.store_descriptor import Means
from rollproof.stores.contract import ExportedRecord, RecordHash, Retention
from rollproof.stores.kafka.admin import Admin, GroupOffsets, Topic
from rollproof.stores.kafka.broker import SETTLE_SECONDS, partitions_in
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.kafka.ranges import Extent, Partition, divided
from rollproof.stores.kafka.reader import KafkaReader, record_of_message
from rollproof.stores.kafka.records import NOT_STAMPED, Record, read_records, record_of
from rollproof.stores.kafka.retention import ends
from rollproof.stores.keeper import Put, RecordKeeper, Restored, add_part
from rollproof.stores.package import Kept, Package, read_package, write_package
from rollproof.stores.policy import pace_of, policy_of
from rollproof.stores.reach import Countdown
from rollproof.stores.snapshot import PART, Snapshot
from rollproof.system.files import create_file

METHOD = "every retained record, configuration and group offsets"
# A restore waits this long for the members of the groups to leave.
IDLE_SECONDS = 30.0


class _Topic(Model):
    """A topic at the time of the backup; `ends` are the offsets after the last record, by partition.

    `retention` is what the broker removes by itself, as far as it tells.
    """

    file: str
    shape: Topic
    ends: list[int]
    retention: Retention | None


class _Details(Model):
    cluster: str
    topics: dict[str, _Topic]
    # By group and topic, the committed offset of each partition that has one.
    groups: dict[str, GroupOffsets]


class _Found(NamedTuple):
    """A topic as a restore finds it: its damage in words ("" if it can stay), its newer and expired records.

    `begins` are the offsets at which its partitions begin.
    """

    damage: str = ""
    later: int = 0
    expired: int = 0
    begins: Mapping[str, int] = {}


class Keeper(RecordKeeper):
    """Write side of one broker's topics. See `StoreKeeper`."""

    _profile: KafkaProfile
    _reader: KafkaReader

    def back_up_indexed(self, folder: Path, index: Snapshot | None) -> Kept:
        """Read every topic to its end, then check that no more records arrive where users may add none."""
        with Admin(self._reach) as admin:
            return self._back_up(admin, folder, index)

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Append each record to its partition, acknowledged by every replica in sync."""
        with Admin(self._reach) as admin:

            def write(exported: ExportedRecord) -> None:
                record = Record.model_validate(exported.replay)
                admin.produce(collection, [record], self._reach.start())

            yield Put(write, appends=True)

    def _back_up(self, admin: Admin, folder: Path, index: Snapshot | None) -> Kept:
        countdown = self._whole.start()
        topics = admin.topics(self._profile.topics)
        records: dict[str, int] = {}
        ends: dict[Partition, int] = {}
        for topic in topics:
            extents = self._reader.extents(admin, topic)
            ends |= {(topic, number): extent.end for number, extent in extents.items()}
            with create_file(folder / f"{topic}.jsonl") as stream:
                records[topic] = self._write(admin, topic, extents, stream, index, countdown)
        time.sleep(SETTLE_SECONDS)
        later = Counter(message.topic for message in admin.records(ends, countdown))
        spoilt = {
            topic: count for topic, count in later.items() if policy_of(self._profile, topic) == "exact"
        }
        if spoilt:
            raise self._failed(
                "records during the backup",
                expected="none that came after the end that was read",
                observed=", ".join(f"{count} in {topic}" for topic, count in sorted(spoilt.items())),
                hint="something writes: stop the application's writers first",
            )
        details = _Details(
            cluster=admin.cluster(),
            topics={
                name: _Topic(
                    file=f"{name}.jsonl",
                    shape=admin.describe(name),
                    ends=[ends[name, number] for number in range(count)],
                    retention=admin.retention(name),
                )
                for name, count in topics.items()
            },
            groups={group: admin.offsets(group, topics) for group in admin.groups(self._profile.groups)},
        )
        return write_package(
            folder,
            kind=self.kind,
            method=METHOD,
            means=Means.LOG,
            records=records,
            details=details.model_dump(),
        )

    def restore(self, folder: Path) -> Restored:
        """Bring back the recorded records and offsets; delete newer topics.

        Raises `ActionFailed` before anything is changed if a group still has members. These would keep
        reading, and a broker sets no offsets while a group has members.
        """
        package = read_package(folder, kind=self.kind)
        with Admin(self._reach) as admin:
            return self._restore(admin, package)

    def _restore(self, admin: Admin, package: Package) -> Restored:
        recorded = _Details.model_validate(package.details)
        countdown = self._whole.start()
        groups = sorted({*recorded.groups, *admin.groups(self._profile.groups)})
        admin.expect_idle(groups, IDLE_SECONDS)
        found = {
            name: self._found(admin, name, topic, package.path(topic.file), countdown)
            for name, topic in recorded.topics.items()
        }
        moved = {name: package.path(recorded.topics[name].file) for name in found if found[name].damage}
        notes: list[str] = []
        for name, topic in recorded.topics.items():
            if name in moved:
                self._make_anew(admin, name, topic, moved[name], countdown)
            else:
                admin.configure(name, topic.shape)
            notes += _told(name, found[name])
        for name in admin.names(self._profile.topics):
            if name not in recorded.topics:
                admin.delete(name, countdown)
                notes.append(f"topic {name} came after the backup and was deleted")
        begins = {name: found[name].begins for name in found}
        notes += self._set_offsets(admin, groups, recorded, moved, begins)
        records = {name: count - found[name].expired for name, count in package.records.items()}
        return Restored(records=records, notes=tuple(notes))

    def _write(
        self,
        admin: Admin,
        topic: str,
        extents: Mapping[int, Extent],
        stream: IO[bytes],
        index: Snapshot | None,
        countdown: Countdown,
    ) -> int:
        """Write the records of a topic within `extents` to `stream`; return their number."""
        retention, division, pace = admin.retention(topic), divided(extents, PART), pace_of(self._profile)
        found = self._reader.messages(admin, topic, extents, division, range(len(division)), pace)

        def written(part: Iterable[tuple[int, Any, int]]) -> Iterator[RecordHash]:
            for _, message, shift in part:
                countdown.left()
                if message is not None:
                    stream.write(record_of(message).line())
                    yield record_of_message(message, shift, frozenset(), retention)

        return sum(
            add_part(index, topic, number, division[number], written(part))
            for number, part in groupby(found, key=itemgetter(0))
        )

    def _found(self, admin: Admin, name: str, topic: _Topic, file: Path, countdown: Countdown) -> _Found:
        """Look at the topic; nothing is changed."""
        if name not in admin.names([name]):
            return _Found("it was gone")
        shape = admin.describe(name)
        if shape.partitions != topic.shape.partitions:
            return _Found(f"it had {shape.partitions} partitions instead of {topic.shape.partitions}")
        found = self._compared(admin, name, topic, file, countdown)
        if found.damage:
            # One reading is not enough to delete a topic: see SETTLE_SECONDS.
            time.sleep(SETTLE_SECONDS)
            found = self._compared(admin, name, topic, file, countdown)
        return found

    def _compared(self, admin: Admin, name: str, topic: _Topic, file: Path, countdown: Countdown) -> _Found:
        """Look for the recorded records: one not at its offset is damaged, or expired."""
        missing = {_digest(record) for record in read_records(file)}
        later, removed = 0, _Removed(topic)
        found = admin.beginnings(partitions_in({name: topic.shape.partitions}), countdown)
        begins = {str(number): begin for (_, number), begin in found.items()}
        for message in admin.records(found, countdown):
            record = record_of(message)
            known = _digest(record) in missing
            missing.discard(_digest(record))
            later += record.offset >= topic.ends[record.partition]
            removed.see(record, known=known)
        expired = 0
        if missing:
            expired = sum(
                removed.by_itself(record, begins[str(record.partition)])
                for record in read_records(file)
                if _digest(record) in missing
            )
        lost = len(missing) - expired
        damage = f"{lost} of its records were gone or changed" if lost else ""
        return _Found(damage, later, expired, begins)

    def _make_anew(self, admin: Admin, name: str, topic: _Topic, file: Path, countdown: Countdown) -> None:
        """Delete, create and fill the topic, and read it back."""
        admin.delete(name, countdown)
        admin.create(name, topic.shape, countdown)
        admin.produce(name, read_records(file), countdown)
        messages = admin.every_record({name: topic.shape.partitions}, countdown)
        written = _contents(record_of(message) for message in messages)
        recorded = _contents(read_records(file))
        if written != recorded:
            raise self._failed(
                f"topic {name}, re-created by the restore",
                expected="the recorded records in their order: by partition, number and digest "
                f"{_brief(recorded)}",
                observed=_brief(written),
                hint="something writes to it, or its retention has removed old records; restore again",
            )

    def _set_offsets(
        self,
        admin: Admin,
        groups: Iterable[str],
        recorded: _Details,
        moved: Mapping[str, Path],
        begins: Mapping[str, Mapping[str, int]],
    ) -> Iterator[str]:
        """Set every recorded offset; yield a note for each group's newer ones, which cannot be removed.

        A group that stood before a record which has expired since stands where its partition begins. From an
        absent offset, a consumer may skip to the end.
        """
        for group in groups:
            wanted = {
                topic: _renumbered(moved[topic], partitions)
                if topic in moved
                else {number: max(offset, begins[topic][number]) for number, offset in partitions.items()}
                for topic, partitions in recorded.groups.get(group, {}).items()
            }
            admin.set_offsets(group, wanted)
            shapes = {name: topic.shape.partitions for name, topic in recorded.topics.items()}
            for topic, partitions in admin.offsets(group, shapes).items():
                later = sorted(partitions.keys() - wanted.get(topic, {}).keys(), key=int)
                if later:
                    yield (
                        f"group {group} has offsets in {topic} that it did not have, and keeps them: "
                        f"partitions {', '.join(later)}"
                    )


class _Removed:
    """Tells the records that a broker has removed by itself from those that were lost.

    A log only loses records from its beginning, by age and by size. Another record at a recorded offset shows
    that it is another log: nothing of that partition counts as removed by the broker then.
    """

    def __init__(self, topic: _Topic) -> None:
        """Know no record yet; `topic` is as it was recorded, before a migration changed its retention."""
        self._retention, self._ends = topic.retention, topic.ends
        self._strange: set[int] = set()
        self._now = time.time()

    def see(self, record: Record, *, known: bool) -> None:
        """Take a record of the log; `known` says whether it is a recorded one."""
        if not known and record.offset < self._ends[record.partition]:
            self._strange.add(record.partition)

    def by_itself(self, record: Record, begin: int) -> bool:
        """Return whether the broker may have removed `record` from a partition that begins at `begin`."""
        if record.partition in self._strange or record.offset >= begin:
            return False
        kind, stamped = record.timestamp
        until = ends(self._retention, stamped if kind != NOT_STAMPED else None)
        by_size = self._retention is not None and self._retention.size is not None
        return by_size or (until is not None and until <= self._now)


def _digest(record: Record) -> bytes:
    return hashlib.sha256(record.line()).digest()


def _told(name: str, found: _Found) -> Iterator[str]:
    if found.damage:
        yield (
            f"topic {name} was re-created, since {found.damage}: offsets begin at 0 and groups stand "
            f"before the same record as recorded"
        )
        return
    if found.expired:
        yield f"{found.expired} records of topic {name} have expired since the backup, and stay away"
    if found.later:
        yield (
            f"topic {name} still holds every recorded record and was left alone; {found.later} later "
            f"ones remain and will be read"
        )


def _renumbered(file: Path, committed: Mapping[str, int]) -> dict[str, int]:
    """Return the offsets for a group that stood at `committed`, now that the records count from 0."""
    found = dict.fromkeys(committed, 0)
    for record in read_records(file):
        partition = str(record.partition)
        if partition in found and record.offset < committed[partition]:
            found[partition] += 1
    return found


def _contents(records: Iterable[Record]) -> dict[int, tuple[int, str]]:
    """Return the number of records and a digest of their contents in order, by partition."""
    counts: Counter[int] = Counter()
    digests: dict[int, Any] = {}
    for record in records:
        counts[record.partition] += 1
        digests.setdefault(record.partition, hashlib.sha256()).update(record.content() + b"\n")
    return {partition: (counts[partition], digest.hexdigest()) for partition, digest in digests.items()}


def _brief(contents: Mapping[int, tuple[int, str]]) -> str:
    return (
        ", ".join(f"{n}: {count} {digest[:8]}" for n, (count, digest) in sorted(contents.items())) or "none"
    )
