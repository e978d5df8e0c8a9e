"""Redis: a value's digest by its type, whatever its encoding. Each is read whole, by one command."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from rollproof.stores.canonical import hashes_of_fields, packed

Command = tuple[bytes | str | int, ...]
_SUM_BYTES = 32
_ELEMENT_BYTES = 16
_ESCAPE = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


class Changed(Exception):
    """The key is gone, or of another type now."""


@dataclass(frozen=True, slots=True)
class Value:
    """A whole value's digest, and the short hashes of its fields or pieces."""

    digest: bytes
    fields: Mapping[str, int]


def text(name: bytes) -> str:
    r"""Return a name unambiguously: ``\`` is doubled, unprintable bytes become ``\x..``."""
    readable = name.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    if readable.isprintable():
        return readable
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in readable)


def name_of(readable: str) -> bytes:
    """Return the name of which `text` made `readable`."""
    return _ESCAPE.sub(
        lambda found: bytes.fromhex(found[1].decode()) if found[1] else b"\\", readable.encode()
    )


def _escaped(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode())


def unordered(elements: Iterable[tuple[bytes, ...]]) -> bytes:
    """Return a digest of elements in any order: their number, and the sum of their hashes."""
    count = total = 0
    for parts in elements:
        count += 1
        total += int.from_bytes(blake2b(packed(parts), digest_size=_ELEMENT_BYTES).digest(), "little")
    return struct.pack("<Q", count) + total.to_bytes(_SUM_BYTES, "little")


def _whole(digest: bytes) -> Value:
    return Value(digest, hashes_of_fields({"value": digest}))


def _string(value: bytes, _: frozenset[bytes]) -> Value:
    return _whole(blake2b(packed([value])).digest())


def _list(items: list[bytes], _: frozenset[bytes]) -> Value:
    return _whole(blake2b(packed(items)).digest())


def _set(members: Iterable[bytes], _: frozenset[bytes]) -> Value:
    return _whole(unordered((member,) for member in members))


def _sorted_set(members: Iterable[tuple[bytes, float]], _: frozenset[bytes]) -> Value:
    return _whole(unordered((member, struct.pack("<d", score)) for member, score in members))


def _hash(pairs: Mapping[bytes, bytes], excluded: frozenset[bytes]) -> Value:
    kept = {name: value for name, value in pairs.items() if name not in excluded}
    shown = {f"field {text(name)}": value for name, value in kept.items()}
    return Value(unordered(kept.items()), hashes_of_fields(shown))


def _stream(info: Mapping[bytes, Any], _: frozenset[bytes]) -> Value:
    """Return the digest of entries in order, positions, and groups, without the times of delivery."""
    names = (b"length", b"last-generated-id", b"max-deleted-entry-id", b"entries-added")
    hashed = blake2b(packed(_plain(info.get(name)) for name in names))
    for identity, pairs in info[b"entries"]:
        hashed.update(packed([identity, packed(pairs)]))
    entries = hashed.digest()
    groups = unordered(
        (
            group[b"name"],
            group[b"last-delivered-id"],
            _plain(group.get(b"entries-read")),
            unordered((consumer[b"name"],) for consumer in group[b"consumers"]),
            unordered(
                (identity, consumer, _plain(deliveries))
                for identity, consumer, _, deliveries in group[b"pending"]
            ),
        )
        for group in info[b"groups"]
    )
    fields = {"entries": entries, "groups": groups}
    return Value(blake2b(entries + groups).digest(), hashes_of_fields(fields))


def _plain(value: object) -> bytes:
    return value if isinstance(value, bytes) else repr(value).encode()


@dataclass(frozen=True, slots=True)
class Type:
    """How values of one type are read whole: by a command before and after the key; and their digest.

    The digest takes the answer, and the fields of a hash that are left out.
    """

    command: tuple[str, ...]
    options: tuple[str | int, ...]
    value: Callable[[Any, frozenset[bytes]], Value]

    def read(self, key: bytes) -> Command:
        """Return the command that reads the value of `key`."""
        return (*self.command, key, *self.options)


TYPES: Mapping[bytes, Type] = {
    b"string": Type(("GET",), (), _string),
    b"list": Type(("LRANGE",), (0, -1), _list),
    b"set": Type(("SMEMBERS",), (), _set),
    b"hash": Type(("HGETALL",), (), _hash),
    b"zset": Type(("ZRANGE",), (0, -1, "WITHSCORES"), _sorted_set),
    b"stream": Type(("XINFO", "STREAM"), ("FULL", "COUNT", 0), _stream),
}
