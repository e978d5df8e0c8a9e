"""The reading engine: what a store answers, on one account, without changing anything.

Every kind of store has one class of reader. What only some kinds can answer is empty by default.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar, Self

import orjson

from rollproof.collection import Json
from rollproof.errors import UsageProblem
from rollproof.profile.data_formats import Marks
from rollproof.profile.kinds import kinds_that
from rollproof.stores.contract import (
    LOADED,
    Digest,
    ExportedRecord,
    Pace,
    QueryAnswer,
    Recall,
    RecordHash,
    Retention,
    Rights,
    Selection,
    Unlisted,
    Vector,
)
from rollproof.stores.names import Name
from rollproof.stores.reach import Readable

# The canonical bytes that one answer should hold; as JSON and Python objects it takes 20 times that.
BLOCK_BYTES = 4_000_000
# Rows of the very first request, before their size is known.
FIRST = 10


class Reader(ABC):
    """Reads one store, in bounded memory. Every call has the profile's deadline.

    Collections are named ``database.table``, ``database.collection``, ``collection``, ``bucket``, ``topic``,
    a key pattern, or a mount. A division is a tuple of texts, one a part, in the order of keys. The first
    part begins at "", before every key, and the last has no end. Only the store's reader interprets a text;
    the baseline keeps it. Fields that the profile excludes are in no hash.

    Every method raises `Unverifiable` when the store cannot be reached, refuses the account or runs past the
    deadline. A driver's exception never gets out, and a message never holds a secret. As a context manager a
    reader closes itself; it may be used again.
    """

    name: str
    kind: str
    blind_spots: tuple[str, ...] = ()
    """The changes that these digests cannot detect, in words, one a line of a report."""
    digests_records: ClassVar[bool] = False
    """Whether a digest takes as long as the records of its part: those are then read at once."""
    lists_names: ClassVar[bool] = False
    """Whether it looks no name up: `names` is read once instead of asking `held`."""
    parts_alone: ClassVar[bool] = False
    """Whether consecutive bounds of a division are a division: their parts are read without the others."""

    def __init__(self, readable: Readable[Any]) -> None:
        """Keep the access data; the first question connects."""
        self.name = readable.store
        self.kind = readable.profile.kind
        self._profile: Any = readable.profile
        self._reach = readable.reach

    def close(self) -> None:  # noqa: B027 - most have nothing open
        """Release what is open between calls, by default nothing."""

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the reader."""
        self.close()

    @abstractmethod
    def ask(self) -> QueryAnswer:
        """Run one authenticated query that touches real data."""

    @abstractmethod
    def collections(self) -> Sequence[str]:
        """Return the profile's collections, sorted. Asks the store, and reads no record."""

    @abstractmethod
    def count(self, collection: str) -> int:
        """Return the exact number of records of one of `collections`, never an estimate or a statistic."""

    def counts(self) -> Mapping[str, int]:
        """Return the exact record counts by collection, sorted by name."""
        return {name: self.count(name) for name in sorted(self.collections())}

    @abstractmethod
    def schemas(self) -> Mapping[str, Json]:
        """Return the definitions of collections and other objects, sorted by name, for exact comparison.

        A collection has its name from `counts`; another object, such as a view or an alias, has its kind
        before its name: ``view imagedb.newest``. Definitions hold only facts that a restore gives back, and
        no values that the server generates, such as sizes, times, cardinalities or internal ids.
        """

    @abstractmethod
    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return a division of `collection` into parts of about `records` records; reads keys at most."""

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each of `parts` (indexes into `division`) once, in any order, when known.

        The store computes it if it can; by default the records are read. The caller may stop at any time.
        Each part is read at one moment, but different parts at different moments.
        """
        empty = set(parts)
        for part, found in groupby(self.records(collection, division, parts, pace), itemgetter(0)):
            count = total = 0
            for _, record in found:
                count += 1
                total += record.hash
            empty.discard(part)
            yield part, Digest(count, total)
        for part in empty:
            yield part, Digest(0, 0)

    @abstractmethod
    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        """Yield each record of `parts` with its part, part by part in the order given, records in any order.

        The sum of a part's hashes always equals its digest's total.
        """

    @abstractmethod
    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the whole records of `selection`, each once, in any order.

        Memory holds a bounded number of records. A record now missing, or in another version, is left out:
        the caller counts. Content unfit for a line, such as an object's bytes, goes into a file in `folder`,
        which exists and is this store's alone. Fields that digests leave out are in it.
        """

    # References, of a kind whose records can name others.

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield the name that `fields` form in each record that `where` selects by equality.

        None stands for a record without a name. Names come as they are read: memory stays bounded, and each
        request has its own deadline.

        Raises:
            UsageProblem: records of this kind hold no names.
        """
        raise self._nameless(collection, fields)

    def held(self, collection: str, fields: Sequence[str], names: Sequence[Name]) -> set[Name]:
        """Return the subset of `names` that `fields` form in any record of `collection`."""
        raise self._nameless(collection, fields)

    def _nameless(self, collection: str, fields: Sequence[str]) -> UsageProblem:
        return UsageProblem(
            what=f"reference at {self.name}/{collection}({', '.join(fields)})",
            expected=f"a store whose records can name others: {kinds_that('wrong_place')}",
            observed=self.kind,
            source="the profile",
            hint="take this reference out of the profile",
        )

    # What `init`, a plan and a restore trial ask.

    def holdings(self) -> Mapping[str, Any]:
        """Return keys of its section of a profile, as the server lists them; none once it has answered."""
        self.ask()
        return {}

    def marks(self) -> Marks:
        """Return the marks of its server's format, of a kind that `has_format_marks`."""
        return {}

    def revisions(self, _table: str) -> tuple[str, ...]:
        """Return the revisions in a table, of a kind that `may_have_revisions`; none without the table.

        Of alembic these are the heads, of Django all that were applied, each as ``app.name``.
        """
        return ()

    def addresses(self) -> Sequence[str]:
        """Return each ``host:port`` to which its clients connect, of a kind that `names_addresses`."""
        return ()

    # What only some kinds can answer.

    def connections(self) -> tuple[int, int]:
        """Return the numbers of connections in use and allowed, of a kind with `clients`.

        Raises:
            Withheld: the account lacks the right to ask.
        """
        return 0, 0

    def load_state(self, _collection: str) -> str:
        """Return `LOADED` if `collection` can be searched, else the store's own word. Loads nothing."""
        return LOADED

    def search(self, _collection: str, limit: int = 5) -> Sequence[str] | None:
        """Search for a vector taken from `collection` itself, without which it returns None.

        Returns the keys of the nearest records, the nearest first.
        """
        return None

    def vectors(self, _collection: str, _most: int) -> tuple[Vector, ...]:
        """Return the vectors of at most so many records, spread over the collection; none without vectors."""
        return ()

    def recall(self, _collection: str, queries: Sequence[Vector]) -> Recall | None:
        """Return what searches through the index for the vectors `queries` find of the nearest records.

        None without vectors. An index is approximate: compare it with the recall of a good state.
        """
        return None

    def positions(self) -> Mapping[str, Json]:
        """Return the positions that advance in use, such as a consumer group's offsets, by name."""
        return {}

    def position_faults(self, _recorded: Mapping[str, Json]) -> Sequence[str]:
        """Return the positions' faults since they were recorded: lost, moved back, or beyond the end."""
        return ()

    def lags(self) -> Mapping[str, int]:
        """Return the number of records that each consumer of a log has yet to read, by its name."""
        return {}

    def retentions(self) -> Mapping[str, Retention | None]:
        """Return the retention by log, or None if the store does not tell it."""
        return {}

    def rights(self) -> Rights:
        """Return what the account may do with the profile's data, of a kind that `reports_rights`."""
        return Rights()

    def existing_collections(self) -> Sequence[str]:
        """Return `collections` without those of dropped databases; a hidden database is an error."""
        return self.collections()

    def sight(self, _schemas: Mapping[str, Json]) -> Mapping[str, str]:
        """Return what an account without a right would not see, such as ``triggers of imagedb``.

        `schemas` is the answer of `schemas` to this account. The value is the right that the account lacks,
        or "" if it has it. Empty for a store that never silently leaves out what an account may not see.
        """
        return {}

    def unlisted(self) -> Unlisted | None:
        """Return what the store holds outside the profile's lists; None if it holds nothing of others.

        What the account may not read is named, and is no error.
        """
        return None


def exported_by_key(
    selection: Selection, read: Callable[[Sequence[str]], Sequence[ExportedRecord]], pace: Pace
) -> Iterator[ExportedRecord]:
    """Yield the records of `selection` that still exist in the requested version.

    `read` returns the existing records for some keys, in any version. It ignores parts, so that only
    requested keys are read.
    """
    every = sorted(selection.pairs)
    begin, limit = 0, FIRST
    while begin < len(every):
        block = frozenset(every[begin : begin + limit])
        begin += limit
        started = monotonic()
        found = read(sorted({key for key, _ in block}))
        seconds = monotonic() - started
        yield from (record for record in found if (record.key, record.hash) in block)
        size = sum(len(orjson.dumps(record.content)) for record in found)
        limit = pace.next_size(max(1, len(found)), seconds)
        if size:
            limit = max(1, min(limit, BLOCK_BYTES * len(found) // size))
