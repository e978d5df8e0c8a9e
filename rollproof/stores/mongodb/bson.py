"""Raw BSON, parsed and hashed as bytes: decoding and encoding again may change a document."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple
from zlib import crc32

import bson
from bson import Binary, Int64, ObjectId, json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import InvalidBSON
from bson.json_util import JSONMode, JSONOptions

from rollproof.stores.contract import FIELD_BITS, HASH_BITS

# Decodes any value a server may hold: dates of any year, text that is not UTF-8.
LENIENT: CodecOptions[dict[str, Any]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS, unicode_decode_error_handler="backslashreplace"
)
CANONICAL = JSONOptions(
    json_mode=JSONMode.CANONICAL, tz_aware=False, datetime_conversion=DatetimeConversion.DATETIME_MS
)
DOCUMENT, ARRAY, OBJECT_ID = 0x03, 0x04, 0x07
# The length in bytes of a document without fields, and of a UUID.
_EMPTY, _UUID = 5, 16
_AS_IN_JSON = (type(None), bool, int, float, str)
# The length of a value in bytes, by type.
_FIXED = {
    0x01: 8,
    0x06: 0,
    OBJECT_ID: 12,
    0x08: 1,
    0x09: 8,
    0x0A: 0,
    0x10: 4,
    0x11: 8,
    0x12: 8,
    0x13: 16,
    0x7F: 0,
    0xFF: 0,
}
# Bytes of a value, by type, in addition to the length stated at its start.
_COUNTED = {0x02: 4, DOCUMENT: 0, ARRAY: 0, 0x05: 5, 0x0C: 16, 0x0D: 4, 0x0E: 4, 0x0F: 0}
_REGULAR_EXPRESSION = 0x0B
_length = struct.Struct("<i").unpack_from

Tree = Mapping[bytes, "Tree | None"]
"""Paths as a tree of names; None marks a path's end."""
ORDER = "names and order of fields"
MASK = 2**FIELD_BITS - 1


class Element(NamedTuple):
    """A document's field: its type number, name, and value in bytes."""

    kind: int
    name: bytes
    value: bytes

    @property
    def raw(self) -> bytes:
        """The element's bytes in a document."""
        return b"%c%b\0%b" % self


def elements(document: bytes) -> Iterator[Element]:
    """Yield a document's fields in their order."""
    for kind, name, value, following in spans(document):
        yield Element(kind, document[name : value - 1], document[value:following])


def spans(document: bytes, start: int = 0) -> Iterator[tuple[int, int, int, int]]:
    """Yield each field's type, and the positions of its name, value and successor; begin at `start`."""
    position, end = start + 4, start + _length(document, start)[0] - 1
    while position < end:
        kind = document[position]
        value = document.index(0, position + 1) + 1
        following = value + _size(document, kind, value)
        yield kind, position + 1, value, following
        position = following


def _size(document: bytes, kind: int, value: int) -> int:
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in _COUNTED:
        return int(_length(document, value)[0]) + _COUNTED[kind]
    if kind == _REGULAR_EXPRESSION:
        return document.index(0, document.index(0, value) + 1) + 1 - value
    raise InvalidBSON(f"unknown type {kind:#04x}")


def answered(answer: bytes) -> tuple[list[bytes], bytes]:
    """Return the documents in a server's answer to `find`, and the cursor's other fields as a document."""
    documents: list[bytes] = []
    rest = b""
    for _, name, value, following in spans(answer, _beginning(answer, b"cursor")):
        if answer[name : value - 1] == b"firstBatch":
            documents = _split(answer, value)
        else:
            rest += answer[name - 1 : following]
    return documents, _document(rest)


def _beginning(document: bytes, wanted: bytes) -> int:
    for _, name, value, _ in spans(document):
        if document[name : value - 1] == wanted:
            return value
    raise InvalidBSON(f"no field {wanted.decode()}")


def _split(documents: bytes, start: int) -> list[bytes]:
    """Return the documents of the array that begins at `start`."""
    found = []
    position, end = start + 4, start + _length(documents, start)[0] - 1
    while position < end:
        first = documents.index(0, position) + 1  # after the type and the name, which is the item's number
        position = first + _length(documents, first)[0]
        found.append(documents[first:position])
    return found


def split_stream(documents: bytes) -> list[bytes]:
    """Return the documents in a plain sequence."""
    found = []
    position = 0
    while position < len(documents):
        end = position + _length(documents, position)[0]
        found.append(documents[position:end])
        position = end
    return found


def joined(fields: Iterable[Element]) -> bytes:
    """Return a document with these fields."""
    return _document(b"".join([field.raw for field in fields]))


def _document(body: bytes) -> bytes:
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def tree(paths: frozenset[str]) -> Tree:
    """Return dotted paths as a tree; a longer path below another is dropped, as the other covers it."""
    found: dict[bytes, Any] = {}
    for path in sorted(paths):
        here: dict[bytes, Any] | None = found
        *above, last = path.encode().split(b".")
        for name in above:
            here = here.setdefault(name, {}) if here is not None else None
        if here is not None:
            here[last] = None
    return found


def without(document: bytes, excluded: Tree) -> bytes:
    """Return a document without the `excluded` fields; lists along a path are walked."""
    return joined([kept for field in elements(document) if (kept := _kept(field, excluded)) is not None])


def _kept(field: Element, excluded: Tree) -> Element | None:
    if field.name not in excluded:
        return field
    below = excluded[field.name]
    if below is None:
        return None
    if field.kind == DOCUMENT:
        return field._replace(value=without(field.value, below))
    if field.kind == ARRAY:
        return field._replace(value=_walked(field.value, below))
    return field


def _walked(array: bytes, below: Tree) -> bytes:
    # A path's names never mean item numbers, so every item is walked.
    inside = [_kept(item, {item.name: below}) for item in elements(array)]
    return joined([item for item in inside if item is not None])


def record_key(document: bytes) -> str:
    """Return a document's `_id` as mongosh takes it; most are ObjectIds in first place, which is fast."""
    if document[4:9] == b"\x07_id\0":
        return f'ObjectId("{document[9:21].hex()}")'
    return key_text(key_of(document))


def key_of(document: bytes) -> bytes:
    """Return a document with only the `_id` of another. In a time series it is not the first field."""
    return next((joined([field]) for field in elements(document) if field.name == b"_id"), joined([]))


def key_text(key: bytes) -> str:
    """Return an `_id` as mongosh takes it: ``ObjectId("…")``, ``"a text"``, ``7``, ``UUID("…")``."""
    return _in_mongosh(bson.decode(key, LENIENT)["_id"]) if len(key) > _EMPTY else "no _id"


def _in_mongosh(value: Any) -> str:  # noqa: ANN401 - whatever BSON holds
    if type(value) in _AS_IN_JSON:
        return json.dumps(value, ensure_ascii=False)
    match value:
        case dict():
            pairs = [f"{json.dumps(name)}: {_in_mongosh(one)}" for name, one in value.items()]
            return f"{{{', '.join(pairs)}}}"
        case ObjectId():
            return f'ObjectId("{value}")'
        case Int64():
            return f'Long("{value}")'
        case Binary(subtype=4) if len(value) == _UUID:
            return f'UUID("{value.as_uuid()}")'
    return f"EJSON.parse('{json_util.dumps(value, json_options=CANONICAL)}')"


def bound_text(key: bytes) -> str | None:
    """Return an `_id` as a text that `bound_key` turns into the same bytes, or None if impossible."""
    text = json_util.dumps(bson.decode(key, LENIENT)["_id"], json_options=CANONICAL)
    return text if bound_key(text) == key else None


def bound_key(text: str) -> bytes:
    """Return the `_id` for a text from `bound_text`; raises `ValueError` or `TypeError` for other texts."""
    return bson.encode({"_id": json_util.loads(text, json_options=CANONICAL)}, codec_options=LENIENT)


def hashes(documents: Sequence[bytes]) -> list[int]:
    """Return the hash of each document."""
    hashed = b"".join([blake2b(document, digest_size=8).digest() for document in documents])
    return [value >> (64 - HASH_BITS) for value in struct.unpack(f"<{len(documents)}Q", hashed)]


def fields(document: bytes) -> dict[str, int]:
    """Return each field's hash, and a hash of the fields' names and order.

    They only locate the difference between documents known to differ, so a quick checksum is enough.
    """
    found: dict[str, int] = {}
    order = 0
    for kind, start, value, following in spans(document):
        name = document[start : value - 1]
        order = crc32(name, order + 1)
        text = _text(name)
        # A name may occur twice.
        found[text] = crc32(document[value:following], found.get(text, 0) + kind) & MASK
    found[ORDER] = order & MASK
    return found


@lru_cache(maxsize=10_000)
def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")
