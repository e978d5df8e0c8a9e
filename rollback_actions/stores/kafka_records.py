"""Records of a Kafka topic as lines of a file, and back."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

# The timestamp was given by whoever produced the record, not by the broker.
CREATED = 1


class Record(BaseModel):
    """One record. Bytes are Base64; `timestamp` is its type (0 none, 1 created, 2 appended) and in ms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition: int
    offset: int
    timestamp: tuple[int, int]
    key: str | None
    value: str | None
    headers: list[tuple[str, str | None]]

    def line(self) -> bytes:
        """Return the one line that stands for this record: equal for equal records only."""
        return json.dumps(self.model_dump(), separators=(",", ":")).encode() + b"\n"

    def content(self) -> bytes:
        """Return what stays the same when a record is written to another log.

        That is all but its offset and, when the broker stamped it, its time.
        """
        time = self.timestamp if self.timestamp[0] == CREATED else None
        return json.dumps([time, self.key, self.value, self.headers]).encode()

    def message(self) -> dict[str, Any]:
        """Return the arguments of a producer for it, the topic left out."""
        kind, milliseconds = self.timestamp
        return {
            "partition": self.partition,
            "key": _decoded(self.key),
            "value": _decoded(self.value),
            "headers": [(name, _decoded(value)) for name, value in self.headers],
            # A time of the broker's own cannot be given to it: it stamps the record again.
            "timestamp": milliseconds if kind == CREATED else 0,
        }


_READER = TypeAdapter(Record)


def record_of(message: Any) -> Record:  # noqa: ANN401 - a message of the library
    """Return the record that a consumer received."""
    return Record(
        partition=message.partition(),
        offset=message.offset(),
        timestamp=message.timestamp(),
        key=_encoded(message.key()),
        value=_encoded(message.value()),
        headers=[(name, _encoded(value)) for name, value in message.headers() or ()],
    )


def read_records(file: Path) -> Iterator[Record]:
    """Yield the records that were written to `file`, in its order."""
    with file.open("rb") as lines:
        for line in lines:
            yield _READER.validate_json(line)


def _encoded(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _decoded(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value, validate=True)
