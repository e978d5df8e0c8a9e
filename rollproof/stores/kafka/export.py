"""Kafka's export: records with their bytes."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rollproof.collection import Json
from rollproof.stores.canonical import text_json
from rollproof.stores.contract import ExportedRecord, Pace, Selection
from rollproof.stores.kafka.content import Content, record_of_message
from rollproof.stores.kafka.records import CREATED, NOT_STAMPED, Record, record_of
from rollproof.stores.policy import excluded_of


class Export(Content):
    """Reads whole records as the reader, whose account can read every record and write none.

    See `RecordExport`. A record that is put back gets its partition's next offset and, if the broker stamps
    records, the time of then. A partition's lines keep the order of its records.
    """

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
