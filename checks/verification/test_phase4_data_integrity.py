"""Phase 4, 5-10 min: every collection of every store equals the baseline, by its policy.

What each check expects stands in `rollproof.judgement.judge`: `compare` and the trial of a restore expect the
same.
"""

from __future__ import annotations

import pytest

from fixtures.gating.evidence import Attach, Expect
from fixtures.stores import Verify
from rollproof.baseline.facts import RecordedContent, RecordedStore
from rollproof.collection import Case
from rollproof.errors import Unverifiable
from rollproof.judgement.judge import Judge, Observed, judge_reference
from rollproof.profile.profile import Target

pytestmark = [pytest.mark.verification, pytest.mark.phase4]


def test_collection_count(collection: Case, judge: Judge, verify: Verify) -> None:
    """The collection holds as many records as before, without expired ones; by `grows`, no fewer."""
    verify(judge.count(collection))


@pytest.mark.usefixtures("recorded_store")
def test_store_holds_no_unrecorded_collection(store: str, judge: Judge, verify: Verify) -> None:
    """The store has no collection that the baseline does not know: a left-over of the migration."""
    verify(judge.unrecorded_collections(store))


def test_collection_content(content: Case, judge: Judge, verify: Verify) -> None:
    """Every record is unchanged; by `grows` more may be there, by `changes` users' own changes too."""
    verify(judge.records(content))


def test_schema(schema: Case, judge: Judge, verify: Verify) -> None:
    """The schema, such as columns, indexes, validators and settings, is unchanged."""
    verify(judge.schema(schema))


@pytest.mark.usefixtures("recorded_content")
def test_store_holds_no_unrecorded_schema(store: str, judge: Judge, verify: Verify) -> None:
    """The store has no view, trigger, alias or the like that the baseline does not know."""
    verify(judge.unrecorded_schemas(store))


@pytest.mark.usefixtures("recorded_content")
def test_account_sees_as_much_as_at_the_capture(store: str, judge: Judge, verify: Verify) -> None:
    """The account sees everything that the store would hide silently, such as triggers."""
    verify(judge.sight(store))


def test_recall(searched: Case, judge: Judge, verify: Verify) -> None:
    """Searches through the index find as many of the nearest records as at the capture."""
    verify(judge.recall(searched))


def test_positions(moving_store: str, judge: Judge, verify: Verify) -> None:
    """No position, such as a consumer group's offset, was lost, moved back or is beyond the end."""
    verify(judge.positions(moving_store))


def test_accounts_and_settings(shared_store: str, judge: Judge, verify: Verify) -> None:
    """Accounts, grants and settings are unchanged; what is outside of the profile's lists is named."""
    verify(judge.accounts_and_settings(shared_store))


def test_references(relation: str, target: Target, observed: Observed, verify: Verify) -> None:
    """The names in one store's records are held by the other, except few that the backup may have cut."""
    verify(judge_reference(relation, target, observed))


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
