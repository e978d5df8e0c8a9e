"""References between stores: a row names a document, a document an object, a vector a document.

Names are looked up in batches, so that memory stays bounded, and a store gets few queries, not one a record.
A backup that is taken while users write cuts some references: the caller says which names moved meanwhile,
and up to `MOST_TOLERATED` of those may dangle.
"""

from __future__ import annotations

import json
import time
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from hashlib import blake2b
from heapq import merge

from rollproof.errors import Meaning, Mismatch, Unverifiable
from rollproof.profile.sections import NamePlace, Reference
from rollproof.redaction.personal import Personal
from rollproof.stores.names import Name
from rollproof.stores.reader import Reader
from rollproof.system.side_by_side import NoAnswer, ask_all, batched

MOST_TOLERATED = 100
"""Names that may dangle, of all references together, because they moved while the backup was taken."""
_BATCH = 1000
_SHOWN = 20
_AGAIN_SECONDS = 1.0
# A collection that a user's first document makes is read only once it has its index and is loaded.
_MADE_SECONDS = 3.0
_MADE_LOOKS = 3
# Who does not answer is asked once.
_SILENT = frozenset({Meaning.TIMEOUT, Meaning.UNREACHABLE})


def hash_of(name: Name) -> int:
    """Return a hash of 64 bits, which is remembered instead of a name that may be personal data."""
    return int.from_bytes(blake2b(json.dumps(name).encode("ascii"), digest_size=8).digest(), "big")


def text_of(reference: Reference) -> str:
    """Return a reference in words that no other reference has."""
    return " in ".join(map(str, sides_of(reference)))


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a reference: a place, and the values by field (`where`) of the records there that count."""

    place: NamePlace
    where: Mapping[str, str]

    def __str__(self) -> str:
        """Return it in words, the same for equal sides."""
        where = "".join(f", {name} = {value!r}" for name, value in sorted(self.where.items()))
        return f"{_text(self.place)}{where}"


def sides_of(reference: Reference) -> tuple[Side, Side]:
    """Return the referencing and the referenced side."""
    return Side(reference.referencing, reference.where), Side(reference.referenced, {})


@dataclass(frozen=True, slots=True)
class Followed:
    """The result for one reference: counts of all its records, those `without` a name, and those `dangling`.

    `first` are the first dangling names, sorted. `unread` are collections of a pattern that could not be
    read, though the store answers. `tolerated` are further names that dangle, with the number of their
    records: they moved while the backup was taken. Names are not in its text, which a traceback may show.
    `least` is the number of records below which the result does not count.
    """

    records: int
    without: int
    dangling: int
    first: tuple[Name, ...] = field(repr=False)
    unread: Mapping[str, Unverifiable] = field(default_factory=dict)
    tolerated: Mapping[Name, int] = field(default_factory=dict, repr=False)
    least: int = 1

    @property
    def whole(self) -> bool:
        """Whether there are as many records as needed, all could be read, and the names of all are held."""
        return self.records >= self.least and not (self.without or self.dangling or self.unread)

    def still_wrong(self, later: Followed) -> Followed:
        """Return the result of a `later` look, with only what was wrong at both."""
        unread = {name: error for name, error in later.unread.items() if name in self.unread}
        if _SHOWN in {len(self.first), len(later.first)}:  # of more, perhaps, which are not known
            return replace(later, unread=unread)
        both = tuple(name for name in later.first if name in self.first)
        dangling = later.dangling if both == later.first else len(both)
        without = min(self.without, later.without)
        return replace(later, without=without, dangling=dangling, first=both, unread=unread)

    def with_tolerated(self) -> Followed:
        """Return the same with its tolerated names among those that dangle."""
        first = tuple(sorted({*self.first, *self.tolerated})[:_SHOWN])
        dangling = self.dangling + sum(self.tolerated.values())
        return replace(self, dangling=dangling, first=first, tolerated={})


def follow(reference: Reference, open_store: Callable[[str], Reader], moved: Container[int] = ()) -> Followed:
    """Look up every name held by the records at `reference.referencing`.

    Of the names that dangle, those with a digest in `moved` are tolerated: see `MOST_TOLERATED`.

    Raises:
        Unverifiable: a store does not answer. UsageProblem: a store of the reference holds no names.
    """
    referencing, referenced = sides_of(reference)
    records = without = dangling = 0
    first: set[Name] = set()
    tolerated = Counter[Name]()
    source, holder = open_store(referencing.place.store), open_store(referenced.place.store)
    unread: dict[str, Unverifiable] = {}
    # A collection may be empty where the profile says so; a pattern that matches none may not.
    collection = referencing.place.collection
    least = 0 if reference.may_be_empty and collections_at(collection, source.collections) else 1
    held_of = _held_at(referenced.place, holder, unread)
    for batch in batched(names_of_side(referencing, source, unread), _BATCH):
        named = {name for name in batch if name is not None}
        lost = named - held_of(named)
        # Beyond the limit no further name is tolerated, so that memory stays bounded.
        room = len(tolerated) <= MOST_TOLERATED
        cut = {name for name in lost if name in tolerated or (room and hash_of(name) in moved)}
        tolerated.update(name for name in batch if name in cut)
        lost -= cut
        records += len(batch)
        without += batch.count(None)
        dangling += sum(name in lost for name in batch)
        first = set(sorted(first | lost)[:_SHOWN])
    return Followed(records, without, dangling, tuple(sorted(first)), unread, tolerated, least)


def _held_at(
    to: NamePlace, reader: Reader, unread: dict[str, Unverifiable]
) -> Callable[[set[Name]], set[Name]]:
    """Return the function that gives those of some names that are held at `to`.

    The collections of a pattern, and mounts, are read once, before, and 8 bytes of each name are remembered:
    to ask each of them for each batch of names would take long.
    """
    if not (_is_pattern(to.collection) or reader.lists_names):
        return lambda names: reader.held(to.collection, to.fields, sorted(names)) if names else set()
    read: list[array[int]] = []
    for collection in collections_at(to.collection, reader.collections):
        with _unread_kept(to, collection, unread):
            names = reader.names(collection, to.fields, {})
            read.append(array("Q", sorted(hash_of(name) for name in names if name is not None)))
    every = array("Q", merge(*read))

    def is_held(name: Name) -> bool:
        digest = hash_of(name)
        at = bisect_left(every, digest)
        return every[at : at + 1] == array("Q", [digest])

    return lambda names: set(filter(is_held, names))


def names_of_side(side: Side, reader: Reader, unread: dict[str, Unverifiable]) -> Iterator[Name | None]:
    """Yield the name of each record; collections of a pattern that cannot be read come into `unread`."""
    place = side.place
    for collection in collections_at(place.collection, reader.collections):
        with _unread_kept(place, collection, unread):
            yield from reader.names(collection, place.fields, side.where)


@contextmanager
def _unread_kept(place: NamePlace, collection: str, unread: dict[str, Unverifiable]) -> Iterator[None]:
    """Keep in `unread` why a collection of a pattern cannot be read, if its store answers."""
    try:
        yield
    except Unverifiable as error:
        if error.means in _SILENT or not _is_pattern(place.collection):
            raise
        unread[collection] = error


def require_whole(
    reference: Reference,
    open_store: Callable[[str], Reader],
    personal: Personal,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Return the number of records, if all their names were found: see `look` and `judge`."""
    return judge(reference, look(reference, open_store, sleep=sleep), personal)


def look(
    reference: Reference,
    open_store: Callable[[str], Reader],
    moved: Container[int] = (),
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Followed:
    """Follow a reference; look again at what is wrong, and report only what is wrong each time.

    Raises:
        Unverifiable: a store does not answer, or the same collection cannot be read at any look.
    """
    followed = follow(reference, open_store, moved)
    if not followed.whole:
        # Users may be writing: what comes into two stores is not in both at one moment.
        sleep(_AGAIN_SECONDS)
        followed = followed.still_wrong(follow(reference, open_store, moved))
    for _ in range(_MADE_LOOKS):
        if followed.unread:
            sleep(_MADE_SECONDS)
            followed = followed.still_wrong(follow(reference, open_store, moved))
    for error in followed.unread.values():
        raise error
    return followed


def judge(reference: Reference, followed: Followed, personal: Personal, tolerated: int = 0) -> int:
    """Return the number of records, if all their names were found; errors show `personal` data by pseudonym.

    `tolerated` is the number of tolerated names of all references: beyond `MOST_TOLERATED` they count too.

    Raises:
        Mismatch: a name is dangling, a record has none, or there is no record at all.
    """
    too_many = followed.tolerated and tolerated > MOST_TOLERATED
    if too_many:
        followed = followed.with_tolerated()
    if followed.whole:
        return followed.records
    observed = f"{followed.dangling} dangling, {followed.without} records without a name"
    if too_many:
        observed += f", with more than the {MOST_TOLERATED} names that may have moved during the backup"
    if followed.first:
        observed += f"; first: {', '.join(shown_names(reference, followed.first, personal))}"
    raise Mismatch(
        what=f"references of {_text(reference.referencing)}",
        expected=f"each held by {_text(reference.referenced)}",
        observed=observed if followed.records else "no record that holds a name",
        source=f"{followed.records} records",
        hint="the two stores are not of one moment: restore both from one backup",
        means=Meaning.DATA_LOSS,
    )


def follow_all(
    references: Mapping[str, Reference], open_store: Callable[[str], Reader], personal: Personal
) -> Mapping[str, int | NoAnswer]:
    """Return, by reference name, the number of records for which it holds, or its fault."""
    # One after the other: a reader answers one question at a time.
    return ask_all(
        references,
        lambda name: require_whole(references[name], open_store, personal),
        workers=1,
        question="follow",
    )


def shown_names(reference: Reference, names: Iterable[Name], personal: Personal) -> list[str]:
    """Return names for display; a part that is personal data in either store becomes a pseudonym."""
    places = (reference.referencing, reference.referenced)
    hidden = [
        any(personal.covers(p.store, p.collection, f) for p, f in zip(places, pair, strict=True))
        for pair in zip(*(place.fields for place in places), strict=True)
    ]
    return [
        "/".join(personal.pseudonym(part) if hide else part for part, hide in zip(name, hidden, strict=True))
        for name in names
    ]


def collections_at(collection: str, known: Callable[[], Collection[str]]) -> list[str]:
    """Return the collection that a place names, or all of the `known` ones that its pattern matches."""
    if not _is_pattern(collection):
        return [collection]
    names = known()
    if collection in names:  # of Redis, whose collections are named by patterns
        return [collection]
    return [name for name in names if fnmatchcase(name, collection)]


def _is_pattern(collection: str) -> bool:
    return any(sign in collection for sign in "*?[")


def _text(place: NamePlace) -> str:
    return f"{place.store}/{place.collection}({', '.join(place.fields)})"
