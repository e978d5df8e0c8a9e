"""Kafka, read side: records are counted by reading the log.

A count is the number of records between the retained range's start and end. It is not a difference of
offsets: compaction and transactions make that too large, and a broker on object storage has reported it too
small.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.stores.contract import (
    ExportedRecord,
    Pace,
    QueryAnswer,
    RecordHash,
    Retention,
    Selection,
    Unlisted,
)
from rollproof.stores.kafka.broker import SETTLE_SECONDS, Broker, partitions_in
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.kafka.ranges import divided, lags, name_of, shifted, strays
from rollproof.stores.kafka.records import Record
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

    def ask(self) -> QueryAnswer:
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
                records = sum(1 for _ in islice(reading, ASK_RECORDS))
                if records:
                    break
            return QueryAnswer(
                query=f"read of up to {ASK_RECORDS} records",
                collection=topic,
                records=records,
                server=f"Kafka cluster {broker.metadata().cluster_id}",
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
        """Return each topic's partitions and configuration; of several brokers, also its replication."""
        with Broker(self._reach) as broker:
            left_out = {"replication"} if len(broker.brokers()) == 1 else set[str]()
            names = broker.names(self._profile.topics)
            return {name: broker.describe(name).model_dump(exclude=left_out) for name in names}

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return bounds at the partitions' beginnings, and within them by offset; no content is used."""
        with Broker(self._reach) as broker:
            return divided(broker.log(collection), records)

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        """Yield each record of `parts`, with the time from which the broker may have removed it, if any."""
        with Broker(self._reach) as broker:
            retention = broker.retention(collection)
        for part, _, known in self._read(collection, division, parts, pace, retention):
            yield part, known

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted records; all records of their parts are read."""
        parts = sorted(part for part, pairs in selection.wanted.items() if pairs)
        for part, record, known in self._read(selection.collection, selection.division, parts, pace):
            if (known.key, known.hash) in selection.wanted[part]:
                yield ExportedRecord(known.key, known.hash, record.shown(), record.json())

    def _read(
        self,
        collection: str,
        division: Sequence[str],
        parts: Sequence[int],
        pace: Pace,
        retention: Retention | None = None,
    ) -> Iterator[tuple[int, Record, RecordHash]]:
        excluded = excluded_of(self._profile, collection)
        with Broker(self._reach) as broker:
            extents = shifted(broker.log(collection), division)
            for part, (record, shift) in broker.read(collection, extents, division, parts, pace):
                yield part, record, record.hashed(shift, excluded, retention)

    def positions(self) -> Mapping[str, Json]:
        """Return each partition's begin and end, and each group's offset in it."""
        with Broker(self._reach) as broker:
            extents = broker.extents(partitions_in(broker.topics(self._profile.topics)))
            groups: dict[str, dict[str, Json]] = {name_of(*place): {} for place in extents}
            for group in broker.groups(self._profile.groups):
                for place, offset in broker.committed(group, extents).items():
                    groups[name_of(*place)][group] = offset
        return {
            name_of(*place): {"begin": one.begin, "end": one.end, "groups": groups[name_of(*place)]}
            for place, one in extents.items()
        }

    def position_faults(self, recorded: Mapping[str, Json]) -> Sequence[str]:
        """Return what was lost, and offsets moved back or beyond the end."""
        found = list(strays(recorded, self.positions()))
        if found:  # ends may be stale, so a second look confirms the faults
            time.sleep(SETTLE_SECONDS)
            found = list(strays(recorded, self.positions()))
        return found

    def lags(self) -> Mapping[str, int]:
        """Return each group's lag."""
        return lags(self.positions())

    def retentions(self) -> Mapping[str, Retention | None]:
        """Return the retention by topic, or None if the broker does not tell it."""
        with Broker(self._reach) as broker:
            return {topic: broker.retention(topic) for topic in broker.names(self._profile.topics)}

    def unlisted(self) -> Unlisted:
        """Return the topics and groups that the profile does not list."""
        groups, unread = set[str](), tuple[str, ...]()
        with Broker(self._reach) as broker:
            topics = set(broker.names(["*"])) - set(broker.names(self._profile.topics))
            try:
                groups = set(broker.groups(["*"])) - set(broker.groups(self._profile.groups))
            except Unverifiable:  # topics were listed, so it is this alone that is refused
                unread = ("groups of others: Describe of all groups",)
        outside = [f"topic {name}" for name in sorted(topics)] + [f"group {name}" for name in sorted(groups)]
        return Unlisted(outside=tuple(outside), unread=unread)
