"""Kafka's content: each record in the retained range, at its partition and offset."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.stores.canonical import hash_of_record, packed, record_of
from rollproof.stores.contract import Beside, Digest, Pace, RecordHash
from rollproof.stores.kafka.inventory import Inventory
from rollproof.stores.kafka.positions import Positions, advances, lags, strays
from rollproof.stores.kafka.ranges import Extent, RangeLog, divided, runs, segments, shifted
from rollproof.stores.kafka.records import CREATED, NOT_STAMPED
from rollproof.stores.kafka.view import SETTLE_SECONDS, KafkaReader, Partition
from rollproof.stores.policy import excluded_of


class Content(KafkaReader):
    """Reads the content of the topics of one broker. See `ContentView` and `LaggingContent`.

    A bound is ``partition:offset``. A record has the fields key, value, headers and timestamp; its partition
    and offset identify it. A recreated topic begins at 0 again: its records are compared by their distance
    from the first one.
    """

    blind_spots: tuple[str, ...] = (
        "times that the broker stamped are not compared: it stamps a record again when that is restored",
        "that a topic was re-created with other offsets is not seen as long as its records are the same",
        "a record that compaction or a limit of bytes removed is called missing",
        "records of a re-created topic are called missing if transactions or compaction had left holes",
        "records of transactions that are still open are not read; how records were batched is not compared",
        "replication is not compared where there is one broker; quotas and access lists are not compared",
    )

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
        for part, message, shift in self._read(collection, division, parts, pace):
            if message is not None:
                kind, milliseconds = message.timestamp()
                ends = upkeep.ends(milliseconds if kind != NOT_STAMPED else None)
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
        return strays(Positions.of_record(recorded), self._positions())

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
        return list(advances(Positions.of_record(recorded), self._positions()))

    def lags(self) -> Mapping[str, int]:
        """Return each group's lag. See `LaggingContent`."""
        return lags(self._positions())

    def _read(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Any, int]]:
        """Yield the records part by part with their offsets' shift, and None at each part's end."""
        ended = 0
        with self._with(RangeLog) as log:
            extents = shifted(self._extents(log, collection), division)
            for run in runs(segments(division, parts, extents)):
                shift = extents[run[0].partition].shift
                for part, message in log.read(collection, run, pace):
                    while parts[ended] != part:
                        yield parts[ended], None, 0
                        ended += 1
                    yield part, message, shift
        for part in parts[ended:]:
            yield part, None, 0

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
