"""Kafka's export: records with their bytes, ready for a producer."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from rollproof.collection import Json
from rollproof.stores.canonical import text_json
from rollproof.stores.contract import ExportedRecord, Pace, Selection
from rollproof.stores.kafka.content import Content, record_of_message
from rollproof.stores.kafka.records import CREATED, NOT_STAMPED, Record, record_of
from rollproof.stores.kafka.view import settings
from rollproof.stores.policy import excluded_of
from rollproof.stores.reach import NOBODY

PASSWORD_KEY = "sasl.password"  # noqa: S105 - the name of a setting
# Common command-line tools do not accept arbitrary bytes, null headers and times. For example, kcat uses one
# time and one set of headers for all its records.
REPLAY = """\
import base64, json, os, sys
from confluent_kafka import Producer
sys.path.insert(0, {suite})
from rollproof.engines.engine import Endpoint
from rollproof.stores.kafka.relay import way_to
from rollproof.stores.reach import NOBODY, Reach

host, _, port = os.environ.get("KAFKA_ADDRESS", {address}).rpartition(":")
broker = Endpoint(host, int(port), tls={tls})

def raw(text):
    return None if text is None else base64.b64decode(text)

def answered(error, message):
    if error is not None:
        refused.append(error.str())

refused = []
producer = Producer({settings} | {"bootstrap.servers": way_to(Reach("kafka", broker, NOBODY, {seconds}))})
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
    """Reads whole records as the reader, whose account can read every record and write none.

    See `RecordExport`. A line is a backup's line with the topic added. A replayed record gets its partition's
    next offset and, if the broker stamps records, the time of the replay. A partition's lines keep the order
    of its records.
    """

    def how_to_replay(self, collection: str) -> str:
        """Return a short program, which fails when a record is refused.

        A relay of this process will be gone by then. The program finds its own way to the broker, at the
        address of today or at that in `KAFKA_ADDRESS`.
        """
        reach = replace(self._reach, account=self._profile.operator or NOBODY)
        given = settings(reach, reach.address) | {
            # Retries keep the order and make no duplicates. A record may be as large as the topic allows.
            "acks": "all",
            "enable.idempotence": True,
            "message.max.bytes": 100_000_000,
        }
        left_out = {PASSWORD_KEY, "bootstrap.servers"}
        options = ", ".join(f"{name!r}: {value!r}" for name, value in given.items() if name not in left_out)
        if PASSWORD_KEY in given:
            options += f', {PASSWORD_KEY!r}: os.environ["KAFKA_PASSWORD"]'
        program = REPLAY
        for name, text in {
            "{suite}": repr(str(Path(__file__).parents[3])),
            "{address}": repr(reach.address),
            "{tls}": repr(reach.endpoint.tls),
            "{seconds}": repr(reach.deadline),
            "{settings}": f"{{{options}}}",
        }.items():
            program = program.replace(name, text)
        return f"{quote(sys.executable)} -c {quote(program)}"

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
                line = json.dumps({"topic": selection.collection, **record.model_dump()})
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
