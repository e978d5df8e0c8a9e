"""Values as unambiguous bytes, for record hashes, and as JSON that people read."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from hashlib import blake2b

from rollproof.collection import Json
from rollproof.stores.contract import FIELD_BITS, HASH_BITS, RecordHash


def packed(values: Iterable[bytes | None]) -> bytes:
    """Join `values` unambiguously: ``2:ab``, ``0:`` for an empty value, ``-`` for None."""
    return b"".join([b"-" if value is None else b"%d:%b" % (len(value), value) for value in values])


def hashed(content: bytes, bits: int) -> int:
    """Return the first `bits` bits, up to 64, of a cryptographic hash."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big") >> (64 - bits)


def hash_of_record(identity: bytes, fields: Mapping[str, bytes | None]) -> int:
    """Return the hash of the record `identity`; the order of `fields` matters."""
    values: list[bytes | None] = [identity]
    for name, value in fields.items():
        values += (name.encode(), value)
    return hashed(packed(values), HASH_BITS)


def record_of(
    key: str, identity: bytes, fields: Mapping[str, bytes | None], expires: float | None = None
) -> RecordHash:
    """Return the record with its own hash and its fields' hashes."""
    return RecordHash(key, hash_of_record(identity, fields), hashes_of_fields(fields), expires)


def hashes_of_fields(fields: Mapping[str, bytes | None]) -> dict[str, int]:
    """Return the hash of each field, `FIELD_BITS` each."""
    return {name: hashed(packed([value]), FIELD_BITS) for name, value in fields.items()}


def bytes_json(value: bytes) -> Json:
    """Return bytes as ``{"base64": …}``."""
    return {"base64": base64.b64encode(value).decode()}


def text_json(value: bytes) -> Json:
    """Return `value` decoded from UTF-8, or as `bytes_json` if that fails."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return bytes_json(value)


def number_json(value: float) -> Json:
    """Return a number; infinities and NaN, which JSON lacks, become texts."""
    return value if math.isfinite(value) else str(value)
