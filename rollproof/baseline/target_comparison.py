"""Comparing a target's stores with a baseline for a person: schemas, records, golden queries and positions.

There is no time window: everything is read in full. Phase 4 adds exact counts, which tell of volatile
collections too, accounts and settings beside the collections, and references between stores. There a store
without recorded data is *broken*, since nothing of it was compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from rollproof.baseline.comparison import compare
from rollproof.baseline.demands import capture_hint, changed_demands
from rollproof.baseline.differences import Change, neighbour_differences, schema_changes
from rollproof.baseline.facts import RecordedContent
from rollproof.baseline.folder import Baseline, recorded_collection
from rollproof.baseline.sampling import SamplePlan
from rollproof.baseline.sight import lost_sight
from rollproof.collection import Json
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Mismatch, Problem
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target
from rollproof.profile.sections import Policy
from rollproof.stores.contract import (
    ByUsers,
    ContentView,
    MovingContent,
    Neighbours,
    RecordHash,
    SearchableContent,
)
from rollproof.stores.policy import by_users_of, is_made_by_users, pace_of, policy_of
from rollproof.stores.registry import open_content
from rollproof.system.side_by_side import Workers, each
from rollproof.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one compared item of a store, with its text.

    `change` is what became of a schema, an object or records that differ; None of anything else.
    """

    store: str
    name: str
    verdict: Verdict
    text: str
    change: Change | None = None


def compare_target(
    target: Target, engine: ContainerEngine, baseline: Baseline, *, migrated: bool = False
) -> list[Finding]:
    """Return the findings on all of `baseline` that is compared here; stores are read side by side.

    With `migrated`, a record that has all its fields of before, and new ones, is not a changed record.
    """
    facts = baseline.facts
    recorded = dict.fromkeys((*facts.stores, *facts.contents))
    gone = [
        Finding(store, store, Verdict.BROKEN, "in the baseline, and not in the profile any more")
        for store in recorded
        if store not in target.stores
    ]
    gone += [
        Finding(one.store, one.store, Verdict.BROKEN, f"{one}; {capture_hint()}")
        for one in changed_demands(facts, target)
        if one.store in target.stores
    ]

    def compared(store: str) -> list[Finding]:
        if store not in facts.contents:
            return [Finding(store, store, Verdict.BROKEN, "its content is not in the baseline")]
        try:
            with open_content(store, target.stores[store], engine) as content:
                recorded = facts.contents[store]
                return list(_compare_store(target, engine, baseline, recorded, content, migrated=migrated))
        except Problem as problem:
            return [_broken(store, store, problem)]

    found = each(compared, target.stores, workers=len(target.stores), name="comparison").values()
    return [*gone, *(finding for findings in found for finding in findings)]


def _compare_store(
    target: Target,
    engine: ContainerEngine,
    baseline: Baseline,
    recorded: RecordedContent,
    content: ContentView,
    *,
    migrated: bool,
) -> Iterator[Finding]:
    profile = target.stores[content.name]
    schemas = content.schemas()
    lost = lost_sight(content, lambda: schemas, recorded)
    known_now = {
        name: schema
        for name, schema in schemas.items()
        if name in recorded.schemas or not is_made_by_users(profile, name)
    }
    yield from _of_schemas(content.name, recorded.schemas, known_now, seen=not lost)
    yield from (
        Finding(content.name, "sight", Verdict.BROKEN, f"hidden from its reader: {one}") for one in lost
    )
    known = descriptor_of(profile)

    def shown(name: str) -> Callable[[str], str]:
        both = recorded.schemas.get(name), schemas.get(name)
        return target.personal.keys(content.name, known.key_fields, known.place_of(name), *both)

    def compared(name: str) -> list[Finding]:
        # Each collection has its own reader: readers share no connection.
        with open_content(content.name, profile, engine) as reader:
            found = [_of_collection(target, baseline, reader, name, shown(name), migrated=migrated)]
            if name in recorded.collections:
                golden = recorded.collections[name].golden
                found += _of_searches(reader, name, golden, policy_of(profile, name), shown(name))
        return found

    # What is gone is said above, and has no records to be read.
    known_before = baseline.facts.compared_in(content.name, profile)
    names = [name for name in known_before if name in schemas or name not in recorded.schemas]
    with Workers(profile.load.connections, "comparison") as workers:
        for findings in workers.in_order(compared, names):
            yield from findings
    yield from _of_positions(content, recorded)


def _of_schemas(
    store: str, recorded: Mapping[str, Json], now: Mapping[str, Json], *, seen: bool
) -> Iterator[Finding]:
    wrong = Verdict.FAILED if seen else Verdict.BROKEN
    for name in sorted({*recorded, *now}):
        if name not in now:
            yield Finding(store, name, wrong, "not there any more", Change.GONE)
        elif name not in recorded:
            yield Finding(store, name, Verdict.FAILED, "not in the baseline", Change.ADDED)
        else:
            for change, text in schema_changes(recorded[name], now[name]):
                yield Finding(store, name, wrong, f"schema: {text}", change)


def _of_searches(
    content: ContentView,
    name: str,
    golden: Sequence[Neighbours],
    policy: Policy,
    shown: Callable[[str], str],
) -> Iterator[Finding]:
    if not isinstance(content, SearchableContent):
        return
    try:
        again = content.search_again(name, golden)
        for text in neighbour_differences(golden, again, policy, shown):
            yield Finding(content.name, name, Verdict.FAILED, text, Change.ALTERED)
    except (Mismatch, Problem) as problem:
        yield _broken(content.name, name, problem)


def _of_positions(content: ContentView, recorded: RecordedContent) -> Iterator[Finding]:
    if not isinstance(content, MovingContent):
        return
    try:
        for strayed in content.strayed(recorded.positions):
            yield Finding(content.name, "positions", Verdict.FAILED, strayed, Change.GONE)
    except (Mismatch, Problem) as problem:
        yield _broken(content.name, "positions", problem)


def _of_collection(
    target: Target,
    baseline: Baseline,
    content: ContentView,
    name: str,
    shown: Callable[[str], str],
    *,
    migrated: bool,
) -> Finding:
    store = content.name
    profile = target.stores[store]
    policy = policy_of(profile, name)
    try:
        recorded = recorded_collection(baseline, target, store, name)
        records = baseline.folder / recorded.records
        everything = SamplePlan(tuple(range(len(recorded.division))), inf)
        by_users = by_users_of(profile, name)
        if migrated:
            by_users = _by_users_or_extended(by_users)
        comparison = compare(content, name, recorded, records, everything, pace_of(profile), by_users)
        comparison.show_keys(shown)
        wrong = comparison.wrong(policy)
    except (Mismatch, Problem) as problem:
        return _broken(store, name, problem)
    excluded = f"; not compared: {', '.join(recorded.excluded)}" if recorded.excluded else ""
    text = f"{policy}, {comparison.coverage}, differing: {comparison}{excluded}"
    if not wrong:
        return Finding(store, name, Verdict.PASSED, text)
    gone = comparison.missing.count or comparison.changed.count
    return Finding(store, name, Verdict.FAILED, text, Change.GONE if gone else Change.ADDED)


def _by_users_or_extended(by_users: ByUsers) -> ByUsers:
    def tells(old: RecordHash, new: RecordHash) -> bool:
        extended = old.fields.keys() < new.fields.keys()
        kept = all(new.fields[name] == value for name, value in old.fields.items() if extended)
        return by_users(old, new) or (extended and kept)

    return tells


def _broken(store: str, name: str, problem: Mismatch | Problem) -> Finding:
    return Finding(store, name, Verdict.BROKEN, problem.summary)
