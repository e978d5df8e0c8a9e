"""References between stores: a row names a document, a document an object, a vector a document.

Names are looked up in batches, so that memory stays bounded, and a store gets few queries, not one a record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from rollproof.errors import Meaning, Mismatch, Unverifiable, UsageProblem
from rollproof.profile.kinds import kinds_that
from rollproof.profile.sections import Place, Reference
from rollproof.redaction.personal import Personal
from rollproof.stores.contract import CollectionsView, ReferenceView, StoreView
from rollproof.stores.names import Name
from rollproof.system.rounds import Wrong, ask_all
from rollproof.system.side_by_side import batched

_BATCH = 1000
_SHOWN = 20
_AGAIN_SECONDS = 1.0
# A collection that a user's first document makes is read only once it has its index and is loaded.
_MADE_SECONDS = 3.0
_MADE_LOOKS = 3
# Who does not answer is asked once.
_SILENT = frozenset({Meaning.TIMEOUT, Meaning.UNREACHABLE})


@dataclass(frozen=True, slots=True)
class Followed:
    """The result for one reference: counts of all its records, those `without` a name, and those `dangling`.

    `first` are the first dangling names, sorted. `unread` are collections of a pattern that could not be
    read, though the store answers. Names are not in its text, which a traceback may show.
    """

    records: int
    without: int
    dangling: int
    first: tuple[Name, ...] = field(repr=False)
    unread: Mapping[str, Unverifiable] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether there are records, all could be read, and the names of all are held."""
        return bool(self.records) and not (self.without or self.dangling or self.unread)

    def still(self, later: Followed) -> Followed:
        """Return what a `later` look has found without what only one of both has."""
        unread = {name: error for name, error in later.unread.items() if name in self.unread}
        if _SHOWN in {len(self.first), len(later.first)}:  # these may be some of more
            return replace(later, unread=unread)
        both = tuple(name for name in later.first if name in self.first)
        dangling = later.dangling if both == later.first else len(both)
        without = min(self.without, later.without)
        return replace(later, without=without, dangling=dangling, first=both, unread=unread)


def follow(reference: Reference, open_store: Callable[[str], StoreView]) -> Followed:
    """Look up every name held by the records at `reference.referencing`.

    Raises:
        Unverifiable: a store does not answer. UsageProblem: a store of the reference holds no names.
    """
    to = reference.referenced
    records = without = dangling = 0
    first: set[Name] = set()
    unread: dict[str, Unverifiable] = {}
    names, holder = _names(reference, open_store, unread), _view(to, open_store)
    for batch in batched(names, _BATCH):
        named = {name for name in batch if name is not None}
        lost = named - (holder.held(to.collection, to.fields, sorted(named)) if named else set())
        records += len(batch)
        without += batch.count(None)
        dangling += sum(name in lost for name in batch)
        first = set(sorted(first | lost)[:_SHOWN])
    return Followed(records, without, dangling, tuple(sorted(first)), unread)


def _names(
    reference: Reference, open_store: Callable[[str], StoreView], unread: dict[str, Unverifiable]
) -> Iterator[Name | None]:
    """Yield the name of each record; collections of a pattern that cannot be read come into `unread`."""
    place = reference.referencing
    view = _view(place, open_store)
    for collection in _collections(place, view):
        try:
            yield from view.names(collection, place.fields, reference.where)
        except Unverifiable as error:
            if error.means in _SILENT or not _is_pattern(place):
                raise
            unread[collection] = error


def require_whole(reference: Reference, open_store: Callable[[str], StoreView], personal: Personal) -> int:
    """Return the number of records, if all their names were found; errors show `personal` data by pseudonym.

    Raises:
        Mismatch: a name is dangling, a record has none, or there is no record at all. `Unverifiable`: a store
            does not answer.
    """
    return judge(reference, look(reference, open_store), personal)


def look(reference: Reference, open_store: Callable[[str], StoreView]) -> Followed:
    """Return the result of `follow`; what is wrong is looked at again, and is wrong if it stays so.

    Raises:
        Unverifiable: a store does not answer, or the same collection cannot be read at any look.
    """
    followed = follow(reference, open_store)
    if not followed.whole:
        # Users may be writing: what comes into two stores is not in both at one moment.
        time.sleep(_AGAIN_SECONDS)
        followed = followed.still(follow(reference, open_store))
    for _ in range(_MADE_LOOKS if followed.unread else 0):
        time.sleep(_MADE_SECONDS)
        followed = followed.still(follow(reference, open_store))
        if not followed.unread:
            break
    for error in followed.unread.values():
        raise error
    return followed


def judge(reference: Reference, followed: Followed, personal: Personal) -> int:
    """Return the number of records of `followed`, if all their names were found: see `require_whole`."""
    if followed.whole:
        return followed.records
    observed = f"{followed.dangling} dangling, {followed.without} records without a name"
    if followed.first:
        observed += f"; first: {', '.join(_shown(reference, followed.first, personal))}"
    raise Mismatch(
        what=f"references of {_text(reference.referencing)}",
        expected=f"each held by {_text(reference.referenced)}",
        observed=observed if followed.records else "no record that holds a name",
        source=f"{followed.records} records",
        hint="restore both from one backup; of one set, a user deleted it while that was taken",
        means=Meaning.DATA_LOSS,
    )


def follow_all(
    references: Mapping[str, Reference], open_store: Callable[[str], StoreView], personal: Personal
) -> Mapping[str, int | Wrong]:
    """Return, by reference name, the number of records for which it holds, or its fault."""
    # One after the other: a view answers one question at a time.
    return ask_all(
        references,
        lambda name: require_whole(references[name], open_store, personal),
        workers=1,
        question="follow",
    )


def _shown(reference: Reference, names: Iterable[Name], personal: Personal) -> list[str]:
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


def _collections(place: Place, view: ReferenceView) -> list[str]:
    """Return the collection that a place names, or all that its pattern matches."""
    if not _is_pattern(place):
        return [place.collection]
    # A name costs less than a count, and one that cannot be counted is in nobody's way.
    there = view.collections() if isinstance(view, CollectionsView) else view.counts()
    return [name for name in there if fnmatchcase(name, place.collection)]


def _is_pattern(place: Place) -> bool:
    return any(sign in place.collection for sign in "*?[")


def _text(place: Place) -> str:
    return f"{place.store}/{place.collection}({', '.join(place.fields)})"


def _view(place: Place, open_store: Callable[[str], StoreView]) -> ReferenceView:
    """Return the view of a place's store; raises `UsageProblem` if its records hold no names."""
    view = open_store(place.store)
    if not isinstance(view, ReferenceView):
        raise UsageProblem(
            what=f"reference at {_text(place)}",
            expected=f"a store whose records hold names: {kinds_that('wrong_place')}",
            observed=view.kind,
            source="the profile",
            hint="take this reference out of the profile",
        )
    return view
