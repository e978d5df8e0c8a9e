"""The judgement of stores, on values: red for each way to be wrong, green for what the policies allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rollproof.baseline.comparison import CollectionComparison, Keys
from rollproof.baseline.facts import RecordedCollection, RecordedContent, RecordedStore
from rollproof.baseline.folder import Baseline
from rollproof.baseline.recording import Coverage
from rollproof.collection import Case, Json
from rollproof.errors import Meaning, Unverifiable
from rollproof.judgement.finding import Aspect, Change, Finding
from rollproof.judgement.judge import Judge, judge_reference
from rollproof.profile.profile import Target, load_target
from rollproof.profile.sections import NamePlace, Reference
from rollproof.stores.contract import Digest, Recall, Unlisted
from rollproof.stores.references import MOST_TOLERATED, Followed
from rollproof.verdict import Verdict
from tests.conftest import write_profile
from tests.world.baseline import FACTS

AT = Case("redis", "users")
WHOLE = Coverage(parts=2, covered=2, records=10)
HIDDEN = "triggers of shop, lacking TRIGGER"


@dataclass
class Seen:
    """What was observed, as values."""

    counted: Mapping[str, int | Unverifiable] = field(default_factory=lambda: {"users": 100})
    described: Mapping[str, Json] = field(default_factory=lambda: {"users": {"type": "int"}})
    invisible: Sequence[str] = ()
    past: int = 0
    compared: CollectionComparison = field(default_factory=lambda: CollectionComparison(WHOLE))
    found: Recall | None = None
    faults: Sequence[str] = ()
    others: Unlisted | None = None
    reference: Followed = field(default_factory=lambda: Followed(9, 0, 0, ()))
    names: int = 0

    def counts(self, store: str) -> Mapping[str, int | Unverifiable]:
        return self.counted

    def schemas(self, store: str) -> Mapping[str, Json]:
        return self.described

    def hidden(self, store: str) -> Sequence[str]:
        return self.invisible

    def expired(self, at: Case) -> int:
        return self.past

    def comparison(self, at: Case) -> CollectionComparison:
        return self.compared

    def recall(self, at: Case) -> Recall | None:
        return self.found

    def position_faults(self, store: str) -> Sequence[str]:
        return self.faults

    def unlisted(self, store: str) -> Unlisted | None:
        return self.others

    def followed(self, reference: str) -> Followed:
        return self.reference

    def tolerated(self) -> int:
        return self.names


def judge(
    folder: Path,
    seen: Seen,
    more: str = "",
    recall: Recall | None = None,
    unlisted: Unlisted | None = None,
) -> Judge:
    """Return what judges `seen` by a baseline of 100 users; `more` is more of the store's section."""
    collection = RecordedCollection(("",), (Digest(10, 1),), "records/x", (), 1.0, ((1.0,),), recall)
    content = RecordedContent(
        {"users": {"type": "int"}}, {"users": collection}, {"g": 1}, (), unlisted=unlisted
    )
    facts = replace(
        FACTS,
        stores={"redis": RecordedStore("redis", "server", {"users": 100})},
        contents={"redis": content},
        demands={},
    )
    baseline = Baseline(folder, "sandbox", datetime.now(UTC).isoformat(), facts)
    target = load_target(write_profile(folder, more))
    return Judge(target, baseline, seen)


def policy(name: str) -> str:
    return f'policy = {{users = "{name}"}}\n'


@pytest.mark.parametrize(
    ("name", "counts", "expired", "means", "observed"),
    [
        ("exact", {"users": 100}, 0, None, "100 (+0)"),
        ("exact", {"users": 97}, 3, None, "97 (-3, 3 expired since)"),
        ("exact", {"users": 98}, 3, None, "98 (-2, 3 expired since)"),
        ("exact", {"users": 96}, 3, Meaning.DATA_LOSS, "96 (-4, 3 expired since)"),
        ("exact", {"users": 101}, 3, Meaning.DATA_CHANGED, "101 (+1)"),
        ("grows", {"users": 101}, 0, None, "101 (+1)"),
        ("grows", {"users": 97}, 3, None, "97 (-3, 3 expired since)"),
        ("grows", {"users": 99}, 0, Meaning.DATA_LOSS, "99 (-1)"),
        ("grows", {}, 0, Meaning.DATA_LOSS, "no such collection"),
        ("volatile", {"users": 3}, 0, None, "3 (-97)"),
        ("volatile", {}, 0, Meaning.DATA_LOSS, "no such collection"),
    ],
)
def test_a_count_is_judged_by_the_policy(
    tmp_path: Path, name: str, counts: Mapping[str, int], expired: int, means: Meaning | None, observed: str
) -> None:
    found = judge(tmp_path, Seen(counts, past=expired), policy(name)).count(AT)
    assert (found.verdict is Verdict.PASSED) is (means is None)
    assert found.observed == observed
    assert f"policy {name}" in found.expected
    if means is not None:
        assert found.means is means


@pytest.mark.parametrize(("most", "verdict"), [(1, Verdict.PASSED), (30, Verdict.FAILED)])
def test_users_may_have_deleted_few_records(tmp_path: Path, most: int, verdict: Verdict) -> None:
    seen = Seen({"users": 100 - most})
    assert judge(tmp_path, seen, policy("deletes") + "deletions = {users = 2}\n").count(AT).verdict is verdict


def test_a_volatile_collection_that_is_empty_is_noted(tmp_path: Path) -> None:
    found = judge(tmp_path, Seen({"users": 0}), policy("volatile")).count(AT)
    assert (found.verdict, found.notes) == (
        Verdict.PASSED,
        ("redis/users: volatile, and empty now: 100 records then",),
    )


@pytest.mark.parametrize(
    ("coverage", "missing", "verdict", "observed"),
    [
        (WHOLE, 0, Verdict.PASSED, "nothing"),
        (Coverage(2, 1, 10, unseen=5), 0, Verdict.PASSED, "nothing"),
        (Coverage(1000, 1, 1_000_000, unseen=999_000), 0, Verdict.BROKEN, "0.1 %"),
        # Many small parts are not many records.
        (Coverage(100, 99, 100_000, unseen=99_000), 0, Verdict.BROKEN, "1 %"),
        (Coverage(2, 1, 0), 0, Verdict.BROKEN, "0 %"),
        # What differs is wrong, however little was compared.
        (Coverage(1000, 1, 1_000_000, unseen=999_000), 1, Verdict.FAILED, "1 missing, 0 added, 0 changed"),
    ],
)
def test_records_of_which_too_little_was_compared_are_not_verified(
    tmp_path: Path, coverage: Coverage, missing: int, verdict: Verdict, observed: str
) -> None:
    seen = Seen(compared=CollectionComparison(coverage, missing=Keys(missing)))
    found = judge(tmp_path, seen).records(AT)
    assert (found.verdict, found.observed.partition(" (")[0]) == (verdict, observed)
    assert (len(found.notes) == 1) is not coverage.whole


def test_a_profile_says_what_coverage_is_enough(tmp_path: Path) -> None:
    seen = Seen(compared=CollectionComparison(Coverage(1000, 1, 1_000_000, unseen=999_000)))
    more = "\n[limits]\ncoverage_percent = 0.1\n"
    assert judge(tmp_path, seen, more).records(AT).verdict is Verdict.PASSED


def test_the_records_that_differ_are_a_table(tmp_path: Path) -> None:
    compared = CollectionComparison(WHOLE)
    compared.changed.add("k1", "mail")
    found = judge(tmp_path, Seen(compared=compared)).records(AT)
    assert found.table is not None
    assert found.table.rows == (("changed", "k1", "mail"),)
    assert (found.means, found.users_policy) == (Meaning.DATA_CHANGED, "changes")


@pytest.mark.parametrize(
    ("described", "invisible", "verdict", "change"),
    [
        ({"users": {"type": "int"}}, [], Verdict.PASSED, None),
        # An account that sees less than it should finds the same schema all the same.
        ({"users": {"type": "int"}}, [HIDDEN], Verdict.PASSED, None),
        ({"users": {"type": "text"}}, [], Verdict.FAILED, Change.ALTERED),
        ({}, [], Verdict.FAILED, Change.GONE),
        # A trigger that is not shown may be there.
        ({}, [HIDDEN], Verdict.BROKEN, None),
    ],
)
def test_a_schema(
    tmp_path: Path,
    described: Mapping[str, Json],
    invisible: Sequence[str],
    verdict: Verdict,
    change: Change | None,
) -> None:
    found = judge(tmp_path, Seen(described=described, invisible=invisible)).schema(AT)
    assert found.verdict is verdict
    assert [one.change for one in found.differences] == ([change] if change else [])
    if verdict is Verdict.BROKEN:
        assert HIDDEN in found.observed


@pytest.mark.parametrize(
    ("counts", "verdict", "note"),
    [
        ({"users": 1, "of_eve": 1, "of_ada": 1}, Verdict.PASSED, "not compared: of_ada, of_eve"),
        ({"users": 1, "of_eve": 1, "left_over": 1}, Verdict.FAILED, "not compared: of_eve"),
    ],
)
def test_collections_that_users_made_are_noted_and_any_other_is_red(
    tmp_path: Path, counts: Mapping[str, int], verdict: Verdict, note: str
) -> None:
    found = judge(tmp_path, Seen(counts), 'made_by_users = ["of_*"]\n').unrecorded_collections("redis")
    assert found.verdict is verdict
    assert found.notes[0].endswith(note)
    if verdict is Verdict.FAILED:
        assert found.observed == "left_over"


@pytest.mark.parametrize(
    ("now", "verdict"),
    [(Recall(1, 1), Verdict.PASSED), (Recall(0.71, 1), Verdict.PASSED), (Recall(1, 0.6), Verdict.FAILED)],
)
def test_an_index_that_finds_much_less_is_red(tmp_path: Path, now: Recall, verdict: Verdict) -> None:
    assert judge(tmp_path, Seen(found=now), recall=Recall(1, 1)).recall(AT).verdict is verdict


def test_a_position_that_moved_back_is_red(tmp_path: Path) -> None:
    assert judge(tmp_path, Seen()).positions("redis").verdict is Verdict.PASSED
    found = judge(tmp_path, Seen(faults=["group g t 0: gone"])).positions("redis")
    assert (found.verdict, found.observed) == (Verdict.FAILED, "group g t 0: gone")


def test_what_could_be_read_at_the_capture_and_cannot_now_is_not_verified(tmp_path: Path) -> None:
    unread, account = Unlisted(unread=("accounts: SELECT on mysql.*",)), Unlisted({"account 'a'@'%'": {}})

    def found(recorded: Unlisted, now: Unlisted) -> Finding:
        return judge(tmp_path, Seen(others=now), unlisted=recorded).accounts_and_settings("redis")

    same = found(unread, unread)
    assert (same.verdict, same.notes) == (
        Verdict.PASSED,
        ("redis: not read, lacking a right: accounts: SELECT on mysql.*",),
    )
    # What could not be read then is nothing new.
    assert found(unread, account).verdict is Verdict.PASSED
    assert found(Unlisted(), account).verdict is Verdict.FAILED
    assert found(Unlisted(), unread).verdict is Verdict.BROKEN


MAIL = "anna@example.org"
USERS = Reference(
    referencing=NamePlace(store="redis", collection="shop.rows", fields=("email", "id")),
    referenced=NamePlace(store="redis", collection="shop.users", fields=("email", "id")),
)


def _reference(folder: Path, followed: Followed, tolerated: int) -> Finding:
    seen = Seen(reference=followed, names=tolerated)
    target = load_target(write_profile(folder))
    return judge_reference("users", target.model_copy(update={"references": {"users": USERS}}), seen)


def test_a_name_that_the_backup_may_have_cut_is_green_and_noted_by_its_pseudonym(
    tmp_path: Path, target: Target
) -> None:
    shown = f"{target.personal.pseudonym(MAIL)}/7"
    found = _reference(tmp_path, Followed(9, 0, 0, (), tolerated={(MAIL, "7"): 2}), 1)
    assert found.verdict is Verdict.PASSED
    assert found.notes == (f"users: 1 names dangle that moved while the backup was taken: {shown}",)
    assert found.table is not None
    assert found.table.rows == ((shown,),)
    # Nobody counts where none is tolerated.
    assert _reference(tmp_path, Followed(9, 0, 0, ()), MOST_TOLERATED + 1).notes == ()


@pytest.mark.parametrize(("dangling", "tolerated"), [(1, 1), (0, MOST_TOLERATED + 1)])
def test_a_red_reference_names_nobody(tmp_path: Path, dangling: int, tolerated: int) -> None:
    followed = Followed(9, 0, dangling, ((MAIL, "8"),) * dangling, tolerated={(MAIL, "7"): 1})
    found = _reference(tmp_path, followed, tolerated)
    assert (found.verdict, found.means, len(found.notes)) == (Verdict.FAILED, Meaning.DATA_LOSS, 1)
    assert "1 dangling" in found.observed
    assert MAIL not in repr(found)


def test_one_cause_of_many_broken_judgements_is_one_finding(tmp_path: Path) -> None:
    class Silent(Seen):
        def counts(self, store: str) -> Mapping[str, int | Unverifiable]:
            raise Unverifiable(what="redis", expected="an answer", observed="none", source="s", hint="h")

        schemas = comparison = recall = counts  # type: ignore[assignment]

    found = list(judge(tmp_path, Silent()).of_store("redis"))
    assert [one.verdict for one in found if one.verdict is not Verdict.PASSED] == [Verdict.BROKEN]


def test_what_is_gone_has_no_records_to_be_judged(tmp_path: Path) -> None:
    found = list(judge(tmp_path, Seen(counted={}, described={})).of_store("redis"))
    assert [one.aspect for one in found if one.verdict is Verdict.FAILED] == [Aspect.SCHEMA, Aspect.COUNT]
    assert Aspect.RECORDS not in {one.aspect for one in found}


def test_an_aspect_may_be_left_out(tmp_path: Path) -> None:
    found = judge(tmp_path, Seen(), unlisted=Unlisted()).of_store("redis", {Aspect.ACCOUNTS})
    assert Aspect.ACCOUNTS not in {one.aspect for one in found}
