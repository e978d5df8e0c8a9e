"""What a migration did to a target: its stores compared with the baseline from before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rollproof.application.client import ApplicationClient
from rollproof.baseline.facts import Facts, RecordedStore
from rollproof.baseline.folder import Baseline, BaselineDraft
from rollproof.baseline.known_good import current_baseline
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem
from rollproof.judgement.finding import Aspect, Change
from rollproof.observation.observation import findings_on
from rollproof.observation.store import StoreReading
from rollproof.profile.profile import Target
from rollproof.stores.registry import ReaderOpener, open_reader
from rollproof.system.side_by_side import each
from rollproof.verdict import Verdict

if TYPE_CHECKING:
    from httpx2 import BaseTransport


_MOST = 100
_ALEMBICS = ".alembic_version"


@dataclass(frozen=True, slots=True)
class Effects:
    """The differences of a migrated target from before, a text each.

    `lost` are objects, parts of definitions and records that are gone, or hold another value. `altered` are
    definitions that differ, such as types; `noted` is what came or moved. `unknown` could not be compared.
    """

    lost: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Failed if something is lost or altered, broken if not all could be compared."""
        if self.lost or self.altered:
            return Verdict.FAILED
        return Verdict.BROKEN if self.unknown else Verdict.PASSED

    @property
    def summary(self) -> str:
        """The number of each kind: ``1 lost, 0 altered, 2 noted, 0 not compared``."""
        counts = (len(self.lost), len(self.altered), len(self.noted), len(self.unknown))
        kinds = ("lost", "altered", "noted", "not compared")
        return ", ".join(f"{count} {kind}" for count, kind in zip(counts, kinds, strict=True))


def effects_of(
    target: Target,
    engine: ContainerEngine,
    baseline_of: Callable[[Target], Baseline] = current_baseline,
    open_reader: ReaderOpener = open_reader,
) -> Effects:
    """Compare every store of `target`, which was migrated, with its current baseline.

    A table with alembic's revision is left out: each migration writes another revision into it.
    """
    try:
        before = baseline_of(target)
        reading = StoreReading(target, engine, lambda: before, migrated=True, open_reader=open_reader)
        # The records say more than their number.
        findings = findings_on(reading, {Aspect.COUNT})
    except Problem as problem:
        return Effects(unknown=(problem.summary,))
    own = {(one.store, one.table) for one in target.application.migrations.values()}

    def texts(*changes: Change) -> tuple[str, ...]:
        return _first(
            f"{finding.store}: {one.name}: {one.text}"
            for finding in findings
            for one in finding.differences
            if one.change in changes and not is_own(finding.store, one.name)
        )

    def is_own(store: str, name: str) -> bool:
        return (store, name) in own or name.endswith(_ALEMBICS)

    return Effects(
        lost=texts(Change.GONE),
        altered=texts(Change.ALTERED),
        noted=texts(Change.ADDED, Change.MOVED),
        unknown=_first(
            f"{finding.store}: {finding.text}"
            for finding in findings
            if finding.verdict is Verdict.BROKEN and not is_own(finding.store, finding.name)
        ),
    )


def _first(every: Iterable[str]) -> tuple[str, ...]:
    texts = list(dict.fromkeys(every))
    more = [f"and {len(texts) - _MOST} more"] if len(texts) > _MOST else []
    return (*texts[:_MOST], *more)


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
