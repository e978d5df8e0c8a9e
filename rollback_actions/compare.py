"""Comparing a target with a baseline for a person: every schema, record, golden query and position, at once.

The same as phase 4 verifies, without a window: whatever it takes is read in full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf

from fixtures.baseline import Baseline
from fixtures.comparison import compare
from fixtures.contents import recorded_collection
from fixtures.engines.engine import ContainerEngine
from fixtures.errors import Mismatch, Problem
from fixtures.neighbours import neighbours_text, same_neighbours
from fixtures.policy import compared_in, policy_of
from fixtures.recorded import RecordedContent
from fixtures.sampling import Plan
from fixtures.schemas import schema_differences
from fixtures.stores.content import ContentView, Json, MovingContent, Neighbours, Pace, SearchableContent
from fixtures.stores.factory import open_content
from fixtures.target import Target
from fixtures.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """What comparing one thing of a store said."""

    store: str
    name: str
    verdict: Verdict
    text: str


def compare_target(target: Target, engine: ContainerEngine, baseline: Baseline) -> list[Finding]:
    """Return a finding for everything that the baseline holds; stores are read side by side."""
    facts = baseline.facts
    recorded = dict.fromkeys((*facts.stores, *facts.contents))
    gone = [
        Finding(store, store, Verdict.BROKEN, "in the baseline, and not in the profile any more")
        for store in recorded
        if store not in target.stores
    ]

    def compared(store: str) -> list[Finding]:
        if store not in facts.contents:
            return [Finding(store, store, Verdict.BROKEN, "its content is not in the baseline")]
        try:
            with open_content(store, target.stores[store], engine) as content:
                return list(_compare_store(target, baseline, facts.contents[store], content))
        except Problem as problem:
            return [_broken(store, store, problem)]

    with ThreadPoolExecutor(max_workers=len(target.stores)) as pool:
        return [*gone, *(finding for found in pool.map(compared, target.stores) for finding in found)]


def _compare_store(
    target: Target, baseline: Baseline, recorded: RecordedContent, content: ContentView
) -> Iterator[Finding]:
    schemas = content.schemas()
    yield from _of_schemas(content.name, recorded.schemas, schemas)
    kind = target.stores[content.name].kind

    def shown(name: str) -> Callable[[str], str]:
        return target.personal.keys(content.name, kind, name, recorded.schemas.get(name), schemas.get(name))

    names = compared_in(baseline.facts, content.name, target.stores[content.name])
    for name in names:
        yield _of_collection(target, baseline, content, name, shown(name))
    for name in names:
        if name in recorded.collections:
            yield from _of_searches(content, name, recorded.collections[name].golden, shown(name))
    yield from _of_positions(content, recorded.positions)


def _of_schemas(store: str, recorded: Mapping[str, Json], now: Mapping[str, Json]) -> Iterator[Finding]:
    for name in sorted({*recorded, *now}):
        if name not in now:
            yield Finding(store, name, Verdict.FAILED, "not there any more")
        elif name not in recorded:
            yield Finding(store, name, Verdict.FAILED, "not in the baseline")
        elif differences := list(schema_differences(recorded[name], now[name])):
            yield Finding(store, name, Verdict.FAILED, f"schema: {'; '.join(differences)}")


def _of_searches(
    content: ContentView, name: str, golden: Sequence[Neighbours], shown: Callable[[str], str]
) -> Iterator[Finding]:
    if not isinstance(content, SearchableContent):
        if golden:
            text = f"golden queries: expected a store of vectors, as in the baseline, observed {content.kind}"
            yield Finding(content.name, name, Verdict.BROKEN, text)
        return
    try:
        for number, before in enumerate(golden):
            now = content.search_again(name, before)
            if not same_neighbours(before, now):
                found = f"{neighbours_text(before, shown)}, now {neighbours_text(now, shown)}"
                text = f"golden query {number + 1}: {found}"
                yield Finding(content.name, name, Verdict.FAILED, text)
    except (Mismatch, Problem) as problem:
        yield _broken(content.name, name, problem)


def _of_positions(content: ContentView, recorded: Mapping[str, Json]) -> Iterator[Finding]:
    if not isinstance(content, MovingContent):
        if recorded:
            text = f"expected a store with positions, as in the baseline, observed {content.kind}"
            yield Finding(content.name, "positions", Verdict.BROKEN, text)
        return
    try:
        for strayed in content.strayed(recorded):
            yield Finding(content.name, "positions", Verdict.FAILED, strayed)
    except (Mismatch, Problem) as problem:
        yield _broken(content.name, "positions", problem)


def _of_collection(
    target: Target, baseline: Baseline, content: ContentView, name: str, shown: Callable[[str], str]
) -> Finding:
    store = content.name
    profile = target.stores[store]
    policy = policy_of(profile, name)
    try:
        recorded = recorded_collection(baseline, target, store, name)
        everything = Plan(tuple(range(len(recorded.division))), inf)
        pace = Pace(connections=profile.load.connections, chunk_seconds=profile.load.chunk_seconds)
        comparison = compare(content, name, recorded, baseline.folder / recorded.records, everything, pace)
        comparison.show_keys(shown)
        verdict = Verdict.FAILED if comparison.wrong(policy) else Verdict.PASSED
    except (Mismatch, Problem) as problem:
        return _broken(store, name, problem)
    excluded = f"; not compared: {', '.join(recorded.excluded)}" if recorded.excluded else ""
    text = f"{policy}, {comparison.coverage}, differing: {comparison}{excluded}"
    return Finding(store, name, verdict, text)


def _broken(store: str, name: str, problem: Mismatch | Problem) -> Finding:
    return Finding(store, name, Verdict.BROKEN, str(problem).splitlines()[0])
