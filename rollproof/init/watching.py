"""Watching which collections change while people use the application, and the policies that follow."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from glob import escape
from itertools import pairwise
from typing import TypeVar

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem
from rollproof.init.observed import Watched
from rollproof.profile.sections import Policy, StoreProfile
from rollproof.stores.contract import ContentView, Digest, Pace, RecordHash
from rollproof.stores.registry import open_content, open_view
from rollproof.system.side_by_side import Question, wait_for

_Value = TypeVar("_Value", bound=str)
_ROUND_SECONDS = 5.0
_PART = 50_000
RECORDS = 20_000
"""Of a collection with no more, each record is looked at: memory is bounded by it."""
_TIME = re.compile(r"(?i)modif|updat|chang|touch|version|_at$|time")
# Characters that names of one purpose have in common at least.
_ALIKE = 3
# A UUID in a name: a program has made it, for somebody.
_GENERATED = re.compile(r"(?i)[0-9a-f]{8}([_-]?[0-9a-f]{4}){3}[_-]?[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Seen:
    """A collection at one moment: its count, and of a look at its content the digest and records by key.

    `records` is None for a collection of more than `RECORDS`.
    """

    count: int
    digest: Digest | None = None
    records: Mapping[str, RecordHash] | None = None


@dataclass(slots=True)
class Trail:
    """One collection as it was seen, in order."""

    seen: list[Seen] = field(default_factory=list)

    @property
    def policy(self) -> Policy | None:
        """The policy that fits; None for a collection that did not change."""
        counts = [one.count for one in self.seen]
        steps = list(pairwise(counts))
        before, now = self._contents
        if any(later < earlier for earlier, later in steps) or (before.keys() - now.keys()):
            return "volatile"
        if self._changed:
            return "changes"
        if any(later > earlier for earlier, later in steps) or (now.keys() - before.keys()):
            return "grows"
        digests = [one.digest for one in self.seen if one.digest is not None]
        return "changes" if digests and digests[0] != digests[-1] else None

    @property
    def touched(self) -> str:
        """The field that was set with every change, by its name the time of it; "" if there is none."""
        changed = self._changed
        common = set[str].intersection(*changed) if changed else set[str]()
        return min((one for one in common if _TIME.search(one)), default="")

    @property
    def _contents(self) -> tuple[Mapping[str, RecordHash], Mapping[str, RecordHash]]:
        """The records at the first look at the content, and at the last; none without two looks."""
        found = [one.records for one in self.seen if one.digest is not None]
        first, last = (found[0], found[-1]) if len(found) > 1 else (None, None)
        return ({}, {}) if first is None or last is None else (first, last)

    @property
    def _changed(self) -> list[set[str]]:
        """For each record that is another one now: the fields that differ."""
        before, now = self._contents
        pairs = ((before[key], now[key]) for key in before.keys() & now.keys())
        return [
            {name for name, value in new.fields.items() if old.fields.get(name) != value}
            for old, new in pairs
            if old.hash != new.hash
        ]


def made_since(before: Collection[str], now: Collection[str], grown: Collection[str] = ()) -> str:
    """Return a pattern of the collections that an application makes for its users; "" if none is known.

    They begin alike, and some were there before. One that has `grown` and whose name a program has made
    counts as well: it was made a moment before. Where none was made meanwhile, several names that a program
    has made tell the same: a watch may be short.
    """
    generated = {name for name in now if _GENERATED.search(name)}
    added = sorted({*now} - {*before} | generated.intersection(grown))
    if not added:
        begun = _beginning(sorted(generated)) if len(generated) > 1 else ""
        return f"{escape(begun)}*" if len(begun) >= _ALIKE else ""
    alike = [_beginning([*added, name]) for name in before]
    begun = min((one for one in alike if len(one) >= _ALIKE), key=len, default=_beginning(added))
    return f"{escape(begun)}*"


def _beginning(names: Sequence[str]) -> str:
    """Return what all `names` begin with."""
    first, last = min(names), max(names)
    length = next((at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), None)
    return first[:length]


def policies(trails: Mapping[str, Trail]) -> dict[str, Policy]:
    """Return the policy of each collection that changed."""
    return {name: found for name, trail in sorted(trails.items()) if (found := trail.policy) is not None}


def watch(
    stores: Mapping[str, StoreProfile],
    engine: ContainerEngine,
    seconds: float,
    tell: Callable[[float], None],
) -> Watched:
    """Return what follows from `seconds` of watching.

    Ctrl-C ends the watch early, and keeps what was seen. `tell` is given the seconds left, every round.
    """
    # To look took a moment; to read all of it takes longer.
    stores = {
        name: one.model_copy(update={"deadline_seconds": max(seconds, _ROUND_SECONDS)})
        for name, one in stores.items()
    }
    trails: dict[str, dict[str, Trail]] = {name: {} for name in stores}
    began = time.monotonic()
    before: dict[str, list[str]] = {}
    with suppress(KeyboardInterrupt):
        _round(stores, engine, trails, digests=True, seconds=max(seconds / 2, _ROUND_SECONDS))
        # Of a store that did not answer, nothing is known to be new.
        before = {name: [*seen] for name, seen in trails.items() if seen}
        while (left := began + seconds - time.monotonic()) > 0:
            tell(left)
            time.sleep(min(left, _ROUND_SECONDS))
            _round(stores, engine, trails, digests=False, seconds=_ROUND_SECONDS)
        _round(stores, engine, trails, digests=True, seconds=max(seconds / 2, _ROUND_SECONDS))
    found = {name: policies(seen) for name, seen in trails.items()}
    made = {}
    for name, names in before.items():
        grown = [one for one, policy in found[name].items() if policy == "grows"]
        if pattern := made_since(names, trails[name], grown):
            made[name] = pattern
    patterns: dict[str, dict[str, Policy]] = {
        name: {escape(one): policy for one, policy in seen.items()} for name, seen in found.items()
    }
    for name, pattern in made.items():
        patterns[name][pattern] = "grows"  # who makes a collection writes to it
    touched = {
        name: {
            escape(one): field_set
            for one, trail in seen.items()
            if found[name].get(one) == "changes" and (field_set := trail.touched)
        }
        for name, seen in trails.items()
    }
    return Watched(_not_empty(patterns), _not_empty(touched), made, time.monotonic() - began)


def _not_empty(found: Mapping[str, dict[str, _Value]]) -> dict[str, Mapping[str, _Value]]:
    return {name: seen for name, seen in found.items() if seen}


def _round(
    stores: Mapping[str, StoreProfile],
    engine: ContainerEngine,
    trails: dict[str, dict[str, Trail]],
    *,
    digests: bool,
    seconds: float,
) -> None:
    """Look at every store once, side by side; one that does not answer in time is left out of the round."""
    asked = {
        name: Question(name, lambda name=name, profile=profile: _seen(name, profile, engine, digests))  # type: ignore[misc]
        for name, profile in stores.items()
    }
    for question in asked.values():
        question.start()
    wait_for(asked.values(), seconds)
    for name, question in asked.items():
        if question.waiting:
            continue
        with suppress(Problem):
            for collection, seen in question.answer().items():
                trails[name].setdefault(collection, Trail()).seen.append(seen)


def _seen(
    name: str,
    profile: StoreProfile,
    engine: ContainerEngine,
    digests: bool,  # noqa: FBT001
) -> dict[str, Seen]:
    """Return each collection's count and, if asked for, its content, as far as it can be read."""
    with open_view(name, profile, engine) as view:
        counts = view.counts()
    found = {one: Seen(count) for one, count in counts.items()}
    if digests:
        with open_content(name, profile, engine) as content:
            for collection, count in counts.items():
                with suppress(Problem):
                    found[collection] = _content(content, collection, count)
    return found


def _content(content: ContentView, collection: str, count: int) -> Seen:
    division = content.divide(collection, _PART)
    parts = range(len(division))
    if count > RECORDS:
        return Seen(
            count, sum((one for _, one in content.digest(collection, division, parts, Pace())), Digest(0, 0))
        )
    records = {one.key: one for _, one in content.records(collection, division, parts, Pace())}
    return Seen(count, Digest(len(records), sum(one.hash for one in records.values())), records)
