"""The baseline of a target whose data was migrated: what it is compared with before it is rolled back."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rollproof.application.client import ApplicationClient
from rollproof.baseline.facts import Facts, RecordedStore
from rollproof.baseline.folder import BaselineDraft
from rollproof.baseline.known_good import current_baseline
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem
from rollproof.profile.profile import Target
from rollproof.stores.registry import ReaderOpener, open_reader
from rollproof.system.side_by_side import each

if TYPE_CHECKING:
    from httpx2 import BaseTransport


def baseline_of_migrated(
    target: Target,
    engine: ContainerEngine,
    open_reader: ReaderOpener = open_reader,
    transport: BaseTransport | None = None,
) -> Path:
    """Restate the current baseline for the migrated target; return the folder of the new one.

    Another interface, another first page, and other collections, are what a migration is for. The rest stays
    that of the baseline before it. A store that held records holds some, and the canary finds its files and
    gets its answer.

    It lies below the others, and does not become the current one: a rollback goes back to that. What the
    target does not tell stays as it was, so that the checks say so.
    """
    facts = current_baseline(target).facts
    stores = each(
        lambda name: _store(target, engine, name, facts, open_reader),
        [name for name in facts.stores if name in target.stores],
        workers=max(1, len(facts.stores)),
        name="migrated",
    )
    with BaselineDraft(target.folders.baselines / "migrated", target.name) as draft:
        interface = _interface(target, facts, transport)
        changed = replace(facts, interface=interface, page="", page_status=0, stores=stores, contents={})
        return draft.finish(changed, target.baseline_key)


def _interface(target: Target, facts: Facts, transport: BaseTransport | None) -> str:
    if target.application.interface:
        with suppress(Problem):
            return ApplicationClient(target.application, transport).interface_digest()
    return facts.interface


def _store(
    target: Target, engine: ContainerEngine, name: str, facts: Facts, open_reader: ReaderOpener
) -> RecordedStore:
    """Return the store with the collections that it has now, unless it holds nothing any more."""
    before = facts.stores[name]
    with suppress(Problem), open_reader(name, target.stores[name], engine) as view:
        counts = dict(view.counts())
        if any(counts.values()):
            return replace(before, counts=counts)
    return before
