"""The judgement of a target's stores: how what was observed differs from the baseline, by the policies.

It reads and writes nothing: what is observed comes from outside, see `Observed`. Phase 4 has a check for each
method of `Judge`; `compare`, the trial of a restore and a migration's rehearsal call the same methods.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from os.path import commonprefix
from typing import Protocol

from rollproof.baseline.comparison import CollectionComparison
from rollproof.baseline.demands import GRANTS_HINT, capture_hint, changed_demands
from rollproof.baseline.folder import Baseline, recorded_collection, recorded_content_of
from rollproof.collection import Case, Json
from rollproof.errors import Meaning, Mismatch, Problem, Unverifiable, listed
from rollproof.home import typed
from rollproof.judgement.finding import (
    ASPECTS,
    Aspect,
    Change,
    Difference,
    EvidenceTable,
    Finding,
    items_of,
    not_judged,
)
from rollproof.profile.profile import Target
from rollproof.profile.sections import Policy
from rollproof.stores.contract import LOAD_STATE, LOADED, Recall, Unlisted
from rollproof.stores.policy import policy_of, unrecorded
from rollproof.stores.references import Followed, judge, shown_names
from rollproof.system.side_by_side import answer_of
from rollproof.verdict import Verdict

RESTORE = "restore it, or set its policy if it may change"
DROPPED = "it was dropped or renamed: restore it from the backup"
ADDED = (
    "if users make such: name them in stores.{}.made_by_users; if the migration made it, a rollback keeps its"
    " records and removes it"
)
CANARYS = "the canary made it, and the application did not remove it: remove it from the store by this name"
LESS_RECALL = 0.3
"""Of 30 neighbours 9: an index that is built again, as by a compaction, finds some others."""


class Observed(Protocol):
    """What is observed of a target now. Each method raises `Problem` where that could not be observed."""

    def counts(self, store: str) -> Mapping[str, int | Unverifiable]:
        """Return the exact number of records by collection, or the problem with one of them."""

    def schemas(self, store: str) -> Mapping[str, Json]:
        """Return the schemas by name."""

    def hidden(self, store: str) -> Sequence[str]:
        """Return what the reader's account does not see, in words, such as ``triggers of imagedb``."""

    def expired(self, at: Case) -> int:
        """Return how many of a collection's recorded records have expired since."""

    def comparison(self, at: Case) -> CollectionComparison:
        """Return how a collection's records differ from the recorded ones."""

    def recall(self, at: Case) -> Recall | None:
        """Return what searches through a collection's index find; None without vectors."""

    def position_faults(self, store: str) -> Sequence[str]:
        """Return the positions that were lost, moved back or are beyond the end, in words."""

    def unlisted(self, store: str) -> Unlisted | None:
        """Return what the store holds outside of the profile's lists; None if it holds nothing else."""

    def followed(self, reference: str) -> Followed:
        """Return what following a reference of the profile found."""

    def tolerated(self) -> int:
        """Return the number of tolerated names of all references."""


def allows_count(policy: Policy, recorded: int, now: int, may_be_gone: int) -> bool:
    """Return whether a policy allows `now` records where so many were `recorded`, and some may be gone."""
    if not policy.compares_content:
        return True
    return now >= recorded - may_be_gone and (policy.allows_added or now <= recorded)


def judge_reference(name: str, target: Target, observed: Observed) -> Finding:
    """Judge a reference of the profile, for which no baseline is needed.

    The names in one store's records are held by the other, except few that the backup may have cut.
    """
    reference, followed = target.references[name], observed.followed(name)
    item, personal = _Item(reference.referencing.store, name, Aspect.REFERENCE), target.personal
    cut = shown_names(reference, sorted(followed.tolerated), personal)
    notes, table = list[str](), None
    if cut:
        notes.append(f"{name}: {len(cut)} names dangle that moved while the backup was taken: {listed(cut)}")
        rows = tuple((name,) for name in cut)
        table = EvidenceTable("names that the backup may have cut", ("name",), rows)
    try:
        records = judge(reference, followed, personal, observed.tolerated() if cut else 0)
    except Mismatch as wrong:
        return item.found(
            False,
            what=wrong.what,
            expected=str(wrong.expected),
            observed=str(wrong.observed),
            source=wrong.source,
            hint=wrong.hint,
            means=wrong.means,
            differences=(item.difference(Change.GONE, f"reference: {wrong.observed}"),),
            notes=tuple(notes),
            table=table,
        )
    if not records:
        notes.append(f"{name}: no record names anything now")
    return item.found(
        True,
        what=f"reference {name}",
        expected="every name is held by the other store",
        observed=f"{records} records name what is there",
        source="the stores",
        hint="",
        notes=tuple(notes),
        table=table,
    )


class Judge:
    """Judges what is `observed` of a target by its baseline and its profile."""

    def __init__(self, target: Target, baseline: Baseline, observed: Observed) -> None:
        self._target, self._baseline, self._observed = target, baseline, observed

    def count(self, at: Case) -> Finding:
        """The collection holds as many records as before, without expired ones; by `grows`, no fewer."""
        item, policy = _Item(at.store, at.name, Aspect.COUNT), self._policy(at)
        recorded = self._baseline.facts.stores[at.store].counts[at.name]
        deletable = self._baseline.deletable(self._target.stores[at.store], at.name, recorded)
        more_allowed = " or more" if policy.allows_added and policy.compares_content else ""
        expected = f"{recorded - deletable} records{more_allowed}, policy {policy}"
        counts = self._observed.counts(at.store)
        if at.name not in counts:
            return item.found(
                False,
                what=f"collection {at}",
                expected=expected,
                observed="no such collection",
                source=at.store,
                hint=DROPPED,
                means=Meaning.DATA_LOSS,
                differences=(item.difference(Change.GONE, "no such collection"),),
            )
        records = answer_of(counts, at.name)
        more, expired = records - recorded, 0
        holds = allows_count(policy, recorded, records, deletable)
        if not holds and more < 0:
            expired = self._observed.expired(at)
            holds = allows_count(policy, recorded, records, deletable + expired)
        past = f", {expired} expired since" if expired else ""
        observed = f"{records} ({more:+d}{past})"
        emptied = recorded and not records and not policy.compares_content
        return item.found(
            holds,
            what=f"records in {at}",
            expected=expected,
            observed=observed,
            source=f"exact count in {at.store}",
            hint=RESTORE,
            means=Meaning.DATA_LOSS if more < 0 else Meaning.DATA_CHANGED,
            differences=(item.difference(Change.GONE if more < 0 else Change.ADDED, f"records: {observed}"),),
            notes=(f"{at.id}: volatile, and empty now: {recorded} records then",) if emptied else (),
        )

    def unrecorded_collections(self, store: str) -> Finding:
        """The store has no collection that the baseline does not know: a left-over of the migration."""
        now, recorded = self._observed.counts(store), self._baseline.facts.stores[store].counts
        extra, users_own = unrecorded(self._target.stores[store], now, recorded)
        notes = (
            (f"{store}: made by users since the baseline, and not compared: {listed(users_own)}",)
            if users_own
            else ()
        )
        return self._unrecorded(
            store, Aspect.COUNT, f"collections of {store} that the baseline does not know", extra, notes
        )

    def unrecorded_schemas(self, store: str) -> Finding:
        """The store has no view, trigger, alias or the like that the baseline does not know."""
        recorded = recorded_content_of(self._baseline, store).schemas
        extra, _ = unrecorded(self._target.stores[store], self._observed.schemas(store), recorded)
        what = f"what {store} has and the baseline does not know"
        finding = self._unrecorded(store, Aspect.SCHEMA, what, extra, ())
        # Something hidden may be new, too.
        return finding if extra else self._unless_hidden(store, finding)

    def _unrecorded(
        self, store: str, aspect: Aspect, what: str, extra: Sequence[str], notes: tuple[str, ...]
    ) -> Finding:
        canarys = all(map(self._target.application.is_canarys, extra))
        return _Item(store, store, aspect).found(
            not extra,
            what=what,
            expected="none",
            instead=listed(extra),
            source=store,
            hint=CANARYS if canarys else ADDED.format(store),
            means=Meaning.DATA_CHANGED,
            differences=tuple(Difference(name, Change.ADDED, "not in the baseline") for name in extra),
            notes=notes,
        )

    def schema(self, at: Case) -> Finding:
        """The schema, such as columns, indexes, validators and settings, is unchanged."""
        item, schemas = _Item(at.store, at.name, Aspect.SCHEMA), self._observed.schemas(at.store)
        if at.name not in schemas:
            gone = item.found(
                False,
                what=str(at),
                expected="there, as in the baseline",
                observed="none",
                source=at.store,
                hint=DROPPED,
                means=Meaning.DATA_LOSS,
                differences=(item.difference(Change.GONE, "not there any more"),),
            )
            return self._unless_hidden(at.store, gone)
        recorded = self._baseline.facts.contents[at.store].schemas[at.name]
        found = list(schema_differences(recorded, schemas[at.name]))
        finding = item.found(
            not found,
            what=f"schema of {at}",
            expected="the recorded one",
            instead=_counted([text for _, text in found]),
            source=at.store,
            hint="the migration's changes are still there: restore the store, schema and all",
            means=Meaning.DATA_CHANGED,
            differences=tuple(item.difference(change, f"schema: {text}") for change, text in found),
        )
        return self._unless_hidden(at.store, finding) if found else finding

    def sight(self, store: str) -> Finding:
        """The reader's account sees everything that the store would hide silently, such as triggers."""
        hidden = self._observed.hidden(store)
        return _Item(store, store, Aspect.SIGHT).found(
            not hidden,
            what=f"sight of the reader of {store}",
            expected="everything that it saw when the baseline was captured",
            instead=f"hidden from it: {listed(hidden, between='; ')}",
            source=store,
            hint=GRANTS_HINT,
            otherwise=Verdict.BROKEN,
        )

    def _unless_hidden(self, store: str, finding: Finding) -> Finding:
        """Return `finding`, or that on the account's sight if it does not see everything."""
        sight = self.sight(store)
        return finding if sight.verdict is Verdict.PASSED else sight

    def records(self, at: Case) -> Finding:
        """Every record is unchanged; by `grows` more may be there, by `changes` users' own changes too."""
        item, policy = _Item(at.store, at.name, Aspect.RECORDS), self._policy(at)
        recorded = recorded_collection(self._baseline, self._target, at.store, at.name)
        comparison = self._observed.comparison(at)
        rows, notes = tuple(comparison.rows()), list[str]()
        table = EvidenceTable("differences", ("difference", "record", "fields"), rows) if rows else None
        if recorded.excluded:
            notes.append(f"{at.id}: not compared, as the profile says: {', '.join(recorded.excluded)}")
        if not comparison.coverage.whole:
            notes.append(f"{at.id}: {comparison.coverage}")
        if comparison.evidence:
            notes.append(f"{at.id}: {comparison.evidence}")
        if policy.allows_added and comparison.by_people:
            notes.append(f"{at.id}: written since the baseline: {comparison.by_people}")
        if comparison.wrong(policy):
            gone = comparison.missing.count or comparison.changed.count
            change = Change.GONE if gone else Change.ADDED
            return item.found(
                False,
                what=f"records of {at}",
                expected=f"those of the baseline, policy {policy}",
                observed=str(comparison),
                source=str(comparison.coverage),
                hint=CANARYS if comparison.is_canarys else RESTORE,
                means=Meaning.DATA_LOSS if comparison.missing.count else Meaning.DATA_CHANGED,
                differences=(item.difference(change, f"records, policy {policy}: {comparison}"),),
                notes=tuple(notes),
                table=table,
                users_policy=comparison.users_policy,
            )
        least, covered = self._target.limits.coverage_percent, comparison.coverage.percent
        enough = covered >= least
        return item.found(
            enough,
            what=f"records of {at}" if enough else f"compared records of {at}",
            expected=f"those of the baseline, policy {policy}" if enough else f"at least {least:g} %",
            observed=str(comparison) if enough else f"{covered:.3g} %",
            source=str(comparison.coverage),
            hint=f"compare it without a window: {typed('compare BASELINE')}; "
            "or set windows.phase4, stores.NAME.load or limits.coverage_percent in the profile",
            notes=tuple(notes),
            table=table,
            otherwise=Verdict.BROKEN,
        )

    def recall(self, at: Case) -> Finding:
        """Searches through the index find as many of the nearest records as at the capture."""
        item = _Item(at.store, at.name, Aspect.RECALL)
        recorded = self._baseline.facts.contents[at.store].collections[at.name]
        before, now = (one or Recall(0, 0) for one in (recorded.recall, self._observed.recall(at)))
        ways = {"all": (before.unfiltered, now.unfiltered), "some": (before.filtered, now.filtered)}
        less = {way: both for way, both in ways.items() if both[1] < both[0] - LESS_RECALL}
        way, (then, found) = next(iter((less or ways).items()))
        return item.found(
            not less,
            what=f"recall of searches among {way} records of {at}",
            expected=f"{then:.0%} of the nearest as at the capture, or {LESS_RECALL:.0%} less",
            observed=f"{found:.0%}",
            source="a search through the index, next to an exact one",
            hint="not the records, the index: it is damaged, not built yet or has other parameters; "
            "test_collection_content compares the records. Build the index again",
            means=Meaning.DATA_CHANGED,
            differences=(item.difference(Change.ALTERED, f"recall: {then:.0%} before, {found:.0%} now"),),
        )

    def positions(self, store: str) -> Finding:
        """No position, such as a consumer group's offset, was lost, moved back or is beyond the end."""
        item, faults = _Item(store, "positions", Aspect.POSITIONS), self._observed.position_faults(store)
        return item.found(
            not faults,
            what=f"positions of {store}",
            expected="where they were, or further on",
            instead=listed(faults, between="; "),
            source=store,
            hint="who reads on from there would skip or repeat records: restore both together",
            means=Meaning.DATA_CHANGED,
            differences=tuple(item.difference(Change.GONE, fault) for fault in faults),
        )

    def accounts_and_settings(self, store: str) -> Finding:
        """Accounts, grants and settings are unchanged; what is outside of the profile's lists is named."""
        item = _Item(store, "accounts and settings", Aspect.ACCOUNTS)
        recorded = self._baseline.facts.contents[store].unlisted or Unlisted()
        now = self._observed.unlisted(store) or Unlisted()
        notes = tuple(f"{store}: {text}" for text in _not_compared(recorded, now))
        if hidden := sorted(set(now.unread) - set(recorded.unread)):
            return item.found(
                False,
                what=f"what the reader of {store} may read outside of its collections",
                expected="as much as at the capture",
                observed=listed(hidden, between="; "),
                source=store,
                hint="give the account that right back",
                notes=notes,
                otherwise=Verdict.BROKEN,
            )
        found = list(schema_differences(dict(recorded.compared), dict(now.comparable_with(recorded))))
        return item.found(
            not found,
            what=f"accounts and settings of {store}",
            expected="the recorded ones",
            instead=_counted([text for _, text in found]),
            source=store,
            hint="no backup of the collections holds them: put them back by hand, or capture again",
            means=Meaning.DATA_CHANGED,
            differences=tuple(item.difference(change, text) for change, text in found),
            notes=notes,
        )

    def of_store(self, store: str, without: Collection[Aspect] = ()) -> Iterator[Finding]:
        """Yield the finding on each item of a store, except `without` aspects.

        What cannot be judged is broken. An error that ends several judgements is yielded once.
        """
        if store not in self._baseline.facts.contents:
            yield self._unknown(store, "its content in the baseline")
            return
        broken = set[str]()
        for aspect, name, judged in self._judgements(store):
            if aspect in without:
                continue
            finding = _found_by(judged, store, name, aspect)
            if finding.verdict is Verdict.BROKEN and finding.text in broken:
                continue
            if finding.verdict is Verdict.BROKEN:
                broken.add(finding.text)
            yield finding

    def of_references(self, without: Collection[Aspect] = ()) -> Iterator[Finding]:
        """Yield the finding on each reference between stores."""
        relations = items_of(self._target, self._baseline.facts).names("relation")
        for relation in relations if Aspect.REFERENCE not in without else ():
            store = self._target.references[relation].referencing.store
            yield _found_by(
                partial(judge_reference, relation, self._target, self._observed),
                store,
                relation,
                Aspect.REFERENCE,
            )

    def _judgements(self, store: str) -> Iterator[tuple[Aspect, str, Callable[[], Finding]]]:
        """Yield each judgement of a store, with its aspect and the name of its item."""
        items, gone = items_of(self._target, self._baseline.facts), self._gone(store)
        yield Aspect.SIGHT, store, partial(self.sight, store)
        yield Aspect.SCHEMA, store, partial(self.unrecorded_schemas, store)
        yield Aspect.COUNT, store, partial(self.unrecorded_collections, store)
        of_a_collection = {
            "schema": self.schema,
            "collection": self.count,
            "content": self.records,
            "searched": self.recall,
        }
        for parameter, judged in of_a_collection.items():
            for at in items.cases(parameter, store):
                # What is gone has neither records nor an index.
                if parameter not in {"content", "searched"} or at.name not in gone:
                    yield ASPECTS[parameter], at.name, partial(judged, at)
        if store in items["moving_store"]:
            yield Aspect.POSITIONS, "positions", partial(self.positions, store)
        if store in items["shared_store"]:
            yield Aspect.ACCOUNTS, "accounts and settings", partial(self.accounts_and_settings, store)

    def _gone(self, store: str) -> Collection[str]:
        """Return the recorded collections and objects that are not there; none if that is unknown."""
        with suppress(Problem):  # which the judgement of the schemas reports
            return self._baseline.facts.contents[store].schemas.keys() - self._observed.schemas(store).keys()
        return ()

    def of_profile(self) -> Iterator[Finding]:
        """Yield what the profile asks otherwise than at the capture, and the stores that it gave up."""
        facts = self._baseline.facts
        for store in dict.fromkeys((*facts.stores, *facts.contents)):
            if store not in self._target.stores:
                yield self._unknown(store, "a store of the profile, as in the baseline")
        for one in changed_demands(facts, self._target):
            if one.store in self._target.stores:
                yield _Item(one.store, one.store, Aspect.PROFILE).found(
                    False,
                    what=one.what,
                    expected=f"{one.before}, as at the capture",
                    observed=one.now,
                    source="the profile, against the baseline",
                    hint=capture_hint(),
                    otherwise=Verdict.BROKEN,
                )

    def _unknown(self, store: str, expected: str) -> Finding:
        return _Item(store, store, Aspect.PROFILE).found(
            False,
            what=f"store {store}",
            expected=expected,
            observed="none",
            source="profile and baseline",
            hint="put it back into the profile; or, if it is new or the target gave it up, capture again",
            otherwise=Verdict.BROKEN,
        )

    def _policy(self, at: Case) -> Policy:
        return policy_of(self._target.stores[at.store], at.name)


@dataclass(frozen=True, slots=True)
class _Item:
    """What a finding is about."""

    store: str
    name: str
    aspect: Aspect

    def difference(self, change: Change, text: str) -> Difference:
        return Difference(self.name, change, text)

    def found(
        self,
        holds: object,
        *,
        what: str,
        expected: str,
        observed: str | None = None,
        instead: str = "",
        source: str,
        hint: str,
        means: Meaning = Meaning.OTHER,
        differences: tuple[Difference, ...] = (),
        notes: tuple[str, ...] = (),
        table: EvidenceTable | None = None,
        users_policy: Policy | None = None,
        otherwise: Verdict = Verdict.FAILED,
    ) -> Finding:
        """Return the finding: passed if it `holds`, else `otherwise`.

        Without `observed`, what is `expected` was observed if it holds, and `instead` if it does not.
        """
        if observed is None:
            observed = expected if holds else instead
        verdict = Verdict.PASSED if holds else otherwise
        if differences and not holds and table is None:
            table = _differences(differences)
        return Finding(
            self.store,
            self.name,
            self.aspect,
            verdict,
            what,
            expected,
            observed,
            source,
            hint,
            means,
            differences=() if holds else differences,
            notes=notes,
            table=table,
            users_policy=users_policy,
        )


def _found_by(judged: Callable[[], Finding], store: str, name: str, aspect: Aspect) -> Finding:
    """Return the finding of a judgement; that of the error that ended it, if one did."""
    try:
        return judged()
    except (Mismatch, Problem) as wrong:
        return not_judged(store, name, aspect, wrong)


def _differences(differences: Sequence[Difference]) -> EvidenceTable:
    rows = tuple((one.name, one.change.value, one.text) for one in differences)
    return EvidenceTable("differences", ("name", "change", "difference"), rows)


def _counted(differences: Sequence[str]) -> str:
    return f"{len(differences)} differences: {listed(differences, between='; ')}"


def _not_compared(recorded: Unlisted, now: Unlisted) -> Iterator[str]:
    """Yield what a store holds outside of the profile's lists that is not compared, and why."""
    come = sorted(set(now.outside) - set(recorded.outside))
    gone = sorted(set(recorded.outside) - set(now.outside))
    if now.outside or gone:
        outside, came, went = (listed(names) or "nothing" for names in (now.outside, come, gone))
        yield (
            f"outside of the profile, so not verified: {outside};"
            f" come since the capture: {came}; gone: {went}"
        )
    if now.unread:
        yield f"not read, lacking a right: {listed(now.unread, between='; ')}"


_LONGEST = 120
_MOVES = frozenset({"auto_increment", "ordinal_position"})
# So many characters of two long texts are shown before their first difference.
_BEFORE = 20


def schema_differences(recorded: Json, observed: Json, path: str = "") -> Iterator[tuple[Change, str]]:
    """Yield each difference: ``Change.ALTERED, "columns.name.type: expected X, observed Y"``.

    A collection that is loaded is never worse than at the capture, when it may still have been loading.
    """
    if path == LOAD_STATE and observed == LOADED:
        return
    if isinstance(recorded, dict) and isinstance(observed, dict):
        for key in sorted({*recorded, *observed}):
            where = f"{path}.{key}" if path else key
            if key not in observed:
                yield Change.GONE, f"{where}: expected {_text(recorded[key])}, observed none"
            elif key not in recorded:
                yield Change.ADDED, f"{where}: expected none, observed {_text(observed[key])}"
            else:
                yield from schema_differences(recorded[key], observed[key], where)
    elif isinstance(recorded, list) and isinstance(observed, list) and len(recorded) == len(observed):
        for number, (one, other) in enumerate(zip(recorded, observed, strict=True)):
            yield from schema_differences(one, other, f"{path}[{number}]")
    elif type(recorded) is not type(observed) or recorded != observed:
        one, other = repr(recorded), repr(observed)
        start = 0
        if max(len(one), len(other)) > _LONGEST:
            start = max(len(commonprefix((one, other))) - _BEFORE, 0)  # noqa: RUF071 - of characters
        sides = f"expected {_excerpt(one, start)}, observed {_excerpt(other, start)}"
        change = Change.MOVED if path.rpartition(".")[2] in _MOVES else Change.ALTERED
        yield change, f"{path or 'schema'}: {sides}"


def _text(value: Json) -> str:
    return _excerpt(repr(value))


def _excerpt(text: str, start: int = 0) -> str:
    end = start + _LONGEST
    return f"{'…' if start else ''}{text[start:end]}{'…' if len(text) > end else ''}"
