"""Kafka's content: each record in the retained range, at its partition and offset."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.stores.canonical import hash_of_record, packed, record_of
from rollproof.stores.contract import Beside, Digest, Pace, RecordHash
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.kafka.inventory import Inventory
from rollproof.stores.kafka.positions import Positions, advances, lags, renumbered, strays
from rollproof.stores.kafka.ranges import Extent, Numbering, RangeLog, divided, runs, segments, shifted
from rollproof.stores.kafka.records import CREATED, NOT_STAMPED
from rollproof.stores.kafka.upkeep import LastOfKeys
from rollproof.stores.kafka.view import SETTLE_SECONDS, KafkaReader, Partition
from rollproof.stores.policy import excluded_of
from rollproof.stores.reach import Readable


class Content(KafkaReader):
    """Reads the content of the topics of one broker. See `ContentView` and `LaggingContent`.

    A bound is ``partition:offset``. A record has the fields key, value, headers and timestamp; its partition
    and offset identify it. A recreated topic begins at 0 again: its records are compared by their distance
    from the first one. Where compaction or transactions had left holes, `renumber` matches them by position.
    """

    blind_spots: tuple[str, ...] = (
        "times that the broker stamped are not compared: it stamps a record again when that is restored",
        "that a topic was re-created with other offsets is not seen as long as its records are the same",
        "a record that a later one of its key superseded, or a limit of bytes removed, may be called missing",
        "records of transactions that are still open are not read; how records were batched is not compared",
        "replication is not compared where there is one broker; quotas and access lists are not compared",
    )

    def __init__(self, readable: Readable[KafkaProfile]) -> None:
        """Keep the access data; each question connects."""
        super().__init__(readable)
        # By topic and partition; those of `_recreated` hold for the offsets of today's log.
        self._recorded: dict[str, dict[int, Numbering]] = {}
        self._recreated: dict[str, frozenset[int]] = {}

    def renumber(self, collection: str, keys: Iterable[str]) -> bool:
        """Match the records by position where the topic was re-created. See `RenumberedContent`.

        A hole of a log stays one for ever: a record where none was recorded shows that it is another log.
        """
        recorded: dict[int, list[int]] = {}
        for partition, offset in map(_place, keys):
            recorded.setdefault(partition, []).append(offset)
        known = {partition: Numbering.of(sorted(offsets)) for partition, offsets in recorded.items()}
        with self._with(RangeLog) as log:
            extents = self._extents(log, collection)
            recreated = frozenset(
                partition
                for partition, numbering in known.items()
                if partition in extents and _fills_a_hole(log, collection, partition, extents, numbering)
            )
        before, self._recreated[collection] = self._recreated.get(collection, frozenset()), recreated
        self._recorded[collection] = known
        return recreated != before

    def schemas(self) -> Mapping[str, Json]:
        """Return each topic's partitions and configuration."""
        with self._with(Inventory) as inventory, self._with(RangeLog) as log:
            return {topic: inventory.schema(topic) for topic in log.topics(self._profile.topics)}

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return bounds at the partitions' beginnings, and within them by offset; no content is used."""
        with self._with(RangeLog) as log:
            return divided(self._extents(log, collection), records)

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each part, in the order given."""
        count, total = 0, 0
        excluded = excluded_of(self._profile, collection)
        for part, message, shift in self._read(collection, division, parts, pace):
            if message is None:
                yield part, Digest(count, total)
                count, total = 0, 0
            else:
                count += 1
                total += hash_of_record(_identity(message, shift), _fields(message, excluded))

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        """Yield each record of `parts`, with the time from which the broker may have removed it, if any."""
        excluded = excluded_of(self._profile, collection)
        with self._with(Inventory) as inventory:
            upkeep = inventory.upkeep(collection)
        with closing(LastOfKeys()) as last:
            if upkeep.compacted:
                every = self._read(collection, ("",), (0,), pace)
                last.fill(message for _, message, _ in every if message is not None)
            for part, message, shift in self._read(collection, division, parts, pace):
                if message is not None:
                    kind, milliseconds = message.timestamp()
                    ends = upkeep.ends(
                        milliseconds if kind != NOT_STAMPED else None,
                        tombstone=message.value() is None,
                        superseded=upkeep.compacted and last.supersedes(message),
                    )
                    yield part, record_of_message(message, shift, excluded, ends)

    def positions(self) -> Mapping[str, Json]:
        """Return each partition's begin and end, and each group's offset in it."""
        return self._positions().record()

    def _positions(self) -> Positions:
        with self._with(RangeLog) as log:
            topics = log.topics(self._profile.topics)
            extents = self._partitions(log, topics)
        with self._with(Inventory) as inventory:
            groups = inventory.groups(self._profile.groups)
            return Positions(
                extents,
                {
                    (group, partition): offset
                    for group in groups
                    for partition, offset in inventory.committed(group, extents).items()
                },
            )

    def strayed(self, recorded: Mapping[str, Json]) -> Sequence[str]:
        """Return changed numbers of partitions, what was lost, and offsets moved back or beyond the end."""
        found = self._strays(recorded)
        if found:  # ends may be stale, so a second look confirms the faults
            time.sleep(SETTLE_SECONDS)
            found = self._strays(recorded)
        return found

    def _strays(self, recorded: Mapping[str, Json]) -> Sequence[str]:
        then, now = Positions.of_record(recorded), self._positions()
        return strays(renumbered(then, now, self._recorded, self._recreated), now)

    def beside(self) -> Beside:
        """Return the topics and groups that the profile does not list. See `SharedContent`."""
        with self._with(RangeLog) as log:
            topics = set(log.names(["*"])) - set(log.names(self._profile.topics))
        groups, unread = set[str](), tuple[str, ...]()
        try:
            with self._with(Inventory) as inventory:
                groups = set(inventory.groups(["*"])) - set(inventory.groups(self._profile.groups))
        except Unverifiable:  # topics were listed, so it is this alone that is refused
            unread = ("groups of others: Describe of all groups",)
        return Beside(outside=(*_named("topic", topics), *_named("group", groups)), unread=unread)

    def advanced(self, recorded: Mapping[str, Json]) -> Sequence[str]:
        """Return a line for each group's offset that is ahead of its recorded one."""
        then, now = Positions.of_record(recorded), self._positions()
        return list(advances(renumbered(then, now, self._recorded, self._recreated), now))

    def lags(self) -> Mapping[str, int]:
        """Return each group's lag. See `LaggingContent`."""
        return lags(self._positions())

    def _read(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Any, int]]:
        """Yield the records part by part with their offsets' shift, and None at each part's end."""
        ended = 0
        with self._with(RangeLog) as log:
            extents = self._numbered(collection, shifted(self._extents(log, collection), division))
            for run in runs(segments(division, parts, extents)):
                extent = extents[run[0].partition]
                for part, message in log.read(collection, run, pace):
                    while parts[ended] != part:
                        yield parts[ended], None, 0
                        ended += 1
                    yield part, message, extent.recorded(message.offset()) - message.offset()
        for part in parts[ended:]:
            yield part, None, 0

    def _numbered(self, collection: str, extents: dict[int, Extent]) -> dict[int, Extent]:
        known = self._recorded.get(collection, {})
        return extents | {
            partition: replace(extents[partition], numbering=known[partition])
            for partition in self._recreated.get(collection, frozenset())
            if partition in extents
        }

    def _extents(self, log: RangeLog, topic: str) -> dict[int, Extent]:
        topics = log.topics([topic])
        if topic not in topics:
            raise self._reach.failed(
                "no such topic",
                expected=f"topic {topic}",
                hint="it was deleted or renamed, or the reader may not see it",
            )
        return {number: extent for (_, number), extent in self._partitions(log, topics).items()}

    def _partitions(self, log: RangeLog, topics: Mapping[str, int]) -> dict[Partition, Extent]:
        every = [(topic, number) for topic, count in topics.items() for number in range(count)]
        begins = log.beginnings(every, self._reach.start())
        ends = log.real_ends(every, self._reach.start())
        return {partition: Extent(begins[partition], ends[partition]) for partition in every}


def _named(kind: str, names: Iterable[str]) -> Iterator[str]:
    return (f"{kind} {name}" for name in sorted(names))


def _place(key: str) -> tuple[int, int]:
    """Return partition and offset of a record by its key."""
    partition, _, offset = key.partition("/")
    return int(partition), int(offset)


def _fills_a_hole(
    log: RangeLog, topic: str, partition: int, extents: Mapping[int, Extent], recorded: Numbering
) -> bool:
    """Return whether a record is at the first offset where none was recorded, and one could be now."""
    extent = extents[partition]
    for first, after in recorded.holes():
        start, stop = max(first, extent.begin), min(after, extent.end)
        if start < stop:
            return log.holds(topic, partition, start, stop)
    return False


def record_of_message(
    message: Any,  # noqa: ANN401 - a message of the library
    shift: int,
    excluded: frozenset[str],
    expires: float | None = None,
) -> RecordHash:
    """Return a message's record."""
    return record_of(
        f"{message.partition()}/{message.offset() + shift}",
        _identity(message, shift),
        _fields(message, excluded),
        expires,
    )


def _identity(message: Any, shift: int) -> bytes:  # noqa: ANN401 - a message of the library
    return b"%d/%d" % (message.partition(), message.offset() + shift)


def _fields(message: Any, excluded: frozenset[str]) -> dict[str, bytes | None]:  # noqa: ANN401 - a message of the library
    stamped, milliseconds = message.timestamp()
    headers = message.headers()
    fields = {
        "key": message.key(),
        "value": message.value(),
        "headers": packed(part for name, value in headers for part in (name.encode(), value))
        if headers
        else b"",
        "timestamp": b"%d" % milliseconds if stamped == CREATED else None,
    }
    if excluded:
        return {name: value for name, value in fields.items() if name not in excluded}
    return fields
