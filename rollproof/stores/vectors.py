"""Collections with vectors: scanned in the order of their keys, hashed in a canonical form, exported by key.

A scan reads parts side by side, in bounded memory. Floats are hashed by their stored bits, JSON by its text
with sorted keys: 1, 1.0, true and "1" differ.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from random import SystemRandom
from threading import Event
from time import monotonic
from typing import Any, ClassVar, Protocol

import orjson

from rollproof.errors import Unverifiable
from rollproof.stores.contract import Digest, Pace, QueryAnswer, Recall, RecordHash, Vector
from rollproof.stores.policy import made_by_users_of
from rollproof.stores.reach import Reach
from rollproof.stores.reader import BLOCK_BYTES, FIRST, Reader
from rollproof.system.side_by_side import Workers

# Pieces of a collection for each connection: enough that the connections end at about the same time. A scan
# cut short has then read a little from everywhere.
PIECES = 16
# The last bits of a score differ from one search to the next.
_TIED = 1e-5

Key = Any
"""A typed key; keys of one collection can be compared."""
Row = Any
"""A record as the store's client gives it."""
# The nearest records that a recall is about.
RECALL_AT = 10
_NOT_A_NUMBER = float("nan")


@dataclass(frozen=True, slots=True)
class Hashed:
    """A row's key and hash for a digest; `size` is the length of its canonical form in bytes."""

    key: Key
    hash: int
    size: int


class VectorTable(Protocol):
    """One store's collection, for a scan. Its methods are called side by side."""

    reach: Reach
    collection: str

    def key(self, bound: str) -> Key:
        """Return the key for a division's text; raises `ValueError` if keys are of another type."""
        ...

    def keys(self) -> Iterator[str]:
        """Yield every key as a division's text, in order."""
        ...

    def block(self, after: Key | None, begin: Key | None, end: Key | None, limit: int) -> Sequence[Row]:
        """Return, by key, the first `limit` rows after `after`, or from `begin` on if `after` is None.

        Rows at or beyond `end` may be among them. Only an empty answer means the end.
        """
        ...

    def hashed(self, row: Row) -> Hashed:
        """Return the row's key, hash and size."""
        ...

    def record(self, row: Row, hashed: Hashed) -> RecordHash:
        """Return the row as a `RecordHash`."""
        ...


@dataclass(slots=True)
class Scan:
    """One reading of a table by a division."""

    table: VectorTable
    division: Sequence[str]
    pace: Pace
    _bounds: list[Key | None] = field(init=False)
    _limit: int = FIRST
    _rows_read: int = 0
    _parts_read: int = 0

    def __post_init__(self) -> None:
        try:
            self._bounds = [self.table.key(bound) if bound else None for bound in self.division]
        except ValueError as error:
            raise self._out_of_order(f"keys of another type: {error}") from None

    def digests(self, parts: Sequence[int]) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each of `parts` when known; runs of adjacent parts are read in random order."""
        pieces = _pieces(sorted(parts), PIECES * self.pace.connections)
        SystemRandom().shuffle(pieces)
        with Workers(self.pace.connections, "vectors") as workers:
            yield from workers.merged(lambda piece: self._digests_of(piece, workers.stopped), pieces)

    def records(self, parts: Sequence[int]) -> Iterator[tuple[int, RecordHash]]:
        """Yield the records of `parts`, in that order; the next rows are read while these are used."""
        record = self.table.record
        with Workers(1, "rows ahead") as reader:
            for piece in _pieces(parts, 1):
                blocks = self._blocks(piece, reader.stopped)
                ahead = reader.begin(next, blocks, None)
                while (block := ahead.result()) is not None:
                    ahead = reader.begin(next, blocks, None)
                    for part, row, hashed in block:
                        yield part, record(row, hashed)

    def _digests_of(self, piece: range, stopped: Event) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each part in `piece` once all its rows were read; none if `stopped` before."""
        records, totals = Counter[int](), Counter[int]()
        for block in self._blocks(piece, stopped):
            for part, _, hashed in block:
                records[part] += 1
                totals[part] += hashed.hash
        if not stopped.is_set():
            yield from ((part, Digest(records[part], totals[part])) for part in piece)

    def _blocks(self, piece: range, stopped: Event) -> Iterator[list[tuple[int, Row, Hashed]]]:
        """Yield the rows of consecutive parts with their part numbers, block by block as read."""
        begin, end = self._bound(piece.start), self._bound(piece.stop)
        after, part, following = None, piece.start, self._bound(piece.start + 1)
        while not stopped.is_set():
            started = monotonic()
            rows = self.table.block(after, begin, end, self._next_limit(piece.stop - part, end))
            seconds = monotonic() - started
            if not rows:
                break
            block, size = [], 0
            for row in rows:
                hashed = self.table.hashed(row)
                if after is not None and not hashed.key > after:
                    raise self._out_of_order(f"{hashed.key} after {after}")
                after = hashed.key
                if end is not None and not after < end:
                    break
                while following is not None and not after < following:
                    part += 1
                    following = self._bound(part + 1)
                size += hashed.size
                block.append((part, row, hashed))
            self._rows_read += len(block)
            self._limit = self.pace.next_size(len(rows), seconds)
            if block:
                self._limit = max(1, min(self._limit, BLOCK_BYTES * len(block) // max(size, 1)))
                yield block
            if len(block) < len(rows):
                break
        self._parts_read += len(piece)

    def _bound(self, part: int) -> Key | None:
        return self._bounds[part] if part < len(self._bounds) else None

    def _out_of_order(self, observed: str) -> Unverifiable:
        return self.table.reach.failed(
            observed,
            expected=f"the records of {self.table.collection} in the order of their keys",
            hint="compare the schemas: the collection was created again, or this server orders otherwise",
        )

    def _next_limit(self, parts: int, end: Key | None) -> int:
        """Return the number of rows to ask for; the piece's rest spans `parts` parts, the first partly read.

        Rows beyond the piece's end are read in vain, so only a little more than expected is asked for.
        """
        if end is None or not self._parts_read:
            return self._limit
        expected = parts * self._rows_read / self._parts_read
        return min(self._limit, int(1.05 * expected) + FIRST)


def _pieces(parts: Sequence[int], count: int) -> list[range]:
    """Return `parts` as ranges of consecutive numbers, each at most a `count`-th of all."""
    longest = max(1, -(-len(parts) // count))
    pieces: list[range] = []
    for part in parts:
        if pieces and pieces[-1].stop == part and len(pieces[-1]) < longest:
            pieces[-1] = range(pieces[-1].start, part + 1)
        else:
            pieces.append(range(part, part + 1))
    return pieces


def _share(expected: Sequence[tuple[str, float]], hits: Sequence[tuple[str, float]]) -> float:
    """Return the share of `expected` among `hits`; another record as near as the last is as good."""
    if not expected:
        return 1.0
    keys, last = {key for key, _ in expected}, expected[-1][1]
    found = hits[: len(expected)]
    good = sum(key in keys or isclose(score, last, rel_tol=_TIED, abs_tol=_TIED) for key, score in found)
    return good / len(expected)


def float_bytes(values: Iterable[Any], size: str = "f") -> bytes:
    """Return little-endian floats: 4 bytes each for the `size` "f", 8 for "d".

    NaN and infinities are None in JSON, and are packed as NaN.
    """
    values = values if isinstance(values, Sequence) else list(values)
    try:
        packed = array(size, values)
    except TypeError:
        packed = array(size, [_NOT_A_NUMBER if value is None else value for value in values])
    return _little_endian(packed)


def sparse_bytes(values: Mapping[int, float]) -> bytes:
    """Return a sparse vector's indices and values, sorted by index, as their order means nothing."""
    indices = sorted(values)
    return _little_endian(array("Q", indices)) + float_bytes([values[index] for index in indices])


def json_bytes(value: Any) -> bytes:  # noqa: ANN401 - JSON
    """Return the canonical JSON text for a value and its types."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _little_endian(packed: array[Any]) -> bytes:
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


Searcher = Callable[..., Sequence[tuple[str, float]]]
"""Searches one collection: ``(vector, limit, *, exact=False, without=())``.

It searches among all records but those with the keys `without`, and returns keys and scores, best first. A
search that is not `exact` takes the store's own defaults, as most applications do.
"""


class Searched(Reader):
    """A reader whose collections have vectors, which are searched exactly and through an index."""

    @abstractmethod
    def _searcher(self, collection: str) -> Searcher:
        """Return what searches the collection's vectors."""

    @abstractmethod
    def _vectors(self, collection: str, bounds: Sequence[str]) -> Iterator[Sequence[float]]:
        """Yield the vector of the first record at each of `bounds`; none where it has none to search for."""

    def search(self, collection: str, limit: int = 5) -> Sequence[str] | None:
        """Search for the collection's first vector, as most applications do; None without one."""
        vector = next(iter(self._vectors(collection, ("",))), None)
        return None if vector is None else [key for key, _ in self._searcher(collection)(vector, limit)]

    def vectors(self, collection: str, most: int) -> tuple[Vector, ...]:
        """Return the vectors of records at equal distances in the order of keys."""
        records = self.count(collection)
        if not records:
            return ()
        bounds = self.divide(collection, -(-records // most))[:most]
        return tuple(tuple(vector) for vector in self._vectors(collection, bounds))

    def recall(self, collection: str, queries: Sequence[Vector]) -> Recall | None:
        """Return what searches through the index find of the nearest `RECALL_AT`, and of the next as many.

        The condition of a filtered search leaves the nearest out.
        """
        if not queries:
            return None
        search, found = self._searcher(collection), list[tuple[float, float]]()
        for query in queries:
            nearest = search(query, 2 * RECALL_AT, exact=True)
            first, others = nearest[:RECALL_AT], nearest[RECALL_AT:]
            hits = search(query, RECALL_AT)
            filtered = search(query, RECALL_AT, without=[key for key, _ in first])
            found.append((_share(first, hits), _share(others, filtered)))
        return Recall(*(sum(shares) / len(found) for shares in zip(*found, strict=True)))


class Scanned(Searched):
    """A reader whose collections are scanned."""

    parts_alone: ClassVar[bool] = True
    counted_by: ClassVar[str]
    """The query that counts a collection, in words."""

    @abstractmethod
    def server(self) -> str:
        """Return the server's name and version."""

    def ask(self) -> QueryAnswer:
        """Count the first collection that holds a record, or the last if all are empty."""
        collections = self.collections()
        if not collections:
            raise self._reach.failed(
                "none",
                expected=f"a collection that matches {', '.join(self._profile.collections)}",
                hint="a query can only touch data where there is some: check the profile's `collections`",
            )
        for collection in collections:
            records = self.count(collection)
            if records:
                break
        return QueryAnswer(self.counted_by, collection, records, self.server())

    def holdings(self) -> Mapping[str, Any]:
        """Return the patterns of collections that users seem to make."""
        return {"made_by_users": made_by_users_of(self.collections())}

    @abstractmethod
    def _table(self, collection: str) -> VectorTable:
        """Return the collection as a `Table` for scans."""

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return the key of every so many records, in the order of keys."""
        keys = self._table(collection).keys()
        return ("", *(text for number, text in enumerate(keys) if number and number % records == 0))

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each of `parts`."""
        yield from Scan(self._table(collection), division, pace).digests(parts)

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        """Yield each record of `parts`."""
        yield from Scan(self._table(collection), division, pace).records(parts)
