"""BSON: hashed as the server's own bytes, and decoded for people, and where bytes cannot be compared."""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

import bson
from bson import ObjectId, json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.json_util import JSONMode, JSONOptions
from bson.raw_bson import RawBSONDocument

from rollproof.stores.contract import FIELD_BITS

# Decodes any value a server may hold: dates of any year, text that is not UTF-8.
LENIENT: CodecOptions[dict[str, Any]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS, unicode_decode_error_handler="backslashreplace"
)
# Leaves a document as it came, and decodes only the fields that are asked for.
RAW: CodecOptions[RawBSONDocument] = LENIENT.with_options(document_class=RawBSONDocument)
CANONICAL = JSONOptions(
    json_mode=JSONMode.CANONICAL, tz_aware=False, datetime_conversion=DatetimeConversion.DATETIME_MS
)
ORDER = "names and order of fields"
_MASK = 2**FIELD_BITS - 1
_AS_IN_JSON = (type(None), bool, int, float, str)


def canonical(document: RawBSONDocument, excluded: frozenset[str], *, ordered: bool) -> bytes:
    """Return the bytes to hash: without the fields at the dotted paths `excluded`, also inside of lists.

    Where a server does not keep the order of fields, they are not `ordered`: their names order them.
    """
    if ordered and not excluded:
        return bytes(document.raw)
    content = bson.decode(document.raw, LENIENT)
    for path in excluded:
        _remove(content, path.split("."))
    return bson.encode(content if ordered else dict(sorted(content.items())))


def _remove(value: object, path: list[str]) -> None:
    if isinstance(value, list):
        for item in value:
            _remove(item, path)
    elif isinstance(value, dict) and path[0] in value:
        if len(path) == 1:
            del value[path[0]]
        else:
            _remove(value[path[0]], path[1:])


def record_key(document: RawBSONDocument) -> str:
    """Return a document's `_id` as mongosh takes it: ``ObjectId("…")``, ``"a text"``, ``7``."""
    if document.raw[4:9] == b"\x07_id\0":  # most are; all other fields need not be looked at then
        return f'ObjectId("{document.raw[9:21].hex()}")'
    if "_id" not in document:
        return "no _id"
    key = document["_id"]
    if isinstance(key, ObjectId):  # in a time series it is not the first field
        return f'ObjectId("{key}")'
    if type(key) in _AS_IN_JSON:
        return json.dumps(key, ensure_ascii=False)
    return f"EJSON.parse('{bound_text(key)}')"


def bound_text(key: object) -> str:
    """Return an `_id` as a text that `bound_key` turns into it again."""
    return json_util.dumps(key, json_options=CANONICAL)


def bound_key(text: str) -> Any:  # noqa: ANN401 - whatever BSON holds
    """Return the `_id` for a text from `bound_text`; raises `ValueError` or `TypeError` for other texts."""
    return json_util.loads(text, json_options=CANONICAL)


def fields(document: RawBSONDocument) -> dict[str, int]:
    """Return each field's hash, and a hash of the fields' names and order.

    They only locate the difference between documents known to differ, so a checksum is enough.
    """
    found = {name: crc32(bson.encode({"": value})) & _MASK for name, value in document.items()}
    found[ORDER] = crc32("\0".join(document).encode()) & _MASK
    return found
