"""What a reader of a store answers with: counts, digests, records, references and more. See `Reader`.

A collection is cut into parts by key. So a difference is narrowed to few records, parts are read side by
side, and some can be sampled when time is short. A digest does not depend on the order of records: it is
their number and the sum of their hashes. A sum, unlike XOR, detects a duplicated record, and two records that
swapped a value.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollproof.collection import Json
from rollproof.errors import Unverifiable

HASH_BITS = 60
"""Bits of a record's hash: one pair of different records in 2**60 is taken for equal."""
FIELD_BITS = 32
"""Bits of a field's hash: of 100,000 records that users touched, `touched` overlooks none."""
Wanted = frozenset[tuple[str, int]]
"""Records of one part, as pairs of key and hash from `Reader.records`."""


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The answer to an authenticated query that touched real data.

    `query` is the query in words, `records` the number of records it saw in `collection`.
    """

    query: str
    collection: str
    records: int
    server: str


LOADED = "loaded"
"""The load state of a collection that can be searched."""
LOAD_STATE = "load state"
"""The part of a schema that has it."""


class Blind(Unverifiable):
    """The account may not see who is connected, and will not a second later either."""


class Withheld(Unverifiable):
    """The store answers, but withholds the requested fact from this account."""


@dataclass(frozen=True, slots=True)
class Rights:
    """An account's rights on the profile's data, in the words of its store, such as ``INSERT on imagedb``.

    `writes` are its rights to change them; `lacks` are rights that an operator needs and that it has not.
    """

    writes: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Retention:
    """A log's retention: the seconds it keeps a record, and its limit in bytes; None means no limit.

    A `compacted` log may drop a record once a later one has the same key.
    """

    seconds: float | None
    size: int | None
    compacted: bool

    def outlasts(self, horizon: float) -> bool:
        """Return True if every record is kept for `horizon` seconds, whatever follows it."""
        long = self.seconds is None or self.seconds >= horizon
        return long and self.size is None and not self.compacted

    def __str__(self) -> str:
        """Return the retention in words."""
        kept = "for ever" if self.seconds is None else f"{self.seconds:g} s"
        size = "" if self.size is None else f", at most {self.size} bytes of a partition"
        return f"{kept}{size}{', compacted' if self.compacted else ''}"


@dataclass(frozen=True, slots=True)
class Digest:
    """A part's digest: its number of records, and the sum of their hashes."""

    records: int
    total: int

    def __add__(self, other: Digest) -> Digest:
        """Return one digest for both parts."""
        return Digest(self.records + other.records, self.total + other.total)


@dataclass(frozen=True, slots=True)
class RecordHash:
    """One record: its key as people know it, and its hash of `HASH_BITS` bits over key and value.

    `fields` are the hashes of its fields, if it has any, `FIELD_BITS` each. `expires` is its expiry time in
    seconds since 1970: a record missing after that was not lost.
    """

    key: str
    hash: int
    fields: Mapping[str, int] = field(default_factory=dict)
    expires: float | None = None


ByUsers = Callable[[RecordHash, RecordHash], bool]
"""Tells whether users changed a record, given as it was and as it is."""


def nobody(_: RecordHash, __: RecordHash) -> bool:
    """Return False: no change is the users' own. See `ByUsers`."""
    return False


@dataclass(slots=True)
class Pace:
    """The load allowed on a store: the server's other users come first.

    `connections` are used side by side. A request asks for as many records as take `chunk_seconds`. If it
    takes more than `BUSY` times that, the server has other work, and the next request waits for as long.
    """

    BUSY = 3.0
    LARGEST = 200_000
    SMALLEST = 100

    connections: int = 2
    chunk_seconds: float = 0.5
    paused_seconds: float = 0.0

    def next_size(self, records: int, seconds: float) -> int:
        """Return the next request's number of records, after `records` took `seconds`; pause if slow."""
        if seconds > self.BUSY * self.chunk_seconds:
            time.sleep(seconds)
            self.paused_seconds += seconds
        wanted = records * self.chunk_seconds / max(seconds, 0.001)
        # At most twice as many: one quick answer says little about the next records.
        return int(min(max(min(wanted, 2 * records), self.SMALLEST), self.LARGEST))


Vector = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Recall:
    """The share of the exact nearest neighbours that searches through the index find: 1.0 is all of them.

    `filtered` is that of searches with a condition, which take another way through the index.
    """

    unfiltered: float
    filtered: float


@dataclass(frozen=True, slots=True)
class Unlisted:
    """The parts of a store outside the profile's collections: a backup of the collections lacks them.

    `compared` are definitions by name: accounts, grants, global variables. `outside` names what the profile
    does not list, such as ``database archive``. `unread` says what the account may not read, each with the
    right that it lacks.
    """

    compared: Mapping[str, Any] = field(default_factory=dict)
    outside: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def comparable_with(self, recorded: Unlisted) -> Mapping[str, Json]:
        """Return what can be compared with `recorded`: where that could not be read, nothing is new."""
        return {
            name: value
            for name, value in self.compared.items()
            if name in recorded.compared or not recorded.unread
        }


@dataclass(frozen=True, slots=True)
class ExportedRecord:
    """One whole record: its key and hash from `Reader.records`, and its content.

    `content` is for people; bytes that are not text are ``{"base64": …}``. `replay` is what the store's
    keeper needs to write the record again, or None if `content`, with the file that it names, is exact.
    """

    key: str
    hash: int
    content: Json
    replay: Json = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Requested records of `collection`: those `wanted`, by part, an index into `division`."""

    collection: str
    division: Sequence[str]
    wanted: Mapping[int, Wanted]

    @property
    def pairs(self) -> Wanted:
        """The requested records of all parts."""
        return frozenset(pair for pairs in self.wanted.values() for pair in pairs)
