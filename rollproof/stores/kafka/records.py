"""One record of a Kafka topic: as the library gives it, as a line of a backup, and as its hash."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollproof.collection import Json
from rollproof.reading import open_regular
from rollproof.stores.canonical import packed, record_of, text_json
from rollproof.stores.contract import RecordHash, Retention

# The type of a timestamp set by the producer, not by the broker; and of none.
CREATED, NOT_STAMPED = 1, 0
_STAMPED_BY = {NOT_STAMPED: "nobody", CREATED: "the producer"}


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `timestamp` is its type (0 none, 1 created, 2 appended) and in milliseconds."""

    partition: int
    offset: int
    timestamp: tuple[int, int]
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()

    @classmethod
    def of(cls, message: Any) -> Record:  # noqa: ANN401 - a record of the library
        """Return the record that was received."""
        stamp = NOT_STAMPED, -1
        if message.timestamp_type is not None and message.timestamp >= 0:
            stamp = message.timestamp_type + 1, message.timestamp
        return cls(message.partition, message.offset, stamp, message.key, message.value, message.headers)

    @classmethod
    def of_json(cls, fields: Mapping[str, Any]) -> Record:
        """Return the record that `json` made `fields` of."""
        kind, milliseconds = fields["timestamp"]
        headers = [(name, _decoded(value)) for name, value in fields["headers"]]
        key, value = _decoded(fields["key"]), _decoded(fields["value"])
        return cls(fields["partition"], fields["offset"], (kind, milliseconds), key, value, headers)

    def json(self) -> dict[str, Json]:
        """Return the record as JSON; bytes are Base64."""
        return {
            "partition": self.partition,
            "offset": self.offset,
            "timestamp": list(self.timestamp),
            "key": _encoded(self.key),
            "value": _encoded(self.value),
            "headers": [[name, _encoded(value)] for name, value in self.headers],
        }

    def line(self) -> bytes:
        """Return the record's line; lines are equal for equal records only."""
        return json.dumps(self.json(), separators=(",", ":")).encode() + b"\n"

    def content(self) -> dict[str, bytes | None]:
        """Return what stays the same when the record is written to another log.

        The timestamp is None if the broker set it.
        """
        kind, milliseconds = self.timestamp
        return {
            "key": self.key,
            "value": self.value,
            "headers": packed(part for name, value in self.headers for part in (name.encode(), value)),
            "timestamp": b"%d" % milliseconds if kind == CREATED else None,
        }

    def hashed(
        self, shift: int = 0, excluded: frozenset[str] = frozenset(), retention: Retention | None = None
    ) -> RecordHash:
        """Return the record at its offset plus `shift`, without `excluded` fields; see `expires`."""
        place = f"{self.partition}/{self.offset + shift}"
        fields = {name: value for name, value in self.content().items() if name not in excluded}
        return record_of(place, place.encode(), fields, self.expires(retention))

    def expires(self, retention: Retention | None) -> float | None:
        """Return the time from which the broker may have removed the record, in seconds since 1970.

        None is never. The limit of size knows no time, and is left out.
        """
        kind, milliseconds = self.timestamp
        if kind == NOT_STAMPED or retention is None or retention.seconds is None:
            return None
        return milliseconds / 1000 + retention.seconds

    def shown(self) -> Json:
        """Return the record for people."""
        kind, milliseconds = self.timestamp
        return {
            "partition": self.partition,
            "offset": self.offset,
            "time": _time(milliseconds),
            "milliseconds": milliseconds,
            "stamped by": _STAMPED_BY.get(kind, "the broker"),
            "key": _readable(self.key),
            "value": _readable(self.value),
            # A name may occur several times, and the headers' order is part of the record.
            "headers": [[name, _readable(value)] for name, value in self.headers],
        }

    def message(self) -> tuple[int, bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]:
        """Return the time in milliseconds, key, value and headers with which it is written again."""
        kind, milliseconds = self.timestamp
        # The broker's own time cannot be restored: it stamps the record again.
        written = milliseconds if kind == CREATED else int(time.time() * 1000)
        return written, self.key, self.value, self.headers


def read_records(file: Path) -> Iterator[Record]:
    """Yield the records in `file`, in its order."""
    with open_regular(file) as lines:
        for line in lines:
            yield Record.of_json(json.loads(line))


def _time(milliseconds: int) -> str | None:
    """Return a time such as ``2026-01-02T03:04:05.678+00:00``, or None if it is beyond the calendar."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return None


def _readable(value: bytes | None) -> Json:
    return None if value is None else text_json(value)


def _encoded(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _decoded(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value, validate=True)
