"""Kafka, its export: records with their bytes, as a producer takes them again."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from fixtures.policy import excluded_of
from fixtures.stores.content import Json, Pace
from fixtures.stores.kafka import settings
from fixtures.stores.kafka_content import Content, record_of_message
from fixtures.stores.reach import NOBODY, Reach
from rollback_actions.stores.export import ExportedRecord, Wanted
from rollback_actions.stores.kafka_records import CREATED, Record, record_of

NOT_STAMPED = 0
PASSWORD_KEY = "sasl.password"  # noqa: S105 - the name of a setting
# No tool of the command line that is in use takes keys and values of any bytes, headers without a value and
# times: kcat has one time and one set of headers for all of its records.
REPLAY = """\
import base64, json, os, sys
from confluent_kafka import Producer

def raw(text):
    return None if text is None else base64.b64decode(text)

def answered(error, message):
    if error is not None:
        refused.append(error.str())

refused = []
producer = Producer({settings})
for line in sys.stdin:
    record = json.loads(line)
    kind, milliseconds = record["timestamp"]
    while len(producer) > 1000 and not refused:
        producer.poll(1)
    if refused:
        break
    producer.produce(
        record["topic"], partition=record["partition"], key=raw(record["key"]), value=raw(record["value"]),
        headers=[(name, raw(value)) for name, value in record["headers"]],
        timestamp=milliseconds if kind == 1 else 0, on_delivery=answered,
    )
    producer.poll(0)
left = producer.flush(60)
if left or refused:
    sys.exit(str(left) + " records without an answer, refused: " + ("; ".join(refused) or "none"))
"""


class Export(Content):
    """Reads whole records, as the reader: it has just read all of them for their hashes, and cannot write.

    See `RecordExport`. A line is that of a backup, with its topic. What is replayed gets the next offset of
    its partition and, where the broker stamps records, the time of that moment. The lines of a partition come
    in the order of its records.
    """

    def how_to_replay(self, collection: str) -> str:
        """Return a program of few lines, which fails when a record is refused."""
        account = self._profile.operator or NOBODY
        given = settings(Reach(self.name, self._reach.endpoint, account, self._reach.deadline)) | {
            # Retried without doubles, in order; a record may be as large as the topic allows.
            "acks": "all",
            "enable.idempotence": True,
            "message.max.bytes": 100_000_000,
        }
        options = ", ".join(f"{name!r}: {value!r}" for name, value in given.items() if name != PASSWORD_KEY)
        if PASSWORD_KEY in given:
            options += f', {PASSWORD_KEY!r}: os.environ["KAFKA_PASSWORD"]'
        return f"{quote(sys.executable)} -c {quote(REPLAY.replace('{settings}', f'{{{options}}}'))}"

    def export(
        self,
        collection: str,
        division: Sequence[str],
        wanted: Mapping[int, Wanted],
        folder: Path,
        pace: Pace,
    ) -> Iterator[ExportedRecord]:
        """Yield the records of `wanted`; of its parts, all records are read."""
        excluded = excluded_of(self._profile, collection)
        parts = sorted(part for part, pairs in wanted.items() if pairs)
        for part, message, shift in self._read(collection, division, parts, pace):
            if message is None:
                continue
            known = record_of_message(message, shift, excluded)
            if (known.key, known.hash) in wanted[part]:
                record = record_of(message)
                line = json.dumps({"topic": collection, **record.model_dump()})
                yield ExportedRecord(known.key, known.hash, _content(record), line)


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
        # A name may be there several times, and their order is part of the record.
        "headers": [[name, _readable(value)] for name, value in record.headers],
    }


def _time(milliseconds: int) -> str | None:
    """Return a time as people write it; None for one that no calendar has."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return None


def _readable(encoded: str | None) -> Json:
    if encoded is None:
        return None
    try:
        return b64decode(encoded).decode()
    except UnicodeDecodeError:
        return {"base64": encoded}
