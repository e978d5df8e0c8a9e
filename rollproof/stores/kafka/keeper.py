"""Kafka, write side: every retained record, the topics' configuration, the groups' offsets.

A log cannot be wound back. If a topic still holds all recorded records, apart from those that the broker has
removed by itself, a restore leaves it alone. It only sets the groups' offsets back, so that newer records are
read again. Otherwise it rebuilds the topic, and sets the offsets of the profile's groups.
"""

from __future__ import annotations

import hashlib
import time
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from rollproof.profile.sections import Model
from rollproof.profile.store_descriptor import Means
from rollproof.reading import open_regular
from rollproof.stores.canonical import packed
from rollproof.stores.contract import ExportedRecord, RecordHash, Retention
from rollproof.stores.kafka.admin import Admin
from rollproof.stores.kafka.broker import SETTLE_SECONDS, Topic, partitions_in
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.kafka.ranges import Extent, Partition, divided
from rollproof.stores.kafka.records import Record, read_records
from rollproof.stores.keeper import Put, RecordKeeper, Restored, add_part
from rollproof.stores.package import Kept, read_package, write_package
from rollproof.stores.policy import pace_of, policy_of
from rollproof.stores.reach import Countdown
from rollproof.stores.snapshot import PART, Snapshot, by_part
from rollproof.system.files import create_file

METHOD = "every retained record, configuration and group offsets"
# A restore waits this long for the members of the groups to leave.
IDLE_SECONDS = 30.0


class _Topic(Model):
    """A topic at the time of the backup; `ends` are the offsets after the last record, by partition.

    `retention` is what the broker removes by itself, as far as it tells.
    """

    shape: Topic
    ends: list[int]
    retention: Retention | None


class _KafkaDetails(Model):
    topics: dict[str, _Topic]
    groups: dict[str, list[tuple[str, int, int]]]
    """By group, the topic, partition and committed offset, where it has one."""


class _Found(NamedTuple):
    """A topic as a restore finds it: its damage in words ("" if it can stay), its newer and expired records.

    `begins` are the offsets at which its partitions begin.
    """

    damage: str = ""
    later: int = 0
    expired: int = 0
    begins: Mapping[Partition, int] = {}


class KafkaKeeper(RecordKeeper):
    """Write side of one broker's topics. See `StoreKeeper`."""

    _profile: KafkaProfile

    def back_up_indexed(self, folder: Path, index: Snapshot | None) -> Kept:
        """Read every topic to its end, then check that no more records arrive where users may add none."""
        countdown = self._whole.start()
        records: dict[str, int] = {}
        ends: dict[Partition, int] = {}
        with Admin(self._reach) as admin:
            topics = admin.topics(self._profile.topics)
            for topic in topics:
                extents = admin.log(topic)
                ends |= {(topic, number): extent.end for number, extent in extents.items()}
                with create_file(folder / _file(topic)) as stream:
                    records[topic] = self._write(admin, topic, extents, stream, index, countdown)
            time.sleep(SETTLE_SECONDS)
            later = Counter(message.topic for message in admin.records(ends, countdown))
            spoilt = [topic for topic in later if not policy_of(self._profile, topic).allows_added]
            if spoilt:
                raise self._failed(
                    "records during the backup",
                    expected="none that came after the end that was read",
                    observed=", ".join(f"{later[topic]} in {topic}" for topic in sorted(spoilt)),
                    hint="something writes: stop the application's writers first",
                )
            details = _KafkaDetails(
                topics={
                    name: _Topic(
                        shape=admin.describe(name),
                        ends=[ends[name, number] for number in range(count)],
                        retention=admin.retention(name),
                    )
                    for name, count in topics.items()
                },
                groups={
                    group: [(*place, offset) for place, offset in admin.committed(group, ends).items()]
                    for group in admin.groups(self._profile.groups)
                },
            )
        return write_package(
            folder,
            kind=self.kind,
            method=METHOD,
            means=Means.LOG,
            records=records,
            details=details.model_dump(),
        )

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Append each record to its partition, acknowledged by every replica in sync."""
        with Admin(self._reach) as admin:

            def write(exported: ExportedRecord) -> None:
                record = Record.of_json(cast("Mapping[str, Any]", exported.replay))
                admin.produce(collection, [record], self._reach.start())

            yield Put(write, appends=True)

    def restore(self, folder: Path) -> Restored:
        """Bring back the recorded records and offsets; delete newer topics.

        Raises `ActionFailed` before anything is changed if a group still has members. These would keep
        reading, and a broker sets no offsets while a group has members.
        """
        package = read_package(folder, kind=self.kind)
        recorded = _KafkaDetails.model_validate(package.details)
        files = {name: package.path(_file(name)) for name in recorded.topics}
        countdown, notes = self._whole.start(), list[str]()
        moved: dict[str, Mapping[int, array[int]]] = {}
        with Admin(self._reach) as admin:
            groups = sorted({*recorded.groups, *admin.groups(self._profile.groups)})
            admin.expect_idle(groups, IDLE_SECONDS)
            found = {
                name: self._found(admin, name, topic, files[name], countdown)
                for name, topic in recorded.topics.items()
            }
            for name, topic in recorded.topics.items():
                if found[name].damage:
                    self._recreate(admin, name, topic.shape, files[name], countdown)
                    moved[name] = _offsets(files[name])
                else:
                    admin.configure(name, topic.shape.configuration)
                notes += _notes_on(name, found[name])
            for name in admin.names(self._profile.topics):
                if name not in recorded.topics:
                    admin.delete(name, countdown)
                    notes.append(f"topic {name} came after the backup and was deleted")
            for group in groups:
                wanted: dict[Partition, int] = {}
                for name, number, offset in recorded.groups.get(group, ()):
                    if name in moved:  # its records count from 0 now
                        wanted[name, number] = bisect_left(moved[name].get(number, ()), offset)
                    else:  # from an expired record, a consumer may skip to the end
                        wanted[name, number] = max(offset, found[name].begins[name, number])
                admin.set_offsets(group, wanted)
                counts = {name: topic.shape.partitions for name, topic in recorded.topics.items()}
                if newer := admin.committed(group, partitions_in(counts)).keys() - wanted.keys():
                    places = ", ".join(f"{topic}/{number}" for topic, number in sorted(newer))
                    notes.append(f"group {group} keeps offsets that it did not have: {places}")
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
        retention, division = admin.retention(topic), divided(extents, PART)
        every = range(len(division))
        found = admin.read(topic, extents, division, every, pace_of(self._profile))

        def written(part: Iterable[tuple[Record, int]]) -> Iterator[RecordHash]:
            for record, _ in part:
                countdown.left()
                stream.write(record.line())
                yield record.hashed(retention=retention)

        return sum(
            add_part(index, topic, number, division[number], written(part))
            for number, part in by_part(found, every, topic, self.name)
        )

    def _found(self, admin: Admin, name: str, topic: _Topic, file: Path, countdown: Countdown) -> _Found:
        """Look at the topic; nothing is changed."""
        count = admin.topics([name]).get(name, 0)
        if count != topic.shape.partitions:
            return _Found(f"it had {count} partitions instead of {topic.shape.partitions}")
        found = compared(admin, name, topic, file, countdown)
        if found.damage:
            # One reading is not enough to delete a topic: see SETTLE_SECONDS.
            time.sleep(SETTLE_SECONDS)
            found = compared(admin, name, topic, file, countdown)
        return found

    def _recreate(self, admin: Admin, name: str, shape: Topic, file: Path, countdown: Countdown) -> None:
        """Delete, create and fill the topic, and read it back."""
        admin.delete(name, countdown)
        admin.create(name, shape, countdown)
        admin.produce(name, read_records(file), countdown)
        messages = admin.every_record({name: shape.partitions}, countdown)
        if _contents(map(Record.of, messages)) != _contents(read_records(file)):
            raise self._failed(
                f"topic {name}, re-created by the restore",
                expected="the recorded records in their order",
                observed="others",
                hint="something writes to it, or its retention has removed old records; restore again",
            )


def compared(admin: Admin, name: str, topic: _Topic, file: Path, countdown: Countdown) -> _Found:
    """Look for the recorded records: one not at its offset is damaged, or expired.

    A log only loses records from its beginning, by age and by size. Another record at a recorded offset
    shows that it is another log: nothing of that partition counts as expired then.
    """
    with open_regular(file) as lines:
        missing = {hashlib.sha256(line).digest() for line in lines}
    later, strange = 0, set[int]()
    begins = admin.beginnings(partitions_in({name: topic.shape.partitions}), countdown)
    for message in admin.records(begins, countdown):
        digest = _digest(Record.of(message))
        newer = message.offset >= topic.ends[message.partition]
        later += newer
        if digest not in missing and not newer:
            strange.add(message.partition)
        missing.discard(digest)
    lost = [record for record in read_records(file) if _digest(record) in missing] if missing else []
    expired = sum(
        record.partition not in strange
        and record.offset < begins[name, record.partition]
        and _may_be_removed(record, topic.retention)
        for record in lost
    )
    damage = f"{len(lost) - expired} of its records were gone or changed" if len(lost) > expired else ""
    return _Found(damage, later, expired, begins)


def _may_be_removed(record: Record, retention: Retention | None) -> bool:
    """Return whether the broker may have removed a record by now, by its size or its age."""
    until = record.expires(retention)
    by_size = retention is not None and retention.size is not None
    return by_size or (until is not None and until <= time.time())


def _file(topic: str) -> str:
    return f"{topic}.jsonl"


def _digest(record: Record) -> bytes:
    return hashlib.sha256(record.line()).digest()


def _notes_on(name: str, found: _Found) -> Iterator[str]:
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


def _offsets(file: Path) -> dict[int, array[int]]:
    """Return the recorded offsets by partition, in their order."""
    found: dict[int, array[int]] = defaultdict(lambda: array("q"))
    for record in read_records(file):
        found[record.partition].append(record.offset)
    return found


def _contents(records: Iterable[Record]) -> dict[int, str]:
    """Return a digest of the records' contents in order, by partition."""
    digests: dict[int, Any] = {}
    for record in records:
        content = packed(record.content().values())
        digests.setdefault(record.partition, hashlib.sha256()).update(packed([content]))
    return {partition: digest.hexdigest() for partition, digest in digests.items()}
