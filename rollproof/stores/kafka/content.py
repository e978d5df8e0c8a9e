"""Kafka's content: each record in the retained range, at its partition and offset."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.stores.canonical import hash_of_record, packed, record_of
from rollproof.stores.contract import Beside, Digest, Pace, RecordHash
from rollproof.stores.kafka.broker import SETTLE_SECONDS, Broker, partitions_in
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.kafka.positions import Positions, advances, lags, strays
from rollproof.stores.kafka.ranges import Extent, Partition, Segment, divided, runs, segments, shifted
from rollproof.stores.kafka.records import CREATED, NOT_STAMPED, stamp_of
from rollproof.stores.policy import excluded_of
from rollproof.stores.reach import StoreReader


class Content(StoreReader[KafkaProfile]):
    """Reads the content of the topics of one broker. See `ContentView` and `LaggingContent`.

    A bound is ``partition:offset``. A record has the fields key, value, headers and timestamp; its partition
    and offset identify it. A recreated topic begins at 0 again: its records are compared by their distance
    from the first one.
    """

    kind = "kafka"
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
        with Broker(self._reach) as broker:
            return {topic: broker.schema(topic) for topic in broker.names(self._profile.topics)}

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return bounds at the partitions' beginnings, and within them by offset; no content is used."""
        with Broker(self._reach) as broker:
            return divided(self._extents(broker, collection), records)

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
        with Broker(self._reach) as broker:
            upkeep = broker.upkeep(collection)
        for part, message, shift in self._read(collection, division, parts, pace):
            if message is not None:
                kind, milliseconds = stamp_of(message)
                ends = upkeep.ends(milliseconds if kind != NOT_STAMPED else None)
                yield part, record_of_message(message, shift, excluded, ends)

    def positions(self) -> Mapping[str, Json]:
        """Return each partition's begin and end, and each group's offset in it."""
        return self._positions().record()

    def _positions(self) -> Positions:
        with Broker(self._reach) as broker:
            extents = self._partitions(broker, broker.topics(self._profile.topics))
            return Positions(
                extents,
                {
                    (group, partition): offset
                    for group in broker.groups(self._profile.groups)
                    for partition, offset in broker.committed(group, extents).items()
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
        groups, unread = set[str](), tuple[str, ...]()
        with Broker(self._reach) as broker:
            topics = set(broker.names(["*"])) - set(broker.names(self._profile.topics))
            try:
                groups = set(broker.groups(["*"])) - set(broker.groups(self._profile.groups))
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
        with Broker(self._reach) as broker:
            extents = shifted(self._extents(broker, collection), division)
            for run in runs(segments(division, parts, extents)):
                shift = extents[run[0].partition].shift
                for part, message in self._records_of(broker, collection, run, pace):
                    while parts[ended] != part:
                        yield parts[ended], None, 0
                        ended += 1
                    yield part, message, shift
        for part in parts[ended:]:
            yield part, None, 0

    def _records_of(
        self, broker: Broker, topic: str, run: Sequence[Segment], pace: Pace
    ) -> Iterator[tuple[int, Any]]:
        """Yield each record of `run` with its part, in order. The deadline holds for each answer."""
        place, starts = (topic, run[0].partition), [segment.start for segment in run]
        positions, countdown = {place: starts[0]}, self._reach.start()
        size, count, spent = Pace.SMALLEST, 0, 0.0
        while (at := positions[place]) < run[-1].stop:
            asked = time.monotonic()
            for _, records, _ in broker.fetch(positions, countdown):
                spent += time.monotonic() - asked
                count += len(records)
                for message in records:
                    # Compaction leaves holes, so the next record may be past the range's end.
                    if message.offset < run[-1].stop:
                        yield run[bisect_right(starts, message.offset) - 1].part, message
            if positions[place] > at:
                countdown = self._reach.start()
            if count >= size:
                size = pace.next_size(count, spent)
                count, spent = 0, 0.0

    def _extents(self, broker: Broker, topic: str) -> dict[int, Extent]:
        topics = {name: count for name, count in broker.topics([topic]).items() if name == topic}
        if topic not in topics:
            raise self._reach.failed(
                "no such topic",
                expected=f"topic {topic}",
                hint="it was deleted or renamed, or the reader may not see it",
            )
        return {number: extent for (_, number), extent in self._partitions(broker, topics).items()}

    def _partitions(self, broker: Broker, topics: Mapping[str, int]) -> dict[Partition, Extent]:
        every = partitions_in(topics)
        begins = broker.beginnings(every, self._reach.start())
        ends = broker.real_ends(every, self._reach.start())
        return {partition: Extent(begins[partition], ends[partition]) for partition in every}


def _named(kind: str, names: Iterable[str]) -> Iterator[str]:
    return (f"{kind} {name}" for name in sorted(names))


def record_of_message(
    message: Any,  # noqa: ANN401 - a record of the library
    shift: int,
    excluded: frozenset[str],
    expires: float | None = None,
) -> RecordHash:
    """Return a message's record."""
    return record_of(
        f"{message.partition}/{message.offset + shift}",
        _identity(message, shift),
        _fields(message, excluded),
        expires,
    )


def _identity(message: Any, shift: int) -> bytes:  # noqa: ANN401 - a record of the library
    return b"%d/%d" % (message.partition, message.offset + shift)


def _fields(message: Any, excluded: frozenset[str]) -> dict[str, bytes | None]:  # noqa: ANN401 - a record of the library
    stamped, milliseconds = stamp_of(message)
    headers = message.headers
    fields = {
        "key": message.key,
        "value": message.value,
        "headers": packed(part for name, value in headers for part in (name.encode(), value))
        if headers
        else b"",
        "timestamp": b"%d" % milliseconds if stamped == CREATED else None,
    }
    if excluded:
        return {name: value for name, value in fields.items() if name not in excluded}
    return fields
