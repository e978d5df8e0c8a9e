"""MongoDB, content: any change of a document changes the digest; against a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from bson import Decimal128, Int64, ObjectId, Timestamp
from bson.binary import Binary
from pymongo import MongoClient

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores import mongodb_content
from fixtures.stores.content import Digest, Pace
from fixtures.stores.mongodb import Document, View
from fixtures.stores.mongodb_content import Content
from fixtures.stores.mongodb_hashes import ORDER
from fixtures.stores.profiles import MongodbProfile
from fixtures.target import Target
from tests.stack.content_reading import agreeing_records, digests
from tests.stack.mongodb_content_scratch import (
    DATABASE,
    PAPERS,
    START,
    fill,
    paper,
    scratch_database,
    scratch_profile,
)
from tests.stack.scratch_stores import SECRET, changed, nowhere, silence, with_wrong_password


@pytest.fixture
def profile(target: Target) -> MongodbProfile:
    return scratch_profile(target)


@pytest.fixture
def endpoint(profile: MongodbProfile, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(profile.address)


@pytest.fixture
def scratch(profile: MongodbProfile, endpoint: Endpoint) -> Iterator[MongoClient[Document]]:
    with scratch_database(profile, endpoint) as client:
        yield client


@pytest.fixture
def content(profile: MongodbProfile, endpoint: Endpoint) -> Iterator[Content]:
    with Content("mongodb", profile, endpoint) as content:
        yield content


@pytest.fixture
def few_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every part many requests."""
    monkeypatch.setattr(mongodb_content, "FIRST_SIZE", 3)
    monkeypatch.setattr(Pace, "next_size", lambda *_: 3)


def _set(number: int, **values: object) -> Callable[[MongoClient[Document]], object]:
    return lambda client: client[DATABASE]["papers"].update_one({"_id": number}, {"$set": values})


def _swap(client: MongoClient[Document]) -> None:
    _set(3, text="Alpha 4")(client)
    _set(4, text="Alpha 3")(client)


def _reorder(client: MongoClient[Document]) -> None:
    client[DATABASE]["papers"].replace_one({"_id": 7}, dict(reversed(paper(7).items())))


CHANGED: dict[str, tuple[Callable[[MongoClient[Document]], object], dict[int, set[str]]]] = {
    "two values swapped": (_swap, {3: {"text"}, 4: {"text"}}),
    "a bit": (_set(7, bytes=Binary(bytes([7, 8, 9, 10, 11, 12, 13, 15]))), {7: {"bytes"}}),
    "null to empty": (_set(7, note=""), {7: {"note"}}),
    "null to nothing": (
        lambda c: c[DATABASE]["papers"].update_one({"_id": 7}, {"$unset": {"note": 1}}),
        {7: {"note", ORDER}},
    ),
    "a field more": (_set(7, late=1), {7: {"late", ORDER}}),
    "a trailing space": (_set(7, text="Alpha 7 "), {7: {"text"}}),
    "case": (_set(7, text="alpha 7"), {7: {"text"}}),
    "a fraction": (_set(7, price=2.9), {7: {"price"}}),
    "the last bit of a fraction": (_set(7, price=2.3000000000000003), {7: {"price"}}),
    "a decimal's precision": (_set(7, exact=Decimal128("1.1")), {7: {"exact"}}),
    "a date's precision": (_set(7, at=START + timedelta(seconds=7, milliseconds=1)), {7: {"at"}}),
    "64 bits": (_set(7, count=Int64(7)), {7: {"count"}}),
    "a fraction of a whole": (_set(7, count=7.0), {7: {"count"}}),
    "text of a number": (_set(7, count="7"), {7: {"count"}}),
    "0 of false": (_set(7, flag=0), {7: {"flag"}}),
    "a boundary": (_set(7, first="a", second="bc"), {7: {"first", "second"}}),
    "an item's place": (_set(7, list=["a", 7]), {7: {"list"}}),
    "deep inside": (_set(7, **{"nested.b.deep": 3}), {7: {"nested"}}),
    "order inside": (_set(7, nested={"b": {"deep": 2}, "a": 1}), {7: {"nested"}}),
    "order of fields": (_reorder, {7: {ORDER}}),
}


@pytest.mark.parametrize("name", CHANGED)
def test_any_change_is_seen_and_named(content: Content, scratch: MongoClient[Document], name: str) -> None:
    fill(scratch)
    before = {record.key: record for record in agreeing_records(content, PAPERS)}
    damage, expected = CHANGED[name]
    damage(scratch)
    after = {record.key: record for record in agreeing_records(content, PAPERS)}
    assert sum(record.hash for record in after.values()) != sum(record.hash for record in before.values())
    assert {
        key: {
            field
            for field in before[key].fields.keys() | after[key].fields.keys()
            if before[key].fields.get(field) != after[key].fields.get(field)
        }
        for key in before
        if before[key].hash != after[key].hash
    } == {f'{{"$numberInt": "{number}"}}': fields for number, fields in expected.items()}


@pytest.mark.parametrize(
    ("damage", "records"),
    [
        (lambda c: c[DATABASE]["papers"].delete_one({"_id": 7}), 49),
        (lambda c: c[DATABASE]["papers"].insert_one({"_id": "late"}), 51),
        (lambda c: c[DATABASE]["papers"].insert_one({**paper(7), "_id": 7.5}), 51),
    ],
    ids=["lost", "added", "doubled"],
)
def test_records_that_come_and_go_are_seen(
    content: Content,
    scratch: MongoClient[Document],
    damage: Callable[[MongoClient[Document]], object],
    records: int,
) -> None:
    fill(scratch)
    [before] = digests(content, PAPERS, ("",))
    damage(scratch)
    [after] = digests(content, PAPERS, ("",))
    assert (before.records, after.records) == (50, records)
    assert before.total != after.total


@pytest.mark.usefixtures("few_a_request")
def test_excluded_fields_are_in_no_hash(
    profile: MongodbProfile, endpoint: Endpoint, scratch: MongoClient[Document]
) -> None:
    fill(scratch)
    exclude = {"*.papers": ("text", "nested.b.deep", "list.seen"), "*.other": ("price",)}
    _set(8, list=[{"seen": 1, "kept": 1}, 5])(scratch)
    with Content("mongodb", changed(profile, exclude=exclude), endpoint) as content:
        before = agreeing_records(content, PAPERS)
        assert "text" not in before[0].fields
        _set(7, text="other", nested={"a": 1, "b": {"deep": 3}})(scratch)
        _set(8, list=[{"seen": 2, "kept": 1}, 5])(scratch)
        assert agreeing_records(content, PAPERS) == before
        for unseen in ({"nested.b.more": 1}, {"price": 1}, {"list.0.kept": 2}):
            _set(8, **unseen)(scratch)
            after = agreeing_records(content, PAPERS)
            assert after != before
            before = after


MIXED = [
    *(None, -1, 2, 2.5, Int64(3), Decimal128("4"), "", "a", "ä", {"a": 1}, {"a": "x"}, Binary(b"x"), b""),
    *(ObjectId(b"0" * 12), False, True, START, datetime(9999, 1, 1, tzinfo=UTC), Timestamp(1, 1)),
    *(float("-inf"), {"$ref": "a", "$id": 1}, "line\nof text", Binary(b"y" * 16, 4)),
]


@pytest.mark.usefixtures("few_a_request")
@pytest.mark.parametrize("records", [1, 2, 7, 1000])
@pytest.mark.parametrize("options", [{}, {"collation": {"locale": "de"}}], ids=["bytes", "german"])
def test_parts_hold_every_record_once_whatever_its_key(
    content: Content, scratch: MongoClient[Document], records: int, options: Document
) -> None:
    collection = scratch[DATABASE].create_collection("mixed", **options)
    collection.insert_many({"_id": key} for key in MIXED)
    name = f"{DATABASE}.mixed"
    division = content.divide(name, records)
    assert division[0] == ""
    assert len(division) == -(-len(MIXED) // records)
    sizes = [digest.records for digest in digests(content, name, division)]
    assert sizes[:-1] == [records] * (len(division) - 1)
    whole = agreeing_records(content, name)
    assert len({record.key for record in whole}) == len(MIXED)
    assert sorted(agreeing_records(content, name, division), key=lambda r: r.key) == sorted(
        whole, key=lambda r: r.key
    )
    # Beyond both ends, between, and where a part begins.
    collection.insert_many({"_id": key} for key in (-1000.5, Timestamp(9, 9), "b"))
    collection.delete_many({"_id": {"$in": [2, "a"]}})
    after = digests(content, name, division)
    assert sum(digest.records for digest in after) == len(MIXED) + 1
    assert sum(after, Digest(0, 0)) == digests(content, name, ("",))[0]


def test_records_beyond_both_ends_are_in_the_outer_parts(
    content: Content, scratch: MongoClient[Document]
) -> None:
    fill(scratch)
    division = content.divide(PAPERS, 10)
    scratch[DATABASE]["papers"].insert_many([{"_id": -1}, {"_id": "after all numbers"}])
    assert [digest.records for digest in digests(content, PAPERS, division)] == [11, 10, 10, 10, 11]
    chosen = dict(content.digest(PAPERS, division, [4, 1], Pace(connections=1)))
    assert {part: digest.records for part, digest in chosen.items()} == {4: 11, 1: 10}


def test_an_empty_collection_is_one_empty_part(content: Content, scratch: MongoClient[Document]) -> None:
    scratch[DATABASE].create_collection("papers")
    scratch[DATABASE].create_collection("series", timeseries={"timeField": "at"})
    for name in (PAPERS, f"{DATABASE}.series"):
        assert content.divide(name, 10) == ("",)
        assert digests(content, name, ("",)) == [Digest(0, 0)]


def test_documents_as_large_as_an_answer_are_all_read(
    content: Content, scratch: MongoClient[Document]
) -> None:
    scratch[DATABASE]["papers"].insert_many({"_id": number, "x": b"x" * 9_000_000} for number in range(4))
    assert [record.key for record in agreeing_records(content, PAPERS)] == [
        f'{{"$numberInt": "{number}"}}' for number in range(4)
    ]


@pytest.mark.usefixtures("few_a_request")
def test_a_part_is_as_of_one_moment(
    content: Content, scratch: MongoClient[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(scratch)
    asked: list[Document] = []
    ask = content._ask

    def counted(client: Any, described: Any, command: Document) -> Any:  # noqa: ANN401 - as it is called
        asked.append(command)
        return ask(client, described, command)

    monkeypatch.setattr(content, "_ask", counted)
    [before] = digests(content, PAPERS, ("",))
    reading = content.records(PAPERS, ("",), [0], Pace())
    first = next(reading)[1]
    _set(30, text="other")(scratch)
    scratch[DATABASE]["papers"].delete_one({"_id": 40})
    scratch[DATABASE]["papers"].insert_one({"_id": 100})
    assert first.hash + sum(record.hash for _, record in reading) == before.total
    assert len(asked) > 2 * 50 / 4, "in one request there is nothing to keep together"


@pytest.mark.usefixtures("few_a_request")
def test_kinds_of_collections(content: Content, scratch: MongoClient[Document]) -> None:
    database = scratch[DATABASE]
    database.create_collection("capped", capped=True, size=100_000)
    database.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
    database.create_collection("series", timeseries={"timeField": "at", "metaField": "by"})
    for name in ("capped", "clustered", "series"):
        database[name].insert_many(
            {"_id": n, "at": START + timedelta(minutes=n // 2), "by": n % 3, "b": n, "a": n}
            for n in range(40)
        )
    database["series"].insert_one({"_id": 40, "by": 5, "at": START - timedelta(days=40_000), "a": 1})
    with View("mongodb", content._profile, content._reach.endpoint) as view:
        counts = view.counts()
    for name in ("capped", "clustered", "series"):
        division = content.divide(f"{DATABASE}.{name}", 8)
        assert len(division) >= 5
        records = agreeing_records(content, f"{DATABASE}.{name}", division)
        assert len({record.key for record in records}) == counts[f"{DATABASE}.{name}"]
        before = digests(content, f"{DATABASE}.{name}", division)
        database[name].insert_one({"_id": 50, "at": START + timedelta(days=40_000), "by": 1})
        after = digests(content, f"{DATABASE}.{name}", division)
        assert after[:-1] == before[:-1]
        assert after[-1].records == before[-1].records + 1


def test_when_documents_expire_is_said(content: Content, scratch: MongoClient[Document]) -> None:
    papers = scratch[DATABASE]["papers"]
    at = datetime(2124, 1, 1, tzinfo=UTC)
    papers.insert_many(
        [
            {"_id": 1, "at": at},
            {"_id": 2, "at": [at + timedelta(days=1), at]},
            {"_id": 3, "at": "never"},
            {"_id": 4, "nested": {"at": at}, "at": at},
            {"_id": 5, "partial": at},
        ]
    )
    papers.create_index("at", expireAfterSeconds=60)
    papers.create_index("nested.at", expireAfterSeconds=10)
    papers.create_index("partial", expireAfterSeconds=10, partialFilterExpression={"x": 1})
    assert [record.expires for record in agreeing_records(content, PAPERS)] == [
        *(at.timestamp() + 60, at.timestamp() + 60, None, at.timestamp() + 10, None)
    ]


def test_a_collection_that_vanished_is_no_answer(content: Content, scratch: MongoClient[Document]) -> None:
    fill(scratch)
    division = content.divide(PAPERS, 10)
    reading = content.records(PAPERS, division, range(5), Pace())
    next(reading)
    scratch[DATABASE].drop_collection("papers")
    with pytest.raises(Unverifiable, match=f"expected collection {PAPERS}"):
        list(reading)
    with pytest.raises(Unverifiable, match=f"expected collection {PAPERS}"):
        content.divide(PAPERS, 10)
    with pytest.raises(Unverifiable, match=f"expected collection {PAPERS}"):
        list(content.digest(PAPERS, division, [0], Pace()))


def test_a_caller_may_stop(content: Content, scratch: MongoClient[Document]) -> None:
    fill(scratch)
    division = content.divide(PAPERS, 1)
    reading = content.digest(PAPERS, division, range(50), Pace())
    assert next(reading)[1].records == 1
    cast("Iterator[object]", reading).close()  # type: ignore[attr-defined]
    assert sum(digest.records for digest in digests(content, PAPERS, division)) == 50


def test_a_garbled_division_is_no_answer(content: Content, scratch: MongoClient[Document]) -> None:
    fill(scratch)
    with pytest.raises(Unverifiable, match="division of"):
        list(content.digest(PAPERS, ("", "bucket 2 of 2"), [1], Pace()))


def _expect_no_answer(content: Content, *words: str) -> None:
    calls: tuple[Callable[[], object], ...] = (
        content.schemas,
        lambda: content.divide(PAPERS, 10),
        lambda: list(content.digest(PAPERS, ("",), [0], Pace())),
        lambda: list(content.records(PAPERS, ("",), [0], Pace())),
    )
    with content:
        for call in calls:
            with pytest.raises(Unverifiable) as failure:
                call()
            for word in words:
                assert word in str(failure.value)
            assert SECRET not in str(failure.value)
            assert failure.value.__suppress_context__, "the driver's own exception may hold a secret"


def test_no_answer_is_unverifiable(profile: MongodbProfile, endpoint: Endpoint) -> None:
    refused = with_wrong_password(profile)
    _expect_no_answer(Content("mongodb", refused, endpoint), "Authentication failed")
    short = changed(refused, deadline_seconds=0.5)
    _expect_no_answer(Content("mongodb", short, nowhere()), "refused")
    with silence() as silent:
        _expect_no_answer(Content("mongodb", short, silent), "within 0.5 s")
