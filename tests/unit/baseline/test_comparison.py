"""Comparing records, parts and schemas, with a reader that is a stand-in: a dictionary of records."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import pytest

from rollproof.baseline.comparison import CollectionComparison, compare_records
from rollproof.baseline.facts import RecordedCollection
from rollproof.baseline.recording import Coverage, SamplePlan, plan, shares_of_stores
from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.judgement.judge import allows_count, schema_differences
from rollproof.observation.content import compare
from rollproof.profile.profile import load_target
from rollproof.profile.sections import Policy, StoreProfile
from rollproof.stores.canonical import record_of
from rollproof.stores.contract import Digest, Pace, RecordHash
from rollproof.stores.policy import by_users_of, deletable, policy_of
from rollproof.stores.snapshot import Snapshot
from tests.conftest import write_profile
from tests.world.sandbox import MYSQL

RECORDS, PART = 100, 10


@dataclass
class StandIn:
    """Records by key, in parts of ten keys; counts how often a part's records were read one by one."""

    records_by_key: dict[int, list[RecordHash]]
    read: list[int] = field(default_factory=list)
    name = "store"
    kind = "stand-in"
    blind_spots = ()

    def _part(self, part: int) -> Iterator[RecordHash]:
        last = part == RECORDS // PART - 1
        for key, found in self.records_by_key.items():
            if key // PART == part or (last and key >= RECORDS):
                yield from found

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        for part in parts:
            found = list(self._part(part))
            yield part, Digest(len(found), sum(record.hash for record in found))

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        for part in parts:
            self.read.append(part)
            for record in self._part(part):
                yield part, record


def fresh() -> dict[int, list[RecordHash]]:
    return {key: [RecordHash(f"{key:03d}", 1000 + key, {"name": key, "size": 7})] for key in range(RECORDS)}


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[RecordedCollection, Path]:
    path, content = tmp_path / "records", StandIn(fresh())
    division = tuple(str(number) if number else "" for number in range(RECORDS // PART))
    everything = range(len(division))
    digests = dict(content.digest("c", division, everything, Pace()))
    with Snapshot(path, new=True) as snapshot:
        for part in everything:
            snapshot.add("c", part, division[part], content._part(part))
    collection = RecordedCollection(
        division=division,
        digests=tuple(digests[part] for part in everything),
        records="records",
        excluded=(),
        seconds=1.0,
    )
    return collection, path


def compared(
    recorded: tuple[RecordedCollection, Path], content: StandIn, plan: SamplePlan | None = None
) -> CollectionComparison:
    collection, path = recorded
    everything = plan or SamplePlan(tuple(range(len(collection.division))), inf)
    return compare(content, "c", collection, path, everything, Pace())  # type: ignore[arg-type]


def test_what_differs_is_named_and_only_its_parts_are_read(recorded: tuple[RecordedCollection, Path]) -> None:
    content = StandIn(fresh())
    del content.records_by_key[3]
    content.records_by_key[55] = [RecordHash("055", 9, {"name": 55, "size": 8, "kind": 1})]
    content.records_by_key[200] = [RecordHash("200", 5)]
    comparison = compared(recorded, content)
    said = "1 missing, 1 added, 1 changed (missing 003; added 200; changed 055: kind new, size)"
    assert str(comparison) == said
    assert sorted(content.read) == [0, 5, 9]
    assert comparison.wrong(Policy.EXACT)
    assert comparison.wrong(Policy.GROWS)


def test_when_time_is_up_what_was_seen_is_a_sample_and_said_to_be(
    recorded: tuple[RecordedCollection, Path],
) -> None:
    content = StandIn({})
    comparison = compared(recorded, content, SamplePlan(tuple(range(10)), 0.0))
    assert comparison.coverage.covered == 1
    assert comparison.wrong(Policy.EXACT)
    assert comparison.missing.count == PART, "the first part that differs is always named"
    assert "1 of 10 parts of 100 records" in str(comparison.coverage)


def test_a_part_whose_difference_went_away_is_not_taken_for_right(
    recorded: tuple[RecordedCollection, Path],
) -> None:
    content = StandIn(fresh())
    honest = content.digest
    # As a write that is undone between the two readings, or a replica that is behind.
    content.digest = lambda *a: ((part, d + Digest(1, 5) if part == 3 else d) for part, d in honest(*a))  # type: ignore[method-assign]
    comparison = compared(recorded, content)
    assert str(comparison) == "1 parts differed, and no more when read again"
    with pytest.raises(Unverifiable, match="1 parts differed"):
        comparison.wrong(Policy.GROWS)


def test_what_was_not_read_is_not_known(recorded: tuple[RecordedCollection, Path]) -> None:
    comparison = compared(recorded, StandIn({**fresh(), 300: [RecordHash("300", 1)]}))
    assert not comparison.wrong(Policy.GROWS)
    comparison.unread = 2
    with pytest.raises(Unverifiable, match="2 more parts differ"):
        comparison.wrong(Policy.GROWS)
    assert comparison.wrong(Policy.EXACT)


@pytest.mark.parametrize(
    ("yields", "observed"), [([], "0 of 10 parts"), ([0] * 10, "part 0 again"), ([0, 11], "part 11 too")]
)
def test_a_reader_that_reads_something_else_is_no_comparison(
    recorded: tuple[RecordedCollection, Path], yields: list[int], observed: str
) -> None:
    content = StandIn(fresh())
    content.digest = lambda *_: ((part, recorded[0].digests[part % 10]) for part in yields)  # type: ignore[method-assign]
    with pytest.raises(Unverifiable, match=observed):
        compared(recorded, content)


def test_records_that_are_cut_are_an_error(recorded: tuple[RecordedCollection, Path]) -> None:
    os.truncate(recorded[1], 4096)
    content = StandIn(fresh())
    del content.records_by_key[3]
    with pytest.raises(Unverifiable, match="recorded records: "):
        compared(recorded, content)


def test_the_probability_of_missing_changes_is_that_of_drawing_without_them() -> None:
    coverage = Coverage(parts=10, covered=5, records=100, unseen=50)
    scattered, together = coverage.missed(1)
    assert scattered == pytest.approx(0.5)
    assert together == pytest.approx(0.5)
    assert coverage.missed(2)[0] == pytest.approx(50 * 49 / (100 * 99))
    assert coverage.missed(100)[0] == 0
    assert Coverage(10, 10, 100).missed(1) == (0.0, 0.0)
    assert "1: 50.0% scattered, 50.0% side by side; 10: <0.1% scattered" in str(coverage)


def test_a_plan_takes_all_that_fits_and_chooses_the_rest_at_random() -> None:
    assert sorted(plan(10, expected=1.0, seconds=10.0).parts) == list(range(10))
    some = plan(1000, expected=10.0, seconds=2.5)
    assert len(some.parts) == len(set(some.parts)) == 250
    assert some.parts != tuple(sorted(some.parts))
    assert len(plan(1000, expected=10.0, seconds=0.0).parts) == 1
    # All fit: in an order that leaves a fair sample if the store is slower today.
    for expected in (0.1, 9.0):
        all_of_them = plan(100, expected, seconds=10.0).parts
        assert sorted(all_of_them) == list(range(100))
        assert all_of_them != tuple(range(100))


@pytest.mark.parametrize(
    ("recorded", "observed", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": True}, ["a: expected 1, observed True"]),
        ({"a": 1}, {"a": "1"}, ["a: expected 1, observed '1'"]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, ["a.b[1]: expected 2, observed 3"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a: expected [1], observed [1, 2]"]),
        ({"a": 1}, {"b": 1}, ["a: expected 1, observed none", "b: expected none, observed 1"]),
        ("files", "other", ["schema: expected 'files', observed 'other'"]),
        # It was being loaded at the capture.
        ({"load state": "not loaded"}, {"load state": "loaded"}, []),
        (
            {"load state": "loaded"},
            {"load state": "not loaded"},
            ["load state: expected 'loaded', observed 'not loaded'"],
        ),
    ],
)
def test_schemas_differ_at_paths(recorded: Json, observed: Json, expected: list[str]) -> None:
    assert [text for _, text in schema_differences(recorded, observed)] == expected


@pytest.fixture
def store(tmp_path: Path) -> StoreProfile:
    policy = '{"talks" = "changes", "notes" = "changes", "log" = "grows"}'
    more = f'{MYSQL}policy = {policy}\ntouched = {{"talks" = "at"}}\n'
    return load_target(write_profile(tmp_path, more)).stores["mysql"]


def talk(key: str, at: int | None = 1, text: int = 1) -> RecordHash:
    fields = {"text": text} | ({} if at is None else {"at": at})
    return RecordHash(key, hash((key, at, text)) % 2**60, fields)


@pytest.mark.parametrize(
    ("collection", "now", "wrong", "said"),
    [
        ("talks", [talk("a", 2, 2), talk("b")], False, "touched a: text, at"),
        ("talks", [talk("a"), talk("b"), talk("c", 9)], False, "added c"),
        ("talks", [talk("a", 1, 2), talk("b")], True, "changed a: text"),
        ("talks", [talk("a", None, 2), talk("b")], True, "changed a: at gone, text"),
        ("talks", [talk("a", 2, 2), talk("b", 1, 2)], True, "changed b: text; touched a: text, at"),
        ("talks", [talk("a", 2, 2)], True, "missing b; touched a: text, at"),
        ("notes", [talk("a", 1, 2), talk("b")], False, "touched a: text"),
        ("notes", [talk("a")], True, "missing b"),
        ("log", [talk("a", 2, 2), talk("b")], True, "changed a: text, at"),
        ("users", [talk("a", 2, 2), talk("b")], True, "changed a: text, at"),
    ],
)
def test_what_users_touch_may_change_and_not_vanish(
    store: StoreProfile, collection: str, now: list[RecordHash], *, wrong: bool, said: str
) -> None:
    found = CollectionComparison(Coverage(1, 1, 2), by_users=by_users_of(store, collection))
    compare_records([talk("a"), talk("b")], now, found)
    assert found.wrong(policy_of(store, collection)) is wrong
    assert str(found).endswith(f" changed{', 1 touched' * ('touched' in said)} ({said})")
    assert found.found == len(said.split("; "))
    assert ("touched" in found.by_people, "added" in found.by_people) == ("touched" in said, "added" in said)
    assert {kind for kind, _, _ in found.rows()} == {part.split()[0] for part in said.split("; ")}


def test_fields_in_another_order_are_named_as_that() -> None:
    found = CollectionComparison(Coverage(1, 1, 1))
    fields = {"text": 1, "at": 2}
    compare_records([RecordHash("a", 1, fields)], [RecordHash("a", 2, dict(reversed(fields.items())))], found)
    assert "(changed a: the order of its fields)" in str(found)


def test_no_record_is_told_as_changed_for_two_times_whose_hashes_begin_alike(store: StoreProfile) -> None:
    old, new = (record_of("a", b"", {"at": at, "text": at}) for at in (b"39182", b"1039182"))
    assert by_users_of(store, "talks")(old, new)


def test_a_count_may_grow_where_records_may_change(store: StoreProfile) -> None:
    policy = policy_of(store, "talks")
    assert [allows_count(policy, 3, records, 0) for records in (2, 3, 4)] == [False, True, True]


def test_a_store_has_the_whole_time_while_others_are_read_and_a_share_of_it_in_turn() -> None:
    """Of stores that are asked side by side, a slow one leaves no less time to the others."""
    stores = [{"sql/users": 50.0, "sql/files": 30.0}, {"log/jobs": 1.0}]
    at_once = shares_of_stores(stores, 60.0, in_turn=False)
    assert at_once["log/jobs"] == pytest.approx(60.0)
    assert at_once["sql/users"] + at_once["sql/files"] == pytest.approx(60.0)
    assert sum(shares_of_stores(stores, 60.0, in_turn=True).values()) == pytest.approx(60.0)


@pytest.mark.parametrize(
    ("records", "hours", "deleted", "allowed"),
    [
        (1000, 0.0, 10, True),
        (1000, 0.0, 11, False),
        (1000, 2.0, 20, True),
        (1000, 2.0, 21, False),
        (5, 0.0, 1, False),
        (5, 1.0, 5, True),
    ],
)
def test_users_may_delete_a_usual_share_or_so_many_an_hour(
    tmp_path: Path, records: int, hours: float, deleted: int, *, allowed: bool
) -> None:
    more = f'{MYSQL}policy = {{"talks" = "deletes"}}\n'
    store = load_target(write_profile(tmp_path, more)).stores["mysql"]
    most = deletable(store, "talks", records, 3600 * hours)
    before = [talk(f"{number:04}") for number in range(records)]
    found = CollectionComparison(Coverage(1, 1, records), deletable=most)
    compare_records(before, before[deleted:], found)
    assert found.wrong(Policy.DELETES) is not allowed
    assert f"{deleted} deleted" in found.by_people or not most
    assert allows_count(Policy.DELETES, records, records - deleted, most) is allowed
    assert deletable(store, "others", records, 3600 * hours) == 0


def test_a_share_of_the_profile_is_that_of_its_collections(tmp_path: Path) -> None:
    more = f'{MYSQL}policy = {{"*" = "deletes"}}\ndeletions = {{"talks" = 30}}\n'
    store = load_target(write_profile(tmp_path, more)).stores["mysql"]
    assert [deletable(store, name, 100, 0.0) for name in ("talks", "notes")] == [30, 1]
