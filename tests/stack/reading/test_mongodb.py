"""MongoDB alone: documents of any size, moments, times to expire, and collections that vanish."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollproof.errors import Unverifiable
from rollproof.stores.contract import Digest, Pace
from rollproof.stores.reader import Reader
from tests.stack.content_reading import agreeing_records, digests, whole
from tests.stack.reading.mongodb import DATABASE, PAPERS, Mongodb

STORES = ("mongodb", "mongodb_in_small_requests")
SHAPE = f"{DATABASE}.shape"
pytestmark = pytest.mark.usefixtures("mended")


def test_paths_are_excluded_and_nothing_beside_them(subject: Mongodb) -> None:
    papers = subject.papers
    exclude = {"*.papers": ("text", "nested.b.deep", "list.seen"), "*.other": ("price",)}
    papers.update_one({"_id": 8}, {"$set": {"list": [{"seen": 1, "kept": 1}, 5]}})
    with subject.content(exclude=exclude) as content:
        before = agreeing_records(content, subject.full)
        papers.update_one({"_id": 7}, {"$set": {"text": "other", "nested": {"a": 1, "b": {"deep": 3}}}})
        papers.update_one({"_id": 8}, {"$set": {"list": [{"seen": 2, "kept": 1}, 5]}})
        assert agreeing_records(content, subject.full) == before
        for unseen in ({"nested.b.more": 1}, {"price": 1}, {"list.0.kept": 2}):
            papers.update_one({"_id": 8}, {"$set": unseen})
            after = agreeing_records(content, subject.full)
            assert after != before
            before = after


def test_an_empty_series_is_one_empty_part(subject: Mongodb, content: Reader) -> None:
    series = f"{subject.database.name}.series"
    assert content.divide(series, 10) == ("",)
    assert digests(content, series) == [Digest(0, 0)]


def test_only_the_last_part_of_a_series_grows(subject: Mongodb, content: Reader) -> None:
    series = subject.shaped("series")
    division = content.divide(series, 8)
    assert len(division) >= 5
    before = digests(content, series, division)
    later = datetime(2134, 1, 1, tzinfo=UTC)
    subject.database["shape"].insert_one({"_id": 50, "at": later, "by": 1})
    after = digests(content, series, division)
    assert after[:-1] == before[:-1]
    assert after[-1].records == before[-1].records + 1


def test_documents_as_large_as_an_answer_are_all_read(subject: Mongodb, content: Reader) -> None:
    subject.database["shape"].insert_many({"_id": number, "x": b"x" * 9_000_000} for number in range(4))
    assert [record.key for record in agreeing_records(content, SHAPE)] == [str(number) for number in range(4)]


def test_a_part_is_as_of_one_moment(subject: Mongodb, monkeypatch: pytest.MonkeyPatch) -> None:
    content: Any = subject.content()
    monkeypatch.setattr("rollproof.stores.mongodb.reader.BATCH", 3)
    asked: list[int] = []
    monkeypatch.setattr(Pace, "next_size", lambda _, records, __: asked.append(records))
    with content:
        before = whole(content, subject.full)
        reading = content.records(subject.full, ("",), [0], Pace())
        first = next(reading)[1]
        subject.papers.update_one({"_id": 30}, {"$set": {"text": "other"}})
        subject.papers.delete_one({"_id": 40})
        subject.papers.insert_one({"_id": 100})
        assert first.hash + sum(record.hash for _, record in reading) == before.total
    assert len(asked) > 2 * PAPERS / 4, "in one request there is nothing to keep together"


def test_when_documents_expire_is_said(subject: Mongodb, content: Reader) -> None:
    shape = subject.database["shape"]
    at = datetime(2124, 1, 1, tzinfo=UTC)
    shape.insert_many(
        [
            {"_id": 1, "at": at},
            {"_id": 2, "at": [at + timedelta(days=1), at]},
            {"_id": 3, "at": "never"},
            {"_id": 4, "nested": {"at": at}, "at": at},
            {"_id": 5, "partial": at},
        ]
    )
    shape.create_index("at", expireAfterSeconds=60)
    shape.create_index("nested.at", expireAfterSeconds=10)
    shape.create_index("partial", expireAfterSeconds=10, partialFilterExpression={"x": 1})
    assert [record.expires for record in agreeing_records(content, SHAPE)] == [
        *(at.timestamp() + 60, at.timestamp() + 60, None, at.timestamp() + 10, None)
    ]


def test_a_collection_that_vanishes_meanwhile_is_no_answer(subject: Mongodb, content: Reader) -> None:
    shape = subject.shaped("papers")
    division = content.divide(shape, 10)
    reading = content.records(shape, division, range(5), Pace())
    next(reading)
    subject.database.drop_collection("shape")
    with pytest.raises(Unverifiable, match=f"expected collection {shape}"):
        list(reading)


def test_a_schema_has_its_collections_and_views(subject: Mongodb, content: Reader) -> None:
    subject.define()
    try:
        found = content.schemas()
    finally:
        subject.undefine()
    kinds = ("defined", "defined capped", "defined clustered", "defined german", "defined series")
    assert {f"{DATABASE}.{name}" for name in kinds} < found.keys()
    assert {name for name in found if name.startswith("view ")} == {
        f"view {DATABASE}.seen",
        f"view {DATABASE}.view",
    }


def test_a_database_without_a_collection_has_no_counts(subject: Mongodb) -> None:
    with subject.view(databases=(f"{DATABASE}_gone",)) as view:
        assert view.counts() == {}
    with subject.content(databases=(f"{DATABASE}_gone",)) as content:
        assert content.schemas() == {}


def test_an_option_that_the_server_tells_at_its_default_is_as_good_as_none(
    subject: Mongodb, content: Reader
) -> None:
    """It tells what `collMod` set, also where that changes nothing."""
    made = subject.database.create_collection("defined")
    try:
        made.create_index("text", name="by text")
        before = content.schemas()[f"{DATABASE}.defined"]
        made.drop_index("by text")
        made.create_index("text", name="by text", sparse=False, unique=False)
        subject.database.command("collMod", "defined", validator={"text": 1}, validationAction="error")
        assert content.schemas()[f"{DATABASE}.defined"] != before
        subject.database.command("collMod", "defined", validator={})
        told = next(one for one in subject.database.list_collections() if one["name"] == "defined")
        assert told["options"]["validationAction"] == "error"
        assert content.schemas()[f"{DATABASE}.defined"] == before
    finally:
        subject.undefine()
