"""The contract of every store with its readers: a view, a content reader, an export.

A view says whether a store answers, and how many records it holds. A content reader gives schemas, and
digests that any change to a record changes. An export gives whole records.

A collection is cut into parts by key. So a difference is narrowed to few records, parts are read side by
side, and some can be sampled when time is short. A digest does not depend on the order of records: it is
their number and the sum of their hashes. A sum, unlike XOR, detects a duplicated record, and two records that
swapped a value.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.stores.names import Name

HASH_BITS = 60
"""Bits of a record's hash: one pair of different records in 2**60 is taken for equal."""
FIELD_BITS = 16
"""Bits of a field's hash: enough to find the differing field, once the records are known to differ."""
Wanted = frozenset[tuple[str, int]]
"""Records of one part, as pairs of key and hash from `ContentView.records`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an authenticated query that touched real data.

    `query` is the query in words, `records` the number of records it saw in `collection`.
    """

    query: str
    collection: str
    records: int
    server: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One neighbour: its key as text and the store's score."""

    key: str
    score: float


@dataclass(frozen=True, slots=True)
class Search:
    """A search for a vector stored in the collection.

    `probe` is the key of the record with that vector. `hits` are the neighbours in the store's own order,
    best first: a score may be a distance. `found` tells that the probe is among the best hits, or that the
    first hit scores no worse than the vector would against itself: another record has the same vector, or by
    the inner product a longer one.
    """

    probe: str
    hits: tuple[Hit, ...]
    found: bool


class OpenedStore(Protocol):
    """A store opened for reading, with its name and kind."""

    name: str
    kind: str

    def close(self) -> None:
        """Release the connections."""
        ...

    def __enter__(self) -> Self:
        """Return the reader itself."""
        ...

    def __exit__(self, *exception: object) -> None:
        """Close the reader."""
        ...


class StoreView(OpenedStore, Protocol):
    """Read-only view of one store, on its reader account. Every call has the profile's deadline.

    Raises `Unverifiable` when the store cannot be reached, refuses the account or runs past the deadline.
    A driver's exception never gets out, and a message never holds a secret.
    """

    def ask(self) -> Answer:
        """Run one authenticated query that touches real data."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Return exact record counts by collection name, sorted by name.

        Names are ``database.table``, ``database.collection``, ``collection``, ``bucket``, ``topic`` or a key
        pattern. Approximate counts and statistics are never used.
        """
        ...


@runtime_checkable
class CollectionsView(StoreView, Protocol):
    """A store that counts one collection without its neighbours, whose faults are not this one's."""

    def collections(self) -> Sequence[str]:
        """Return the profile's collections, named as in `counts`. Reads no record."""
        ...

    def count(self, collection: str) -> int:
        """Return the exact number of records of one of `collections`."""
        ...


@dataclass(frozen=True, slots=True)
class LoadState:
    """Whether a collection can be searched; `word` is "loaded" then, else the store's own word."""

    loaded: bool
    word: str


@runtime_checkable
class VectorView(StoreView, Protocol):
    """A store that can be searched by vector."""

    def load_state(self, collection: str) -> LoadState:
        """Return whether it can be searched. Reads only: it loads nothing."""
        ...

    def search(self, collection: str, limit: int = 5) -> Search | None:
        """Search for a vector taken from `collection` itself; return None if it holds no record."""
        ...


class Blind(Unverifiable):
    """The account may not see who is connected, and will not a second later either."""


class Untold(Unverifiable):
    """The store answers, but withholds the requested fact from this account."""


@dataclass(frozen=True, slots=True)
class Rights:
    """An account's rights on the profile's data, in the words of its store, such as ``INSERT on imagedb``.

    `writes` are its rights to change them; `lacks` are rights that an operator needs and that it has not.
    """

    writes: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


@runtime_checkable
class ConnectionsView(StoreView, Protocol):
    """A store with a limit on connections, which tells how many are in use."""

    def connections(self) -> tuple[int, int]:
        """Return the numbers of connections in use and allowed; raises `Untold`."""
        ...


@runtime_checkable
class ReferenceView(StoreView, Protocol):
    """A store whose records reference other stores' records, or are referenced by them."""

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield the name that `fields` form in each record that `where` selects by equality.

        None stands for a record without a name. Names come as they are read: memory stays bounded, and each
        request has its own deadline.
        """
        ...

    def held(self, collection: str, fields: Sequence[str], names: Sequence[Name]) -> set[Name]:
        """Return the subset of `names` that `fields` form in any record of `collection`."""
        ...


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


class ContentView(OpenedStore, Protocol):
    """Reads the content of one store on its reader account, in bounded memory. See `StoreView` for errors.

    A division is a tuple of texts, one a part, in the order of keys. The first part begins at "", before
    every key, and the last has no end. Only the store's reader interprets a text; the baseline keeps it.
    Fields that the profile excludes are in no hash.
    """

    blind_spots: tuple[str, ...]
    """The changes that these digests cannot detect, in words, one a line of a report."""

    def schemas(self) -> Mapping[str, Json]:
        """Return the definitions of collections and other objects, sorted by name, for exact comparison.

        A collection has its name from `StoreView.counts`; another object, such as a view or an alias, has its
        kind before its name: ``view imagedb.newest``. Definitions hold only facts that a restore gives back,
        and no values that the server generates, such as sizes, times, cardinalities or internal ids.
        """
        ...

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return a division of `collection` into parts of about `records` records; reads keys at most."""
        ...

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each of `parts` (indexes into `division`) once, in any order, when known.

        The store computes it if it can. The caller may stop at any time. Each part is read at one moment,
        but different parts at different moments.
        """
        ...

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        """Yield each record of `parts` with its part, part by part in the order given, records in any order.

        The sum of a part's hashes always equals its digest's total.
        """
        ...


@dataclass(frozen=True, slots=True)
class Neighbours:
    """A golden query: a vector, with the keys and scores of its search, best first."""

    vector: tuple[float, ...]
    keys: tuple[str, ...]
    scores: tuple[float, ...]


@runtime_checkable
class SearchableContent(ContentView, Protocol):
    """A store whose content must also be searchable by vector."""

    def golden(self, collection: str, queries: int, limit: int) -> tuple[Neighbours, ...]:
        """Search for the vectors of up to `queries` records spread over the collection."""
        ...

    def search_again(self, collection: str, golden: Sequence[Neighbours]) -> tuple[Neighbours, ...]:
        """Repeat the search of each golden query now, with as many hits as it had."""
        ...


@runtime_checkable
class MovingContent(ContentView, Protocol):
    """A store with positions that advance in use, such as a consumer group's offsets."""

    def positions(self) -> Mapping[str, Json]:
        """Return the current positions by name."""
        ...

    def strayed(self, recorded: Mapping[str, Json]) -> Sequence[str]:
        """Return the positions' faults since they were recorded: lost, moved back, or beyond the end."""
        ...

    def advanced(self, recorded: Mapping[str, Json]) -> Sequence[str]:
        """Return how far each consumer is ahead of its recorded position: it has read that, or skipped it."""
        ...


@runtime_checkable
class LaggingContent(MovingContent, Protocol):
    """A store of logs, whose consumers may lag behind."""

    def lags(self) -> Mapping[str, int]:
        """Return the number of records that each consumer has yet to read, by its name."""
        ...


@runtime_checkable
class DatabasesContent(ContentView, Protocol):
    """A store whose databases can be dropped; reading a dropped one is an error, not an empty result."""

    def standing(self) -> tuple[str, ...]:
        """Return the profile's databases without those dropped; a database hidden from the account stays."""
        ...


@runtime_checkable
class SightedContent(ContentView, Protocol):
    """A store that silently leaves out what its account may not see: "none" and "hidden" look alike."""

    def sight(self, schemas: Mapping[str, Json]) -> Mapping[str, str]:
        """Return what an account without a right would not see, such as ``triggers of imagedb``.

        `schemas` is the answer of `schemas` to this account. The value is the right that the account lacks,
        or "" if it has it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Beside:
    """The parts of a store beside the profile's collections: a backup of the collections lacks them.

    `compared` are definitions by name: accounts, grants, global variables. `outside` names what the profile
    does not list, such as ``database archive``. `unread` says what the account may not read, each with the
    right that it lacks.
    """

    compared: Mapping[str, Any] = field(default_factory=dict)
    outside: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def comparable_with(self, recorded: Beside) -> Mapping[str, Json]:
        """Return what can be compared with `recorded`: where that could not be read, nothing is new."""
        return {
            name: value
            for name, value in self.compared.items()
            if name in recorded.compared or not recorded.unread
        }


@runtime_checkable
class SharedContent(ContentView, Protocol):
    """A store that may hold more than the profile lists."""

    def beside(self) -> Beside:
        """Return what it holds beside; what the account may not read is named, and is no error."""
        ...


@dataclass(frozen=True, slots=True)
class ExportedRecord:
    """One whole record: its key and hash from `ContentView.records`, and its content.

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


class RecordExport(OpenedStore, Protocol):
    """Reads one store's whole records, and changes nothing there. See `StoreKeeper` for errors."""

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the records of `selection`, each once, in any order.

        Memory holds a bounded number of records. A record now missing, or in another version, is left out:
        the caller counts. Content unfit for a line, such as an object's bytes, goes into a file in `folder`,
        which exists and is this store's alone.
        """
        ...
