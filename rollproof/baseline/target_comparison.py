"""Comparing a target's stores with a baseline for a person: schemas, records, golden queries and positions.

There is no time window: everything is read in full. Phase 4 adds exact counts, which tell of volatile
collections too, accounts and settings beside the collections, and references between stores. There a store
without recorded data is *broken*, since nothing of it was compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf

from rollproof.baseline.comparison import Comparison, Digests, compare
from rollproof.baseline.demands import capture_hint, changed_demands
from rollproof.baseline.differences import Change, neighbour_differences, schema_changes
from rollproof.baseline.facts import RecordedCollection
from rollproof.baseline.folder import Baseline, recorded_collection
from rollproof.baseline.sampling import SamplePlan
from rollproof.baseline.sight import lost_sight
from rollproof.collection import Json
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Mismatch, Problem
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target
from rollproof.profile.sections import Policy
from rollproof.stores.contract import RecordHash
from rollproof.stores.policy import by_users_of, is_made_by_users, pace_of, policy_of
from rollproof.stores.reader import Reader
from rollproof.stores.registry import ReaderOpener, open_reader
from rollproof.system.side_by_side import Workers, each
from rollproof.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one compared item of a store, with its text.

    `change` is what became of a schema, an object or records that differ; None of anything else. The policy
    `users_policy` lets users do what became of the records.
    """

    store: str
    name: str
    verdict: Verdict
    text: str
    change: Change | None = None
    users_policy: Policy | None = None


DigestsOf = Callable[[str, str, RecordedCollection, Baseline], Digests | None]
"""Returns what reads the digests of a collection of a store elsewhere; None where its reader does."""


def compare_target(
    target: Target,
    engine: ContainerEngine,
    baseline: Baseline,
    *,
    migrated: bool = False,
    digests_of: DigestsOf | None = None,
    open_reader: ReaderOpener = open_reader,
) -> list[Finding]:
    """Return the findings on all of `baseline` that is compared here; stores are read side by side.

    Digests are read by what `digests_of` returns: whoever gives it says that workers have the same `target`.
    With `migrated`, a record that has all its fields of before, and new ones, is not a changed record.
    """
    facts = baseline.facts
    gone = [
        Finding(store, store, Verdict.BROKEN, "in the baseline, and not in the profile any more")
        for store in dict.fromkeys((*facts.stores, *facts.contents))
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
            comparison = _StoreComparison(
                target, engine, baseline, store, digests_of, open_reader, migrated=migrated
            )
            return list(comparison.findings())
        except Problem as problem:
            return [_broken(store, store, problem)]

    found = each(compared, target.stores, workers=len(target.stores), name="comparison").values()
    return [*gone, *(finding for findings in found for finding in findings)]


class _StoreComparison:
    """A store that is compared with its content in the baseline."""

    def __init__(
        self,
        target: Target,
        engine: ContainerEngine,
        baseline: Baseline,
        store: str,
        digests_of: DigestsOf | None,
        open_reader: ReaderOpener,
        *,
        migrated: bool,
    ) -> None:
        self._target, self._engine, self._baseline, self._store = target, engine, baseline, store
        self._migrated, self._digests_of = migrated, digests_of
        self._profile = target.stores[store]
        self._open = partial(open_reader, store, self._profile, engine)
        self._recorded = baseline.facts.contents[store]

    def findings(self) -> Iterator[Finding]:
        """Compare its schemas, then each collection, then positions."""
        recorded = self._recorded
        with self._open() as content:
            schemas = content.schemas()
            lost = lost_sight(content, lambda: schemas, recorded)
            yield from self._of_schemas(schemas, Verdict.BROKEN if lost else Verdict.FAILED)
            for one in lost:
                yield Finding(self._store, "sight", Verdict.BROKEN, f"hidden from its reader: {one}")

            def compared(name: str) -> list[Finding]:
                # Each collection has its own reader: readers share no connection.
                with self._open() as reader:
                    return list(self._of_collection(reader, name, schemas.get(name)))

            # What is gone is said above, and has no records to be read.
            known = self._baseline.facts.compared_in(self._store, self._profile)
            names = [name for name in known if name in schemas or name not in recorded.schemas]
            with Workers(self._profile.load.connections, "comparison") as workers:
                for findings in workers.in_order(compared, names):
                    yield from findings
            try:
                for strayed in content.strayed(recorded.positions):
                    yield Finding(self._store, "positions", Verdict.FAILED, strayed, Change.GONE)
            except (Mismatch, Problem) as problem:
                yield _broken(self._store, "positions", problem)

    def _of_schemas(self, schemas: Mapping[str, Json], wrong: Verdict) -> Iterator[Finding]:
        recorded = self._recorded.schemas
        for name in sorted({*recorded, *schemas}):
            if name not in schemas:
                yield Finding(self._store, name, wrong, "not there any more", Change.GONE)
            elif name in recorded:
                for change, text in schema_changes(recorded[name], schemas[name]):
                    yield Finding(self._store, name, wrong, f"schema: {text}", change)
            elif not is_made_by_users(self._profile, name):
                named = f"not in the baseline; if users make such, name them in {self._store}.made_by_users"
                yield Finding(self._store, name, Verdict.FAILED, named, Change.ADDED)

    def _of_collection(self, reader: Reader, name: str, schema: Json) -> Iterator[Finding]:
        policy, known = policy_of(self._profile, name), descriptor_of(self._profile)
        both = self._recorded.schemas.get(name), schema
        shown = self._target.personal.keys(self._store, known.key_fields, known.place_of(name), *both)
        try:
            recorded = recorded_collection(self._baseline, self._target, self._store, name)
            comparison = self._compare(reader, name, recorded)
            comparison.show_keys(shown)
            wrong = comparison.wrong(policy)
        except (Mismatch, Problem) as problem:
            yield _broken(self._store, name, problem)
        else:
            excluded = f"; not compared: {', '.join(recorded.excluded)}" if recorded.excluded else ""
            apart = f"; {comparison.evidence}" if comparison.evidence else ""
            text = f"{policy}, {comparison.coverage}, differing: {comparison}{excluded}{apart}"
            gone = comparison.missing.count or comparison.changed.count
            change = (Change.GONE if gone else Change.ADDED) if wrong else None
            verdict, users = (Verdict.FAILED, comparison.users_policy) if wrong else (Verdict.PASSED, None)
            yield Finding(self._store, name, verdict, text, change, users)
        if name in self._recorded.collections:
            golden = self._recorded.collections[name].golden
            try:
                for text in neighbour_differences(golden, reader.search_again(name, golden), policy, shown):
                    yield Finding(self._store, name, Verdict.FAILED, text, Change.ALTERED)
            except (Mismatch, Problem) as problem:
                yield _broken(self._store, name, problem)

    def _compare(self, reader: Reader, name: str, recorded: RecordedCollection) -> Comparison:
        by_users = by_users_of(self._profile, name)
        digests = (
            self._digests_of(self._store, name, recorded, self._baseline)
            if self._digests_of and reader.parts_alone
            else None
        )

        def by_users_or_extended(old: RecordHash, new: RecordHash) -> bool:
            extended = old.fields.keys() < new.fields.keys()
            kept = all(new.fields[field] == value for field, value in old.fields.items() if extended)
            return by_users(old, new) or (extended and kept)

        return compare(
            reader,
            name,
            recorded,
            self._baseline.folder / recorded.records,
            SamplePlan(tuple(range(len(recorded.division))), inf),
            pace_of(self._profile),
            by_users_or_extended if self._migrated else by_users,
            digests,
            partial(self._baseline.deletable, self._profile, name),
        )


def _broken(store: str, name: str, problem: Mismatch | Problem) -> Finding:
    return Finding(store, name, Verdict.BROKEN, problem.summary)
