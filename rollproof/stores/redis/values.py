"""Redis: a value's digest by its type, whatever its encoding, read in slices that fit in memory.

A generator reads each value: it yields commands and is sent their answers, so that one pipeline carries many
keys' commands. It returns a `Value`, and raises `Changed` if the value changed during the reading.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from rollproof.stores.contract import FIELD_BITS

Command = tuple[bytes | str | int, ...]
# Values up to this size are read with one command; their keys share a pipeline.
SMALL_BYTES: Final = 16_384
SLICE_BYTES: Final = 1_000_000
_SUM_BYTES = 32
_ELEMENT_BYTES = 16


class Changed(Exception):
    """The value has changed since the first command."""


@dataclass(frozen=True, slots=True)
class Value:
    """A whole value's digest, and the short hashes of its fields or pieces."""

    digest: bytes
    fields: Mapping[str, int]


Reading = Generator[Command, Any, Value]


@dataclass(frozen=True, slots=True)
class Subject:
    """A key whose value is to be read, of about `size` bytes. `excluded` are a hash's excluded fields."""

    key: bytes
    size: int
    excluded: frozenset[bytes] = frozenset()

    @property
    def small(self) -> bool:
        """Whether one command reads the whole value."""
        return self.size <= SMALL_BYTES

    def slice_of(self, length: int) -> int:
        """Return the number of its `length` elements to ask for at a time."""
        return max(1, min(length, length * SLICE_BYTES // max(self.size, 1)))


def short_hash(value: bytes) -> int:
    """Return a field's hash."""
    return int.from_bytes(blake2b(value, digest_size=FIELD_BITS // 8).digest(), "little")


def text(name: bytes) -> str:
    r"""Return a name unambiguously: ``\`` is doubled, unprintable bytes become ``\x..``."""
    readable = name.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in readable)


def _escaped(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode())


def framed(*parts: bytes) -> bytes:
    """Join `parts`, each preceded by its length."""
    return b"".join([struct.pack("<Q", len(part)) + part for part in parts])


class Unordered:
    """A digest of elements in any order: their number, and the sum of their hashes."""

    def __init__(self) -> None:
        """Begin without elements."""
        self.count = 0
        self._sum = 0

    def add(self, *parts: bytes) -> None:
        """Add one element."""
        self.count += 1
        self._sum += int.from_bytes(blake2b(framed(*parts), digest_size=_ELEMENT_BYTES).digest(), "little")

    def digest(self) -> bytes:
        """Return the digest so far."""
        return struct.pack("<Q", self.count) + self._sum.to_bytes(_SUM_BYTES, "little")


def _whole(digest: bytes) -> Value:
    return Value(digest, {"value": short_hash(digest)})


def read_string(subject: Subject) -> Reading:
    """Read a long string; short strings are read together, see `string`."""
    length = yield ("STRLEN", subject.key)
    hashed = blake2b(struct.pack("<Q", length))
    for start in range(0, length, SLICE_BYTES):
        piece = yield ("GETRANGE", subject.key, start, start + SLICE_BYTES - 1)
        hashed.update(piece)
    if (yield ("STRLEN", subject.key)) != length:
        raise Changed
    return _whole(hashed.digest())


def string(value: bytes) -> Value:
    """Return the result of `read_string` for a known value."""
    return _whole(blake2b(framed(value)).digest())


def _windows(subject: Subject, length_of: str) -> Generator[Command, Any, Iterator[tuple[int, int]]]:
    """Return the windows in which to read a value: first and last position of each."""
    if subject.small:
        return iter([(0, -1)])
    length = yield (length_of, subject.key)
    step = subject.slice_of(length)
    return ((start, start + step - 1) for start in range(0, length, step))


def _expect(count: int, subject: Subject, length_of: str) -> Generator[Command, Any, None]:
    """Raise `Changed` if the number of elements differs from `count`, or is 0: empty values do not exist."""
    if count == 0 or (not subject.small and (yield (length_of, subject.key)) != count):
        raise Changed


def _read_list(subject: Subject) -> Reading:
    hashed = blake2b()
    count = 0
    for start, end in (yield from _windows(subject, "LLEN")):
        items = yield ("LRANGE", subject.key, start, end)
        count += len(items)
        hashed.update(framed(*items))
    yield from _expect(count, subject, "LLEN")
    return _whole(hashed.digest())


def _read_sorted_set(subject: Subject) -> Reading:
    members = Unordered()
    for start, end in (yield from _windows(subject, "ZCARD")):
        for member, score in (yield ("ZRANGE", subject.key, start, end, "WITHSCORES")):
            members.add(member, struct.pack("<d", score))
    yield from _expect(members.count, subject, "ZCARD")
    return _whole(members.digest())


def _read_set(subject: Subject) -> Reading:
    members = Unordered()
    if subject.small:
        for member in (yield ("SMEMBERS", subject.key)):
            members.add(member)
    else:
        step = subject.slice_of((yield ("SCARD", subject.key)))
        cursor: bytes | None = None
        while cursor != b"0":
            cursor, page = yield ("SSCAN", subject.key, cursor or b"0", "COUNT", step)
            for member in page:
                members.add(member)
    yield from _expect(members.count, subject, "SCARD")
    return _whole(members.digest())


def _read_hash(subject: Subject) -> Reading:
    kept = Unordered()
    fields: dict[str, int] = {}
    count = 0
    if subject.small:
        for name, value in (yield ("HGETALL", subject.key)).items():
            count += 1
            if name not in subject.excluded:
                kept.add(name, value)
                fields[f"field {text(name)}"] = short_hash(value)
        yield from _expect(count, subject, "HLEN")
        return Value(kept.digest(), fields)
    step = subject.slice_of((yield ("HLEN", subject.key)))
    cursor: bytes | None = None
    while cursor != b"0":
        cursor, page = yield ("HSCAN", subject.key, cursor or b"0", "COUNT", step)
        for name, value in zip(page[::2], page[1::2], strict=True):
            count += 1
            if name not in subject.excluded:
                kept.add(name, value)
    yield from _expect(count, subject, "HLEN")
    return _whole(kept.digest())


def _read_stream(subject: Subject) -> Reading:
    """Read entries in order, positions, and groups with pending entries, without the times of delivery."""
    key = subject.key
    before = yield ("XINFO", "STREAM", key)
    names = (b"length", b"last-generated-id", b"max-deleted-entry-id", b"entries-added")
    positions = framed(*(_plain(before.get(name)) for name in names))
    hashed = blake2b(positions)
    step = subject.slice_of(before[b"length"])
    start = b"-"
    while page := (yield ("XRANGE", key, start, "+", "COUNT", step)):
        for identity, pairs in page:
            hashed.update(framed(identity, framed(*pairs)))
        start = b"(" + page[-1][0]
    groups = yield from _groups(key)
    after = yield ("XINFO", "STREAM", key)
    if framed(*(_plain(after.get(name)) for name in names)) != positions:
        raise Changed
    entries = hashed.digest()
    return Value(
        blake2b(entries + groups).digest(), {"entries": short_hash(entries), "groups": short_hash(groups)}
    )


def _groups(key: bytes) -> Generator[Command, Any, bytes]:
    groups = Unordered()
    for group in (yield ("XINFO", "GROUPS", key)):
        name = group[b"name"]
        consumers = Unordered()
        for consumer in (yield ("XINFO", "CONSUMERS", key, name)):
            consumers.add(consumer[b"name"])
        pending = Unordered()
        start = b"-"
        while page := (yield ("XPENDING", key, name, start, "+", 1000)):
            for identity, consumer, _, deliveries in page:
                pending.add(identity, consumer, _plain(deliveries))
            start = b"(" + page[-1][0]
        read = _plain(group.get(b"entries-read"))
        groups.add(name, group[b"last-delivered-id"], read, consumers.digest(), pending.digest())
    return groups.digest()


def _plain(value: object) -> bytes:
    return value if isinstance(value, bytes) else repr(value).encode()


READINGS: Mapping[bytes, Callable[[Subject], Reading]] = {
    b"string": read_string,
    b"list": _read_list,
    b"set": _read_set,
    b"hash": _read_hash,
    b"zset": _read_sorted_set,
    b"stream": _read_stream,
}


def in_pipelines(
    readings: Iterable[Reading], ask: Callable[[list[Command]], list[Any]]
) -> list[Value | None]:
    """Run `readings` side by side, a pipeline a round; a value that changed meanwhile gives None."""
    running = list(enumerate(readings))
    found: list[Value | None] = [None] * len(running)
    answers: list[Any] = [None] * len(running)
    while running:
        commands: list[Command] = []
        following: list[tuple[int, Reading]] = []
        for (index, reading), answer in zip(running, answers, strict=True):
            try:
                if isinstance(answer, Changed):
                    reading.close()
                    continue
                commands.append(reading.send(answer))
            except StopIteration as done:
                found[index] = done.value
            except Changed:
                continue
            else:
                following.append((index, reading))
        running = following
        answers = ask(commands) if commands else []
    return found
