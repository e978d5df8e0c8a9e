"""Phase 4, 5-10 min: every collection of every store equals the baseline, by its policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from fixtures.cases import ContentCase, CountCase, GoldenCase, SchemaCase
from fixtures.gating.evidence import CSV, Attach, Expect, Note, keep_differences, table
from fixtures.stores import CountsOf, ExpiredSince, FollowedOf, SchemasOf, ShownKeys, TextsOf
from rollproof.baseline.comparison import Comparison
from rollproof.baseline.differences import neighbours_text, not_compared, same_neighbours, schema_differences
from rollproof.baseline.facts import RecordedContent, RecordedStore
from rollproof.baseline.folder import Baseline
from rollproof.baseline.sight import GRANTS_HINT
from rollproof.errors import Meaning, Unverifiable, listed
from rollproof.home import typed
from rollproof.profile.profile import Target
from rollproof.stores.contract import Beside, Neighbours, Recall
from rollproof.stores.policy import unrecorded
from rollproof.stores.reader import Reader
from rollproof.stores.references import judge, shown_names
from rollproof.system.side_by_side import answer_of

RESTORE = "restore it, or set its policy if it may change"
ADDED = (
    "if users make such: name them in stores.{}.made_by_users; if the migration made it, a rollback keeps its"
    " records and removes it"
)
CANARYS = "the canary made it, and the application did not remove it: remove it from the store by this name"
# Of 30 neighbours 9: an index that is built again, as by a compaction, finds some others.
LESS_RECALL = 0.3
pytestmark = [pytest.mark.verification, pytest.mark.phase4]


def test_collection_count(
    collection: CountCase, live_counts: CountsOf, expired_since: ExpiredSince, expect: Expect, note: Note
) -> None:
    """The collection holds as many records as before, without expired ones; by `grows`, no fewer."""
    counts = live_counts(collection.store)
    expect(collection.name in counts,
           what=f"collection {collection}", means=Meaning.DATA_LOSS,
           expected=collection.expected, observed=counts.get(collection.name, "no such collection"),
           source=collection.store, hint="it was dropped or renamed: restore it from the backup")
    records = answer_of(counts, collection.name)
    if collection.is_emptied(records):
        note(f"{collection.id}: volatile, and empty now: {collection.records} records then")
    more = records - collection.records
    expired = 0 if collection.allows(records) else expired_since(collection)
    past = f", {expired} expired since" if expired else ""
    expect(collection.allows(records, expired),
           what=f"records in {collection}", means=Meaning.DATA_LOSS if more < 0 else Meaning.DATA_CHANGED,
           expected=collection.expected, observed=f"{records} ({more:+d}{past})",
           source=f"exact count in {collection.store}",
           hint=RESTORE)


def test_store_holds_no_unrecorded_collection(
    store: str, recorded_store: RecordedStore, live_counts: CountsOf, target: Target,
    expect: Expect, note: Note,
) -> None:
    """The store has no collection that the baseline does not know: a left-over of the migration."""
    extra, users_own = unrecorded(target.stores[store], live_counts(store), recorded_store.counts)
    if users_own:
        note(f"{store}: made by users since the baseline, and not compared: {listed(users_own)}")
    expect(not extra,
           what=f"collections of {store} that the baseline does not know", means=Meaning.DATA_CHANGED,
           expected="none", instead=listed(extra),
           source=store,
           hint=CANARYS if all(map(target.application.is_canarys, extra))
           else ADDED.format(store))


def test_collection_content(
    content: ContentCase, comparison: Comparison, evidence: Attach, target: Target, expect: Expect, note: Note
) -> None:
    """Every record is unchanged; by `grows` more may be there, by `changes` users' own changes too."""
    if rows := list(comparison.rows()):
        evidence("differences", table(("difference", "record", "fields"), rows), CSV)
    if content.recorded.excluded:
        note(f"{content.id}: not compared, as the profile says: {', '.join(content.recorded.excluded)}")
    if not comparison.coverage.whole:
        note(f"{content.id}: {comparison.coverage}")
    if comparison.evidence:
        note(f"{content.id}: {comparison.evidence}")
    if content.policy != "exact" and comparison.by_people:
        note(f"{content.id}: written since the baseline: {comparison.by_people}")
    expect(not comparison.wrong(content.policy),
           what=f"records of {content}",
           means=Meaning.DATA_LOSS if comparison.missing.count else Meaning.DATA_CHANGED,
           expected=f"those of the baseline, policy {content.policy}", observed=comparison,
           source=comparison.coverage, hint=CANARYS if comparison.is_canarys else RESTORE)
    least, covered = target.limits.coverage_percent, comparison.coverage.percent
    expect(covered >= least,
           what=f"compared records of {content}", otherwise=Unverifiable,
           expected=f"at least {least:g} %", observed=f"{covered:.3g} %",
           source=comparison.coverage,
           hint=f"compare it without a window: {typed('compare BASELINE')}; "
                "or set windows.phase4, stores.NAME.load or limits.coverage_percent in the profile")


def _expect_sight(store: str, lost_sight: TextsOf, expect: Expect) -> None:
    """Expect the account to see everything that it saw at the capture, or nothing of it is verified."""
    lost = lost_sight(store)
    expect(not lost,
           what=f"sight of the reader of {store}", otherwise=Unverifiable,
           expected="everything that it saw when the baseline was captured",
           instead=f"hidden from it: {listed(lost, between='; ')}",
           source=store, hint=GRANTS_HINT)


def test_schema(
    schema: SchemaCase, live_schemas: SchemasOf, lost_sight: TextsOf, expect: Expect, evidence: Attach
) -> None:
    """The schema, such as columns, indexes, validators and settings, is unchanged."""
    schemas = live_schemas(schema.store)
    if schemas.get(schema.name) != schema.recorded:
        _expect_sight(schema.store, lost_sight, expect)
    expect(schema.name in schemas,
           what=str(schema), means=Meaning.DATA_LOSS,
           expected="there, as in the baseline", instead="none",
           source=schema.store, hint="it was dropped or renamed: restore it from the backup")
    found = list(schema_differences(schema.recorded, schemas[schema.name]))
    keep_differences(evidence, found)
    expect(not found,
           what=f"schema of {schema}", means=Meaning.DATA_CHANGED,
           expected="the recorded one", instead=f"{len(found)} differences: {listed(found, between='; ')}",
           source=schema.store,
           hint="the migration's changes are still there: restore the store, schema and all")


def test_store_holds_no_unrecorded_schema(
    store: str, recorded_content: RecordedContent, live_schemas: SchemasOf, lost_sight: TextsOf,
    target: Target, expect: Expect,
) -> None:
    """The store has no view, trigger, alias or the like that the baseline does not know."""
    extra, _ = unrecorded(target.stores[store], live_schemas(store), recorded_content.schemas)
    expect(not extra,
           what=f"what {store} has and the baseline does not know", means=Meaning.DATA_CHANGED,
           expected="nothing", instead=listed(extra),
           source=store,
           hint=CANARYS if all(map(target.application.is_canarys, extra))
           else ADDED.format(store))
    _expect_sight(store, lost_sight, expect)


@pytest.mark.usefixtures("recorded_content")
def test_account_sees_as_much_as_at_the_capture(store: str, lost_sight: TextsOf, expect: Expect) -> None:
    """The account sees everything that the store would hide silently, such as triggers."""
    _expect_sight(store, lost_sight, expect)


def test_golden_queries(
    golden: GoldenCase, golden_answers: Sequence[Neighbours], expect: Expect, shown_keys: ShownKeys
) -> None:
    """Searches for the baseline's vectors find the same neighbours as then."""
    shown = shown_keys(golden)
    for number, (before, now) in enumerate(zip(golden.recorded, golden_answers, strict=True), start=1):
        expect(same_neighbours(before, now, golden.policy),
               what=f"neighbours of golden query {number} in {golden}", means=Meaning.DATA_CHANGED,
               expected=neighbours_text(before, shown), observed=neighbours_text(now, shown),
               source="a search for the recorded vector",
               hint="vectors, metric or index are not those of before: restore the collection")


def test_recall(golden: GoldenCase, recall: Recall | None, expect: Expect) -> None:
    """Searches through the index find as many of the nearest records as at the capture."""
    before, now = (one or Recall(0, 0) for one in (golden.recall, recall))
    for way, recorded, found in (("all", before.unfiltered, now.unfiltered),
                                 ("some", before.filtered, now.filtered)):
        expect(found >= recorded - LESS_RECALL,
               what=f"recall of searches among {way} records of {golden}", means=Meaning.DATA_CHANGED,
               expected=f"{recorded:.0%} of the nearest as at the capture, or {LESS_RECALL:.0%} less",
               observed=f"{found:.0%}",
               source="a search through the index, beside an exact one",
               hint="not the records, the index: it is damaged, not built yet or has other parameters; "
                    "test_collection_content compares the records. Build the index again")


def test_positions(moving_store: str, moving: Reader, baseline: Baseline, expect: Expect) -> None:
    """No position, such as a consumer group's offset, was lost, moved back or is beyond the end."""
    strayed = moving.strayed(baseline.facts.contents[moving_store].positions)
    expect(not strayed,
           what=f"positions of {moving_store}", means=Meaning.DATA_CHANGED,
           expected="where they were, or further on", instead=listed(strayed, between="; "),
           source=moving_store,
           hint="who reads on from there would skip or repeat records: restore both together")


def test_accounts_and_settings(
    shared_store: str, baseline: Baseline, sharing: Reader,
    evidence: Attach, expect: Expect, note: Note,
) -> None:
    """Accounts, grants and settings are unchanged; what is outside of the profile's lists is named."""
    recorded, now = baseline.facts.contents[shared_store].beside or Beside(), sharing.beside() or Beside()
    for text in not_compared(recorded, now):
        note(f"{shared_store}: {text}")
    hidden = sorted(set(now.unread) - set(recorded.unread))
    expect(not hidden,
           what=f"what the reader of {shared_store} may read beside its collections", otherwise=Unverifiable,
           expected="as much as at the capture", instead=listed(hidden, between="; "),
           source=shared_store, hint="give the account that right back")
    found = list(schema_differences(dict(recorded.compared), dict(now.comparable_with(recorded))))
    keep_differences(evidence, found)
    expect(not found,
           what=f"accounts and settings of {shared_store}", means=Meaning.DATA_CHANGED,
           expected="the recorded ones", instead=f"{len(found)} differences: {listed(found, between='; ')}",
           source=shared_store,
           hint="no backup of the collections holds them: put them back by hand, or capture again")


def test_references(
    relation: str, target: Target, followed_of: FollowedOf, tolerated: Callable[[], int],
    evidence: Attach, expect: Expect, note: Note,
) -> None:
    """The names in one store's records are held by the other, but for few that the backup may have cut."""
    reference, followed = target.references[relation], followed_of(relation)
    if cut := shown_names(reference, sorted(followed.tolerated), target.personal):
        note(f"{relation}: {len(cut)} names dangle that moved while the backup was taken: {listed(cut)}")
        evidence("names that the backup may have cut", table(("name",), ((name,) for name in cut)), CSV)
    records = judge(reference, followed, target.personal, tolerated() if cut else 0)
    if reference.may_be_empty and not records:
        note(f"{relation}: no record names anything now")
    expect(records or reference.may_be_empty,
           what=f"reference {relation}", means=Meaning.DATA_LOSS,
           expected="every name is held by the other store", observed=f"{records} records name what is there",
           source="the stores", hint="nothing was compared: see what the profile chooses")


def test_store_was_compared(
    store: str, recorded_store: RecordedStore, recorded_content: RecordedContent,
    evidence: Attach, expect: Expect,
) -> None:
    """The baseline holds records of the store: an empty comparison proves nothing."""
    evidence("blind spots", "\n".join(recorded_content.blind_spots))
    expect(any(recorded_store.counts.values()) and recorded_content.was_read,
           what=f"records of {store} in the baseline", otherwise=Unverifiable,
           expected="at least 1",
           observed=sum(recorded_store.counts.values()) if recorded_content.was_read else 0,
           source="baseline",
           hint="capture a baseline of the store with its data, or take the store out of the profile")
