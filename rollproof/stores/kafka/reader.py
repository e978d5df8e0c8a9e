"""Kafka, read side: records are counted by reading the log.

A count is the number of records between the retained range's start and end. It is not a difference of
offsets: compaction and transactions make that too large, and a broker on object storage has reported it too
small.
"""

from __future__ import annotations

import time
from base64 import b64decode
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.stores import canonical
from rollproof.stores.canonical import hash_of_record, packed, text_json
from rollproof.stores.contract import (
    Answer,
    Beside,
    Digest,
    ExportedRecord,
    Pace,
    RecordHash,
    Retention,
    Selection,
)
from rollproof.stores.kafka.broker import SETTLE_SECONDS, Broker, partitions_in
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.kafka.positions import Positions, lags, strays
from rollproof.stores.kafka.ranges import Extent, Partition, Segment, divided, runs, segments, shifted
from rollproof.stores.kafka.records import CREATED, NOT_STAMPED, Record, record_of, stamp_of
from rollproof.stores.kafka.retention import ends
from rollproof.stores.policy import excluded_of
from rollproof.stores.reader import Reader

# Records that `ask` reads at most: enough to show that the log holds any.
ASK_RECORDS = 100


class KafkaReader(Reader):
    """Reads the topics of one broker.

    A bound is ``partition:offset``. A record has the fields key, value, headers and timestamp; its partition
    and offset identify it. A recreated topic begins at 0 again: its records are compared by their distance
    from the first one. A record that is put back gets its partition's next offset and, if the broker stamps
    records, the time at which it is put back. An export's lines of one partition keep its order.
    """

    _profile: KafkaProfile

    blind_spots: tuple[str, ...] = (
        "times that the broker stamped are not compared: it stamps a record again when that is restored",
        "that a topic was re-created with other offsets is not seen as long as its records are the same",
        "a record that compaction or a limit of bytes removed is called missing",
        "records of a re-created topic are called missing if transactions or compaction had left holes",
        "records of transactions that are still open are not read; how records were batched is not compared",
        "replication is not compared where there is one broker; quotas and access lists are not compared",
    )

    def holdings(self) -> Mapping[str, Any]:
        """Return the topics, the broker's own apart, and the groups."""
        with Broker(self._reach) as broker:
            return {"topics": broker.names(["*"]) or ["*"], "groups": broker.groups(["*"])}

    def addresses(self) -> Sequence[str]:
        """Return the brokers to which clients of this process connect."""
        with Broker(self._reach) as broker:
            return sorted(broker.brokers().values())

    def ask(self) -> Answer:
        """Read from the first topic that holds a record, or from the last if all are empty."""
        countdown = self._reach.start()
        with Broker(self._reach) as broker:
            topics = broker.topics(self._profile.topics)
            if not topics:
                raise self._reach.failed(
                    "none",
                    expected=f"a topic that matches {', '.join(self._profile.topics)}",
                    hint="no topic matches: correct `topics` in the profile, or let the reader see them",
                )
            for topic, count in topics.items():
                reading = broker.every_record({topic: count}, countdown)
                records = sum(1 for _ in zip(range(ASK_RECORDS), reading, strict=False))
                if records:
                    break
            return Answer(
                query=f"read of up to {ASK_RECORDS} records",
                collection=topic,
                records=records,
                server=f"Kafka cluster {broker.cluster()}",
            )

    def counts(self) -> Mapping[str, int]:
        """Return the number of readable records by topic; one deadline holds for all."""
        with Broker(self._reach) as broker:
            return self._counts(broker, broker.topics(self._profile.topics))

    def collections(self) -> Sequence[str]:
        """Return the topics."""
        with Broker(self._reach) as broker:
            return list(broker.topics(self._profile.topics))

    def count(self, collection: str) -> int:
        """Return the number of readable records of one topic."""
        with Broker(self._reach) as broker:
            topics = {collection: len(broker.topic(collection).partitions)}
            return self._counts(broker, topics)[collection]

    def _counts(self, broker: Broker, topics: Mapping[str, int]) -> Mapping[str, int]:
        found = Counter(record.topic for record in broker.every_record(topics, self._reach.start()))
        return {topic: found[topic] for topic in topics}

    def schemas(self) -> Mapping[str, Json]:
        """Return each topic's partitions and configuration."""
        with Broker(self._reach) as broker:
            return {topic: broker.schema(topic) for topic in broker.names(self._profile.topics)}

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return bounds at the partitions' beginnings, and within them by offset; no content is used."""
        with Broker(self._reach) as broker:
            return divided(self.extents(broker, collection), records)

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
            retention = broker.retention(collection)
        for part, message, shift in self._read(collection, division, parts, pace):
            if message is not None:
                yield part, record_of_message(message, shift, excluded, retention)

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
        """Return the topics and groups that the profile does not list."""
        groups, unread = set[str](), tuple[str, ...]()
        with Broker(self._reach) as broker:
            topics = set(broker.names(["*"])) - set(broker.names(self._profile.topics))
            try:
                groups = set(broker.groups(["*"])) - set(broker.groups(self._profile.groups))
            except Unverifiable:  # topics were listed, so it is this alone that is refused
                unread = ("groups of others: Describe of all groups",)
        return Beside(outside=(*_named("topic", topics), *_named("group", groups)), unread=unread)

    def retentions(self) -> Mapping[str, Retention | None]:
        """Return the retention by topic, or None if the broker does not tell it."""
        with Broker(self._reach) as broker:
            return {topic: broker.retention(topic) for topic in broker.names(self._profile.topics)}

    def lags(self) -> Mapping[str, int]:
        """Return each group's lag."""
        return lags(self._positions())

    def _read(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Any, int]]:
        """Yield the records part by part with their offsets' shift, and None at each part's end."""
        with Broker(self._reach) as broker:
            extents = shifted(self.extents(broker, collection), division)
            yield from self.messages(broker, collection, extents, division, parts, pace)

    def messages(
        self,
        broker: Broker,
        topic: str,
        extents: Mapping[int, Extent],
        division: Sequence[str],
        parts: Sequence[int],
        pace: Pace,
    ) -> Iterator[tuple[int, Any, int]]:
        """As `_read`, within `extents` that were asked for before: what came later is left out."""
        ended = 0
        for run in runs(segments(division, parts, extents)):
            shift = extents[run[0].partition].shift
            for part, message in self._records_of(broker, topic, run, pace):
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

    def extents(self, broker: Broker, topic: str) -> dict[int, Extent]:
        """Return the begin and end of each partition of a topic, which must exist."""
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

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted records; all records of their parts are read."""
        excluded = excluded_of(self._profile, selection.collection)
        parts = sorted(part for part, pairs in selection.wanted.items() if pairs)
        for part, message, shift in self._read(selection.collection, selection.division, parts, pace):
            if message is None:
                continue
            known = record_of_message(message, shift, excluded)
            if (known.key, known.hash) in selection.wanted[part]:
                record = record_of(message)
                whole = record.model_dump(mode="json")
                yield ExportedRecord(known.key, known.hash, _content(record), whole)


def _named(kind: str, names: Iterable[str]) -> Iterator[str]:
    return (f"{kind} {name}" for name in sorted(names))


def record_of_message(
    message: Any,  # noqa: ANN401 - a record of the library
    shift: int,
    excluded: frozenset[str],
    retention: Retention | None = None,
) -> RecordHash:
    """Return a message's record; `retention` tells from when the broker may have removed it."""
    kind, milliseconds = stamp_of(message)
    expires = ends(retention, milliseconds if kind != NOT_STAMPED else None)
    return canonical.record_of(
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


def _content(record: Record) -> Json:
    kind, milliseconds = record.timestamp
    return {
        "partition": record.partition,
        "offset": record.offset,
        "time": _time(milliseconds),
        "milliseconds": milliseconds,
        "stamped by": {NOT_STAMPED: "nobody", CREATED: "the producer"}.get(kind, "the broker"),
        "key": _readable(record.key),
        "value": _readable(record.value),
        # A name may occur several times, and the headers' order is part of the record.
        "headers": [[name, _readable(value)] for name, value in record.headers],
    }


def _time(milliseconds: int) -> str | None:
    """Return a time such as ``2026-01-02T03:04:05.678+00:00``, or None if it is beyond the calendar."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return None


def _readable(encoded: str | None) -> Json:
    return None if encoded is None else text_json(b64decode(encoded))
