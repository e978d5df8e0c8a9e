"""Kafka, write side: every retained record, the topics' configuration, the groups' offsets.

A log cannot be wound back. If a topic still holds all recorded records, a restore leaves it alone. It only
sets the groups' offsets back, so that newer records are read again. Otherwise it rebuilds the topic.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from fixtures.backups.package import Kept, read_package, write_package
from fixtures.stores.kafka.descriptor import KafkaProfile
from fixtures.stores.kafka.records import Record, read_records, record_of
from fixtures.stores.kafka.view import Log, Partition, beginnings
from fixtures.stores.reach import Countdown
from fixtures.system.files import create_file
from fixtures.target.store_descriptor import Means
from rollback_actions.stores.contract import Restored
from rollback_actions.stores.kafka.admin import Admin, GroupOffsets, Topic
from rollback_actions.stores.writable import StoreWriter

METHOD = "every retained record, configuration and group offsets"
# Brokers on object storage were seen to serve an end of the log that was up to 5 s old.
SETTLE_SECONDS = 5.5
# A restore waits this long for the members of the groups to leave.
IDLE_SECONDS = 30.0


class _Topic(BaseModel):
    """A topic at the time of the backup; `ends` are the offsets after the last record, by partition."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    shape: Topic
    ends: list[int]


class _Details(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster: str
    topics: dict[str, _Topic]
    # By group and topic, the committed offset of each partition that has one.
    groups: dict[str, GroupOffsets]


class Keeper(StoreWriter[KafkaProfile]):
    """Write side of one broker's topics. See `StoreKeeper`."""

    def back_up(self, folder: Path) -> Kept:
        """Read every topic to its end, then check that no more records arrive."""
        countdown = self._whole.start()
        admin = Admin(self._reach)
        with Log(self._reach) as log:
            topics = log.topics(self._profile.topics)
            records, ends = self._write(log, topics, folder, countdown)
            time.sleep(SETTLE_SECONDS)
            later = Counter(message.topic() for message in log.records(ends, countdown))
            cluster = log.cluster()
        if later:
            raise self._failed(
                "records during the backup",
                expected="none that came after the end that was read",
                observed=", ".join(f"{count} in {topic}" for topic, count in sorted(later.items())),
                hint="something writes: stop the application's writers first",
            )
        details = _Details(
            cluster=cluster,
            topics={
                name: _Topic(
                    file=f"{name}.jsonl",
                    shape=admin.describe(name),
                    ends=[ends[name, number] for number in range(count)],
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
        recorded = _Details.model_validate(package.details)
        countdown = self._whole.start()
        admin = Admin(self._reach)
        groups = sorted({*recorded.groups, *admin.groups(self._profile.groups)})
        admin.expect_idle(groups, sorted(recorded.topics), IDLE_SECONDS)
        notes: list[str] = []
        moved: dict[str, Path] = {}
        for name, topic in recorded.topics.items():
            file = package.path(topic.file)
            damage, extra = self._damage(admin, name, topic, file, countdown)
            if damage:
                self._make_anew(admin, name, topic, file, countdown)
                moved[name] = file
                notes.append(
                    f"topic {name} was re-created, since {damage}: offsets begin at 0 and groups stand "
                    f"before the same record as recorded"
                )
            elif extra:
                notes.append(
                    f"topic {name} still holds every recorded record and was left alone; {extra} later "
                    f"ones remain and will be read"
                )
        for name in self._topics(self._profile.topics):
            if name not in recorded.topics:
                admin.delete(name, countdown)
                notes.append(f"topic {name} came after the backup and was deleted")
        notes += self._set_offsets(admin, groups, recorded, moved)
        return Restored(records=package.records, notes=tuple(notes))

    def _write(
        self, log: Log, topics: Mapping[str, int], folder: Path, countdown: Countdown
    ) -> tuple[dict[str, int], dict[Partition, int]]:
        """Write each topic's records to its file; return the number of records and the partitions' ends."""
        records = dict.fromkeys(topics, 0)
        ends: dict[Partition, int] = {}
        with ExitStack() as stack:
            files = {name: stack.enter_context(create_file(folder / f"{name}.jsonl")) for name in topics}
            for message in log.records(beginnings(topics), countdown, ends):
                files[message.topic()].write(record_of(message).line())
                records[message.topic()] += 1
        return records, ends

    def _topics(self, patterns: Iterable[str]) -> dict[str, int]:
        with Log(self._reach) as log:
            return log.topics(patterns)

    def _damage(
        self, admin: Admin, name: str, topic: _Topic, file: Path, countdown: Countdown
    ) -> tuple[str, int]:
        """Return the topic's damage in words ("" if it can stay), and the number of newer records."""
        if name not in self._topics([name]):
            return "it was gone", 0
        shape = admin.describe(name)
        if shape.partitions != topic.shape.partitions:
            return f"it had {shape.partitions} partitions instead of {topic.shape.partitions}", 0
        missing, extra = self._missing(name, topic, file, countdown)
        if missing:
            # One reading is not enough to delete a topic: see SETTLE_SECONDS.
            time.sleep(SETTLE_SECONDS)
            missing, extra = self._missing(name, topic, file, countdown)
        if missing:
            return f"{missing} of its records were gone or changed", extra
        admin.configure(name, observed=shape, wanted=topic.shape)
        return "", extra

    def _missing(self, name: str, topic: _Topic, file: Path, countdown: Countdown) -> tuple[int, int]:
        """Return the numbers of recorded records that are not at their offsets, and of newer records.

        The log is closed before this returns. The library (2.16) crashes the process when a topic is deleted
        under a reader with a request under way.
        """
        missing = {hashlib.sha256(record.line()).digest() for record in read_records(file)}
        extra = 0
        with Log(self._reach) as log:
            for message in log.records(beginnings({name: topic.shape.partitions}), countdown):
                record = record_of(message)
                missing.discard(hashlib.sha256(record.line()).digest())
                extra += record.offset >= topic.ends[record.partition]
        return len(missing), extra

    def _make_anew(self, admin: Admin, name: str, topic: _Topic, file: Path, countdown: Countdown) -> None:
        """Delete, create and fill the topic, and read it back."""
        admin.delete(name, countdown)
        admin.create(name, topic.shape, countdown)
        admin.produce(name, read_records(file), countdown)
        with Log(self._reach) as log:
            messages = log.records(beginnings({name: topic.shape.partitions}), countdown)
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
        self, admin: Admin, groups: Iterable[str], recorded: _Details, moved: Mapping[str, Path]
    ) -> Iterator[str]:
        """Set every recorded offset; yield a note for each group's newer ones, which cannot be removed."""
        for group in groups:
            wanted = {
                topic: _renumbered(moved[topic], partitions) if topic in moved else partitions
                for topic, partitions in recorded.groups.get(group, {}).items()
            }
            admin.set_offsets(group, wanted)
            for topic, partitions in admin.offsets(group, recorded.topics).items():
                later = sorted(partitions.keys() - wanted.get(topic, {}).keys(), key=int)
                if later:
                    yield (
                        f"group {group} has offsets in {topic} that it did not have, and keeps them: "
                        f"partitions {', '.join(later)}"
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
