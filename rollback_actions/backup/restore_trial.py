"""The trial of a backup: it is restored into a scratch instance and compared with the baseline."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field

from rollback_actions.backup.scratch import ScratchInstance, require_own_address, scratch_of
from rollback_actions.outside import Outside
from rollproof.backups.sets import BackupSet
from rollproof.baseline.folder import Baseline
from rollproof.baseline.known_good import require_engine
from rollproof.engines.engine import ContainerEngine, open_engine
from rollproof.errors import Mismatch, Problem, Unverifiable
from rollproof.incident.rehearsals import Trial, TrialOfStore, of_problem
from rollproof.judgement.finding import Aspect, Finding
from rollproof.observation.observation import findings_on
from rollproof.observation.store import StoreReading
from rollproof.profile.kinds import descriptor_of, means_of
from rollproof.profile.profile import Target
from rollproof.profile.sections import StoreProfile
from rollproof.profile.store_descriptor import Means
from rollproof.stores.keeper import Restored, StoreKeeper
from rollproof.stores.package import Kept
from rollproof.system.clock import Moment
from rollproof.system.command import Deadline
from rollproof.system.side_by_side import Workers
from rollproof.verdict import Verdict, combine

_FLUSHED = "a rollback flushes it: there is nothing to restore"
_ABSENT = "the backup set does not hold it"
_ELSEWHERE = "its contents are versions that the target's own store keeps, and no scratch instance has"
_CONNECTIONS = 12
# A scratch instance has its own accounts, and one store is compared without those that it refers to.
_NOT_IN_SCRATCH = (Aspect.ACCOUNTS, Aspect.REFERENCE)


def try_backup(target: Target, backup: BackupSet, baseline: Baseline) -> Trial:
    """Restore every store of `backup` into a scratch instance and compare it with `baseline`.

    A failure of one store is that store's verdict; the target itself is only read.

    Raises:
        Mismatch, Problem: there is no scratch instance to try the stores in, or the engine is another one.
    """
    require_engine(target, open_engine(target.engine), baseline)
    limit, began = Deadline(target.premigration.scratch.seconds), Moment.now()
    with scratch_of(target, limit) as scratch, Workers(len(target.stores) + 1, "trial") as workers:
        trials = {
            name: StoreTrial(name, scratch, open_engine(scratch.target.engine), backup, baseline)
            for name in target.stores
        }
        # A store that is restored while stopped is not started here, and no store waits for it.
        started = workers.begin(scratch.start, [name for name in trials if not trials[name].stopped])
        stores = dict(
            zip(trials, workers.in_order(lambda trial: trial.run(started), trials.values()), strict=True)
        )
    return Trial(backup.folder.name, baseline.id, stores, round(began.seconds_ago(), 1))


def findings_on_restored(name: str, reading: StoreReading) -> list[Finding]:
    """Return the findings on the store `name` of a scratch instance, which is all that `reading` reads."""
    findings = [one for one in findings_on(reading, _NOT_IN_SCRATCH) if one.store == name]
    # A version belongs to the collection that it was made in: a copy of its objects has other versions.
    history_of = descriptor_of(reading.target.stores[name]).history_of
    return [finding for finding in findings if history_of(finding.name) is None]


@dataclass(frozen=True, slots=True)
class StoreTrial:
    """The trial of one store."""

    name: str
    scratch: ScratchInstance
    engine: ContainerEngine
    backup: BackupSet
    baseline: Baseline
    outside: Outside = field(default_factory=Outside)

    @property
    def profile(self) -> StoreProfile:
        """The store in the scratch instance."""
        return self.scratch.target.stores[self.name]

    @property
    def stopped(self) -> bool:
        """Whether the store is restored while it is stopped."""
        return self._keeper().stopped

    def run(self, started: Future[None]) -> TrialOfStore:
        """Restore and compare, once the store is `started`; a failure is the result."""
        try:
            if self.name not in self.backup.stores:
                return TrialOfStore(Verdict.FAILED, (_ABSENT,))
            if means_of(self.profile) is Means.VERSIONS:
                copies = f"set {descriptor_of(self.profile).setting_for_copies} for that store in the profile"
                hint = f"{copies}, or waive its restore: premigration.waivers"
                return TrialOfStore(Verdict.BROKEN, (_ELSEWHERE,), hint)
            if self.profile.emptied:
                return TrialOfStore(Verdict.PASSED, (_FLUSHED,))
            if not self.stopped:
                self._await(started)
            return self._try()
        except (Mismatch, Problem) as problem:
            return of_problem(problem)

    def _await(self, started: Future[None]) -> None:
        """Wait until the store runs, even if others that were `started` with it failed."""
        failure: Problem | None = None
        try:
            started.result()
        except Problem as problem:
            failure = problem
        try:
            self.scratch.await_health(self.name)
        except Problem as problem:
            raise failure or problem from None

    def _try(self) -> TrialOfStore:
        require_own_address(self.name, self.profile, self.engine)
        kept = self.backup.stores[self.name]
        began = Moment.now()
        back = self._keeper().restore(self.backup.folder / self.name)
        restored, after = back.records, Moment.now()
        # Where records expire, some are rightly missing: that store's keeper has compared the others.
        if not descriptor_of(self.profile).records_expire:
            _require_all(self.name, kept, back)
        if restored:
            self._require_reader()
        findings = self._compare()
        verdicts = [finding.verdict for finding in findings]
        # If a whole store is volatile, the return of all its records is all that can be checked.
        known = self.baseline.facts.stores.get(self.name)
        all_back = bool(known and known.counts) and any(restored.values()) == any(kept.records.values())
        verdict = combine(verdicts) if verdicts else Verdict.PASSED if all_back else Verdict.BROKEN
        seconds = f"restored in {after.seconds_since(began):.1f} s, compared in {after.seconds_ago():.1f} s"
        compared = f"{verdicts.count(Verdict.PASSED)} of {len(verdicts)} comparisons hold"
        counted = "volatile, counted" if all_back else "nothing to compare"
        said = f"{sum(restored.values()):,} records, {seconds}; {compared if verdicts else counted}"
        if self.scratch.limit.passed:
            raise Mismatch(
                what="restore and comparison",
                expected=f"done within {self.scratch.limit.seconds:g} s",
                observed="later",
                source="premigration.scratch.seconds in the profile",
                hint="see what takes so long; where it has to, give it more time there",
            )
        unpassed = [f for f in findings if f.verdict is not Verdict.PASSED]
        return TrialOfStore(verdict, (said, *(f"{f.verdict}: {f.text}" for f in unpassed)))

    def _compare(self) -> list[Finding]:
        # Nobody else uses a scratch instance: it need not be spared.
        load = self.profile.load
        load = load.model_copy(update={"connections": max(_CONNECTIONS, load.connections)})
        unspared = self.profile.model_copy(update={"load": load})
        target = self.scratch.target.model_copy(update={"stores": {self.name: unspared}})
        return findings_on_restored(self.name, StoreReading(target, self.engine, lambda: self.baseline))

    def _require_reader(self) -> None:
        """Refuse an instance whose store the reader cannot read: the operator does not stand in for it.

        One small question tells: a count of everything may take longer than the deadline of a question.
        """
        try:
            with closing(self.outside.open_reader(self.name, self.profile, self.engine)) as view:
                view.ask()
        except Problem as problem:
            raise Unverifiable(
                what=f"reader of {self.name} in the scratch instance",
                expected="an account that may read it, as at the target",
                observed=problem.observed,
                source=problem.source,
                hint=f"have the store create the account of stores.{self.name}.reader at its first start, by"
                " a script mounted in a file of premigration.scratch.files; or waive "
                f"test_backup_restores[[]{self.name}]: premigration.waivers",
                means=problem.means,
            ) from problem

    def _keeper(self) -> StoreKeeper:
        return self.outside.open_keeper(
            self.name, self.profile, self.engine, self.scratch.control, self.scratch.limit.remaining
        )


def _require_all(name: str, kept: Kept, back: Restored) -> None:
    """Check that every record in the backup was put back; the baseline says nothing of volatile ones."""
    wrong = {
        collection: (count, back.records.get(collection, 0))
        for collection, count in kept.records.items()
        if collection not in back.unsettled and back.records.get(collection, 0) != count
    }
    if wrong:
        texts = [f"{collection}: {was} kept, {now} restored" for collection, (was, now) in wrong.items()]
        raise Mismatch(
            what=f"records of {name} after the restore",
            expected="as many as its backup holds",
            observed="; ".join(texts),
            source="the scratch instance",
            hint="the backup does not hold what it says: take another one",
        )
