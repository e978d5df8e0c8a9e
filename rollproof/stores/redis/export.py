"""Redis, export: whole keys in the server's serialised form."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollproof.collection import Json
from rollproof.stores.canonical import number_json, text_json
from rollproof.stores.contract import ExportedRecord, Pace, Selection
from rollproof.stores.redis.content import Content
from rollproof.stores.redis.values import Changed, Command, text
from rollproof.system.side_by_side import batched

# Keys that are read together, whose values fit in memory.
TOGETHER = 20
# The command that reads a whole value, by type, and its arguments after the key.
_WHOLE: Mapping[bytes, tuple[tuple[str, ...], tuple[str | int, ...]]] = {
    b"string": (("GET",), ()),
    b"list": (("LRANGE",), (0, -1)),
    b"set": (("SMEMBERS",), ()),
    b"hash": (("HGETALL",), ()),
    b"zset": (("ZRANGE",), (0, -1, "WITHSCORES")),
    b"stream": (("XINFO", "STREAM"), ("FULL", "COUNT", 0)),
}


class Export(Content):
    """The export of a Redis server. See `RecordExport`.

    It reads as the reader, like the digests that select the records. DUMP belongs to ``+@read``, and code
    that only reads should have no further rights. RESTORE does not belong to it: only the operator can
    replay.
    """

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted keys, including the fields that digests leave out."""
        collection = selection.collection
        database, excluded = self._database(collection), self._excluded(collection)
        for part, keys in self._keys(collection, selection.division, tuple(selection.wanted)):
            names = {key for key, _ in selection.wanted[part]}
            wanted = (key for key in keys if text(key) in names)
            for together in batched(wanted, TOGETHER):
                whole = self._read_whole(database, together)
                # The value was read between two equal hashes, so the hash belongs to it.
                for entries in self._entries(database, set(whole), excluded, pace):
                    for entry in entries:
                        record = entry.record()
                        if (record.key, record.hash) in selection.wanted[part]:
                            dumped, content = whole.pop(entry.key)
                            yield ExportedRecord(
                                key=record.key,
                                hash=record.hash,
                                content={
                                    "type": text(entry.kind),
                                    "expires": _moment(entry.expires),
                                    "value": content,
                                },
                                replay={
                                    "key": b64encode(entry.key).decode(),
                                    "value": b64encode(dumped).decode(),
                                    "expires": None if entry.expires is None else round(entry.expires * 1000),
                                },
                            )

    def _read_whole(self, database: int, keys: Sequence[bytes]) -> dict[bytes, tuple[bytes, Json]]:
        """Return keys with their DUMP and their values for people, without keys removed meanwhile."""
        kinds: list[bytes] = self._ask(database, [("TYPE", key) for key in keys])
        commands: list[Command] = []
        for key, kind in zip(keys, kinds, strict=True):
            # A key of an unknown type, or none, is not wanted: GET answers with an error, or nothing.
            command, options = _WHOLE.get(kind, _WHOLE[b"string"])
            commands += [("DUMP", key), (*command, key, *options)]
        answers = self._ask(database, commands)
        found: dict[bytes, tuple[bytes, Json]] = {}
        for key, kind, dumped, value in zip(keys, kinds, answers[::2], answers[1::2], strict=True):
            if dumped is not None and not isinstance(value, Changed):
                found[key] = dumped, _readable(sorted(value) if kind == b"set" else value)
        return found


def _moment(expires: float | None) -> Json:
    try:
        return None if expires is None else datetime.fromtimestamp(expires, UTC).isoformat()
    except (ValueError, OverflowError, OSError):  # the year is outside of 1 to 9999
        return expires


def _readable(value: Any) -> Json:  # noqa: ANN401 - whatever the server answers
    match value:
        case bytes():
            return text_json(value)
        case dict():
            return {text(name): _readable(inside) for name, inside in value.items()}
        case list() | tuple():
            return [_readable(item) for item in value]
        case float():
            return number_json(value)
    found: Json = value
    return found
