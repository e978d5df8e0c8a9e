"""What the checks of a migrated target compare it with: itself, where a migration may change it.

Another interface, another first page, and other collections, are what a migration is for. The rest stays that
of the baseline before it: a store that held records holds some, and the canary finds its files and gets its
answer.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from fixtures.application.client import ApplicationClient
from fixtures.baseline.facts import Facts, RecordedStore
from fixtures.baseline.folder import BaselineDraft
from fixtures.baseline.known_good import current_baseline
from fixtures.engines.engine import ContainerEngine
from fixtures.errors import Problem
from fixtures.stores.registry import open_view
from fixtures.system.side_by_side import each
from fixtures.target.profile import Target


def baseline_of_migrated(target: Target, engine: ContainerEngine) -> Path:
    """Restate the current baseline for the migrated target; return the folder of the new one.

    It lies below the others, and does not become the current one: a rollback goes back to that. What the
    target does not tell stays as it was, so that the checks say so.
    """
    facts = current_baseline(target).facts
    stores = each(
        lambda name: _store(target, engine, name, facts),
        [name for name in facts.stores if name in target.stores],
        workers=max(1, len(facts.stores)),
        name="migrated",
    )
    with BaselineDraft(target.folders.baselines / "migrated", target.name) as draft:
        interface = _interface(target, facts)
        changed = replace(facts, interface=interface, page="", stores=stores, contents={})
        return draft.finish(changed, target.baseline_key)


def _interface(target: Target, facts: Facts) -> str:
    if target.application.interface:
        with suppress(Problem):
            return ApplicationClient(target.application).interface_digest()
    return facts.interface


def _store(target: Target, engine: ContainerEngine, name: str, facts: Facts) -> RecordedStore:
    """Return the store with the collections that it has now, unless it holds nothing any more."""
    before = facts.stores[name]
    with suppress(Problem), open_view(name, target.stores[name], engine) as view:
        counts = dict(view.counts())
        if any(counts.values()):
            return replace(before, counts=counts)
    return before
