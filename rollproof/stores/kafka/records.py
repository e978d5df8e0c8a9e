"""Converting a Kafka topic's records to lines of a file, and back."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from rollproof.profile.sections import Model
from rollproof.reading import open_regular

# The type of a timestamp set by the producer, not by the broker; and of none.
CREATED, NOT_STAMPED = 1, 0


class Record(Model):
    """One record. Bytes are Base64; `timestamp` is its type (0 none, 1 created, 2 appended) and in ms."""

    partition: int
    offset: int
    timestamp: tuple[int, int]
    key: str | None
    value: str | None
    headers: list[tuple[str, str | None]]

    def line(self) -> bytes:
        """Return the record's line; lines are equal for equal records only."""
        return json.dumps(self.model_dump(), separators=(",", ":")).encode() + b"\n"

    def content(self) -> bytes:
        """Return the part of a record that stays the same when it is written to another log.

        It holds time, key, value and headers; the time is None if the broker stamped it.
        """
        stamp = self.timestamp if self.timestamp[0] == CREATED else None
        return json.dumps([stamp, self.key, self.value, self.headers]).encode()

    def message(self) -> tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
        """Return the time in milliseconds, key, value and headers with which it is written again."""
        kind, milliseconds = self.timestamp
        return (
            # The broker's own time cannot be restored: it stamps the record again.
            milliseconds if kind == CREATED else int(time.time() * 1000),
            _decoded(self.key),
            _decoded(self.value),
            [(name, _decoded(value)) for name, value in self.headers],
        )


_READER = TypeAdapter(Record)


def stamp_of(message: Any) -> tuple[int, int]:  # noqa: ANN401 - a record of the library
    """Return the type of a received record's timestamp, and the time in milliseconds."""
    if message.timestamp_type is None or message.timestamp < 0:
        return NOT_STAMPED, -1
    return message.timestamp_type + 1, message.timestamp


def record_of(message: Any) -> Record:  # noqa: ANN401 - a record of the library
    """Return the record that was received."""
    return Record(
        partition=message.partition,
        offset=message.offset,
        timestamp=stamp_of(message),
        key=_encoded(message.key),
        value=_encoded(message.value),
        headers=[(name, _encoded(value)) for name, value in message.headers],
    )


def read_records(file: Path) -> Iterator[Record]:
    """Yield the records in `file`, in its order."""
    with open_regular(file) as lines:
        for line in lines:
            yield _READER.validate_json(line)


def _encoded(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _decoded(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value, validate=True)
