"""Redis, export: whole keys in the server's serialised form, as lines for redis-cli."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollproof.collection import Json
from rollproof.stores.canonical import number_json, text_json
from rollproof.stores.contract import ExportedRecord, Pace, Selection
from rollproof.stores.redis.content import Content
from rollproof.stores.redis.values import SLICE_BYTES, Changed, Command, text

# Keys that share a pipeline, while their values together stay within `SLICE_BYTES`.
TOGETHER = 200
# The command that reads a whole value, by type, and its arguments after the key.
_WHOLE: Mapping[bytes, tuple[tuple[str, ...], tuple[str | int, ...]]] = {
    b"string": (("GET",), ()),
    b"list": (("LRANGE",), (0, -1)),
    b"set": (("SMEMBERS",), ()),
    b"hash": (("HGETALL",), ()),
    b"zset": (("ZRANGE",), (0, -1, "WITHSCORES")),
    b"stream": (("XINFO", "STREAM"), ("FULL", "COUNT", 0)),
}
# Bytes to escape between quotes for redis-cli; all others stand for themselves.
_SPECIAL = frozenset({*range(0x20), *range(0x7F, 0x100), ord('"'), ord("\\")})
_ESCAPED = [f"\\x{byte:02x}" if byte in _SPECIAL else chr(byte) for byte in range(0x100)]


class Export(Content):
    """The export of a Redis server. See `RecordExport`.

    It reads as the reader, like the digests that select the records. DUMP belongs to ``+@read``, and code
    that only reads should have no further rights. RESTORE does not belong to it: only the operator can
    replay.
    """

    def how_to_replay(self, collection: str) -> str:
        """Return the command; ``PASSWORD_FILE`` holds the operator's password."""
        endpoint = self._reach.endpoint
        tls = ["--tls", *(["--cacert", str(endpoint.ca)] if endpoint.ca else [])] if endpoint.tls else []
        place = ["-h", endpoint.host, "-p", str(endpoint.port), *tls]
        database = str(self._database(collection))
        command = shlex.join(["redis-cli", *place, "--user", self._profile.operator.user, "-n", database])
        return f'REDISCLI_AUTH="$(cat PASSWORD_FILE)" {command}'

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted keys, including the fields that digests leave out."""
        collection = selection.collection
        database, excluded = self._database(collection), self._excluded(collection)
        for part, keys in self._keys(collection, selection.division, tuple(selection.wanted)):
            names = {key for key, _ in selection.wanted[part]}
            for together in self._groups_of(database, [key for key in keys if text(key) in names]):
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
                                replay=_restore(entry.key, entry.expires, dumped),
                            )

    def _groups_of(self, database: int, keys: Sequence[bytes]) -> Iterator[dict[bytes, bytes]]:
        """Yield groups of keys with their types; a group fits in memory, or is a single key."""
        for start in range(0, len(keys), TOGETHER):
            chosen = keys[start : start + TOGETHER]
            commands: list[Command] = []
            for key in chosen:
                commands += [("TYPE", key), ("MEMORY", "USAGE", key)]
            answers = self._ask(database, commands)
            group: dict[bytes, bytes] = {}
            held = 0
            for key, kind, size in zip(chosen, answers[::2], answers[1::2], strict=True):
                if not isinstance(size, int):  # gone
                    continue
                if group and held + size > SLICE_BYTES:
                    yield group
                    group, held = {}, 0
                group[key] = kind
                held += size
            if group:
                yield group

    def _read_whole(self, database: int, kinds: Mapping[bytes, bytes]) -> dict[bytes, tuple[bytes, Json]]:
        """Return keys with their DUMP and their values for people, without keys removed meanwhile."""
        commands: list[Command] = []
        for key, kind in kinds.items():
            # No key of an unknown type is wanted: GET answers with a type error, and the key is left out.
            command, options = _WHOLE.get(kind, _WHOLE[b"string"])
            commands += [("DUMP", key), (*command, key, *options)]
        answers = self._ask(database, commands)
        found: dict[bytes, tuple[bytes, Json]] = {}
        for (key, kind), dumped, value in zip(kinds.items(), answers[::2], answers[1::2], strict=True):
            if dumped is not None and not isinstance(value, Changed):
                found[key] = dumped, _readable(kind, value)
        return found


def _restore(key: bytes, expires: float | None, dumped: bytes) -> str:
    moment = 0 if expires is None else round(expires * 1000)
    return f"RESTORE {_quoted(key)} {moment} {_quoted(dumped)} REPLACE ABSTTL"


def _quoted(value: bytes) -> str:
    return '"' + "".join([_ESCAPED[byte] for byte in value]) + '"'


def _moment(expires: float | None) -> Json:
    try:
        return None if expires is None else datetime.fromtimestamp(expires, UTC).isoformat()
    except (ValueError, OverflowError, OSError):  # the year is outside of 1 to 9999
        return expires


def _readable(kind: bytes, value: Any) -> Json:  # noqa: ANN401 - whatever the server answers
    if kind == b"zset":
        return [{"member": text_json(member), "score": number_json(score)} for member, score in value]
    if kind == b"set":
        return [text_json(member) for member in sorted(value)]
    if kind == b"stream":
        entries: list[Json] = [
            {"id": text_json(identity), "fields": _plain(fields)}
            for identity, fields in value.pop(b"entries")
        ]
        return {"entries": entries, **{text(name): _plain(inside) for name, inside in value.items()}}
    return _plain(value)


def _plain(value: Any) -> Json:  # noqa: ANN401 - whatever the server answers
    match value:
        case bytes():
            return text_json(value)
        case dict():
            return {text(name): _plain(inside) for name, inside in value.items()}
        case list():
            return [_plain(item) for item in value]
        case float():
            return number_json(value)
    found: Json = value
    return found
