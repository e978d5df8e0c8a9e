"""Compares the stores with the baseline after a kill: restored ones in full, the others by counts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing

from rollproof.baseline.folder import Baseline
from rollproof.baseline.target_comparison import compare_target
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem
from rollproof.profile.profile import Target
from rollproof.stores.policy import policy_of
from rollproof.stores.registry import open_view
from rollproof.verdict import Verdict


def wrong_stores(target: Target, engine: ContainerEngine, baseline: Baseline, whole: Collection[str]) -> str:
    """Return the stores' differences from `baseline`, "" if there are none.

    The stores in `whole` are compared record by record, as the command `compare` does with every store.
    """
    found = [_wrong_counts(target, engine, baseline, name) for name in target.stores if name not in whole]
    if whole:
        stores = {name: target.stores[name] for name in whole}
        narrowed = target.model_copy(update={"stores": stores})
        found += [
            f"{finding.verdict} {finding.store}/{finding.name}: {finding.text}"
            for finding in compare_target(narrowed, engine, baseline)
            if finding.store in stores and finding.verdict is not Verdict.PASSED
        ]
    return target.redactor().text("; ".join(filter(None, found)))


def _wrong_counts(target: Target, engine: ContainerEngine, baseline: Baseline, name: str) -> str:
    try:
        with closing(open_view(name, target.stores[name], engine)) as view:
            now = view.counts()
    except Problem as problem:
        return f"{name}: {problem.summary}"
    return "; ".join(_differences(target, baseline, name, now))


def _differences(target: Target, baseline: Baseline, name: str, now: Mapping[str, int]) -> Iterator[str]:
    recorded, profile = baseline.facts.stores[name].counts, target.stores[name]
    for collection in sorted({*recorded, *now}):
        before, after = recorded.get(collection), now.get(collection)
        match policy_of(profile, collection):
            case "volatile":
                right = True
            case "grows":
                right = before is not None and after is not None and after >= before
            case "exact":
                right = after == before
        if not right:
            yield f"{name}/{collection}: expected {before} records, observed {after}"
