"""MongoDB alone: documents of any size, moments, times to expire, and collections that vanish."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollproof.contract.subject import digests, recorded, whole
from rollproof.errors import Unverifiable
from rollproof.stores.contract import Digest, Pace, RecordHash
from rollproof.stores.reader import Reader
from tests.stack.stores.mongodb import DATABASE, PAPERS, Mongodb

STORES = ("mongodb", "mongodb_in_small_requests")
SHAPE = f"{DATABASE}.shape"
pytestmark = pytest.mark.usefixtures("mended")


def agreeing_records(view: Reader, collection: str, division: Sequence[str] = ("",)) -> list[RecordHash]:
    """Return every record, after a look at the promise that their hashes add up to the digests."""
    found = recorded(view, collection, division)
    for part, digest in enumerate(digests(view, collection, division)):
        hashes = [record.hash for where, record in found if where == part]
        assert digest == Digest(len(hashes), sum(hashes))
    return [record for _, record in found]


def test_documents_as_large_as_an_answer_are_all_read(subject: Mongodb, content: Reader) -> None:
    subject.database["shape"].insert_many({"_id": number, "x": b"x" * 9_000_000} for number in range(4))
    assert [record.key for record in agreeing_records(content, SHAPE)] == [str(number) for number in range(4)]


def test_a_time_series_is_one_part(subject: Mongodb, content: Reader) -> None:
    made = subject.shaped("series")
    assert content.divide(made, 7) == ("",)
    assert len(agreeing_records(content, made)) == 40


def test_a_part_is_as_of_one_moment(subject: Mongodb, monkeypatch: pytest.MonkeyPatch) -> None:
    content: Any = subject.reader()
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
