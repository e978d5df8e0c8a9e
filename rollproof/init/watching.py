"""Watching which collections change while people use the application, and the policies that follow."""

from __future__ import annotations

import os.path
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from glob import escape

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem
from rollproof.init.observed import Watched
from rollproof.profile.sections import Policy, StoreProfile
from rollproof.stores.contract import ContentView, Digest, Pace, RecordHash
from rollproof.stores.registry import open_content, open_view
from rollproof.system.side_by_side import Question, wait_for

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
    """A collection at one moment: its count, and its digest and records by key as far as they could be read.

    `records` is None for a collection of more than `RECORDS`.
    """

    count: int
    digest: Digest | None = None
    records: Mapping[str, RecordHash] | None = None


def change_between(before: Seen, now: Seen) -> tuple[Policy | None, str]:
    """Return the policy that fits, None for no change, and the field that was set with every change.

    By its name that field is the time of a change; "" if there is none.
    """
    if before.records is None or now.records is None:
        if now.count != before.count:
            return ("grows" if now.count > before.count else "volatile"), ""
        return ("changes" if before.digest and now.digest and before.digest != now.digest else None), ""
    changed = [
        {name for name, value in new.fields.items() if old.fields.get(name) != value}
        for key, new in now.records.items()
        if (old := before.records.get(key)) and old.hash != new.hash
    ]
    common = set[str].intersection(*changed) if changed else set[str]()
    if before.records.keys() - now.records.keys():
        return "volatile", ""
    if changed:
        return "changes", min((one for one in common if _TIME.search(one)), default="")
    return ("grows" if now.records.keys() - before.records.keys() else None), ""


def made_since(before: Collection[str], now: Collection[str], grown: Collection[str] = ()) -> str:
    """Return a pattern of the collections that an application makes for its users; "" if none is known.

    They begin alike, and some were there before. One that has `grown` and whose name a program has made
    counts as well: it was made a moment before. Where none was made meanwhile, several names that a program
    has made show the same: a watch may be short.
    """
    generated = {name for name in now if _GENERATED.search(name)}
    added = sorted({*now} - {*before} | generated.intersection(grown))
    if not added:
        begun = _beginning(sorted(generated)) if len(generated) > 1 else ""
        return f"{escape(begun)}*" if len(begun) >= _ALIKE else ""
    alike = [_beginning([*added, name]) for name in before]
    begun = min((one for one in alike if len(one) >= _ALIKE), key=len, default=_beginning(added))
    return f"{escape(begun)}*"


def _beginning(names: Collection[str]) -> str:
    return os.path.commonprefix([*names])  # noqa: RUF071 - letters of names, not parts of paths


def watch(
    stores: Mapping[str, StoreProfile],
    engine: ContainerEngine,
    seconds: float,
    show: Callable[[float], None],
) -> Watched:
    """Return what follows from looks at the stores before and after `seconds` of use.

    Ctrl-C ends the watch early, and keeps what was seen. `show` is given the seconds left, every round.
    """
    # To look took a moment; to read all of it takes longer.
    most = max(seconds / 2, _ROUND_SECONDS)
    stores = {name: one.model_copy(update={"deadline_seconds": most}) for name, one in stores.items()}
    began = time.monotonic()
    before = _look(stores, engine, most)
    with suppress(KeyboardInterrupt):
        while (left := began + seconds - time.monotonic()) > 0:
            show(left)
            time.sleep(min(left, _ROUND_SECONDS))
    now = _look(stores, engine, most)
    policies: dict[str, dict[str, Policy]] = {}
    touched: dict[str, dict[str, str]] = {}
    made: dict[str, str] = {}
    # Of a store that did not answer, nothing is known to be new.
    for name in before.keys() & now.keys():
        both = before[name].keys() & now[name].keys()
        changes = {one: change_between(before[name][one], now[name][one]) for one in sorted(both)}
        found = {one: policy for one, (policy, _) in changes.items() if policy is not None}
        policies[name] = {escape(one): policy for one, policy in found.items()}
        touched[name] = {escape(one): field for one, (_, field) in changes.items() if field}
        grown = [one for one, policy in found.items() if policy == "grows"]
        if pattern := made_since(before[name], now[name], grown):
            made[name] = pattern
            policies[name][pattern] = "grows"  # who makes a collection writes to it
    return Watched(policies, touched, made, time.monotonic() - began)


def _look(
    stores: Mapping[str, StoreProfile], engine: ContainerEngine, seconds: float
) -> dict[str, dict[str, Seen]]:
    """Return each collection of each store that answers in time, asked side by side."""
    asked = {
        name: Question(name, lambda name=name, profile=profile: _seen(name, profile, engine))  # type: ignore[misc]
        for name, profile in stores.items()
    }
    for question in asked.values():
        question.start()
    wait_for(asked.values(), seconds)
    found = {}
    for name, question in asked.items():
        with suppress(Problem):
            if not question.waiting:
                found[name] = question.answer()
    return found


def _seen(name: str, profile: StoreProfile, engine: ContainerEngine) -> dict[str, Seen]:
    with open_view(name, profile, engine) as view:
        found = {one: Seen(count) for one, count in view.counts().items()}
    with open_content(name, profile, engine) as content:
        for collection, seen in found.items():
            with suppress(Problem):
                found[collection] = _content(content, collection, seen.count)
    return found


def _content(content: ContentView, collection: str, count: int) -> Seen:
    division = content.divide(collection, _PART)
    parts: Sequence[int] = range(len(division))
    if count > RECORDS:
        digests = (one for _, one in content.digest(collection, division, parts, Pace()))
        return Seen(count, sum(digests, Digest(0, 0)))
    records = {one.key: one for _, one in content.records(collection, division, parts, Pace())}
    return Seen(count, Digest(len(records), sum(one.hash for one in records.values())), records)
