"""Names are texts: a store may hold them in a field of another type, and equate what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
from bson import ObjectId
from pymilvus import DataType

from rollproof.stores.milvus.reader import MilvusReader as MilvusView
from rollproof.stores.mongodb.reader import MongodbReader as MongodbView
from rollproof.stores.names import whole_numbers
from rollproof.stores.qdrant.reader import QdrantReader as QdrantView
from rollproof.stores.reach import Readable
from tests.unit.stores.test_readers_reach import NOWHERE, section

TEXT, NUMBER, ID = "a", "42", "65a1b2c3d4e5f60718293a4b"
NAMES = [(TEXT,), (NUMBER,), (ID,)]


def opened(kind: Any, name: str) -> Any:  # noqa: ANN401 - the view of a store
    return kind(Readable("one", section(name), NOWHERE))


@pytest.mark.parametrize(
    ("text", "number"),
    [("42", [42]), ("0", [0]), ("-7", [-7]), (str(2**63 - 1), [2**63 - 1]), (str(-(2**63)), [-(2**63)])],
)
def test_a_text_that_is_a_whole_number_is_one(text: str, number: list[int]) -> None:
    assert whole_numbers([text]) == number


@pytest.mark.parametrize("text", ["", "042", "-0", "+1", "1.0", "1e3", "٤٢", " 1", str(2**63), "1" * 5000])
def test_another_text_is_none(text: str) -> None:
    assert whole_numbers([text]) == []


@pytest.mark.parametrize("held", [TEXT, int(NUMBER), ObjectId(ID)], ids=["text", "number", "ObjectId"])
def test_mongodb_holds_a_name_of_any_type(held: Any) -> None:  # noqa: ANN401 - as stored
    class Collection:
        def find(self, chosen: Mapping[str, Any], _: object) -> Any:  # noqa: ANN401 - a cursor
            # As the server does: a text is no number and no ObjectId.
            return nullcontext([{"_id": held}] if held in chosen["_id"]["$in"] else [])

    view = opened(MongodbView, "mongodb")

    view._mongodb.connect = lambda: {"shop": {"documents": Collection()}}
    assert view.held("shop.documents", ["_id"], NAMES) == {(str(held),)}


@pytest.mark.parametrize("held", [TEXT, int(NUMBER)], ids=["text", "number"])
def test_qdrant_holds_a_name_of_either_type(held: Any) -> None:  # noqa: ANN401 - as stored
    def scrolled(_: str, request: Mapping[str, Any]) -> Iterator[Any]:
        (chosen,) = request["filter"]["must"]
        assert len({type(value) for value in chosen["match"]["any"]}) == 1  # the server takes no mixed list
        yield from [{"id": 1, "payload": {"document": held}}] * (held in chosen["match"]["any"])

    view = opened(QdrantView, "qdrant")
    view._rest = SimpleNamespace(scrolled=scrolled)
    assert view.held("files", ["document"], NAMES) == {(str(held),)}
    assert view.held("files", ["document"], [("z",)]) == set()


@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        (DataType.VARCHAR, f'document in ["{NUMBER}", "{ID}", "{TEXT}"]'),
        (DataType.INT64, f"document in [{NUMBER}]"),
        (None, f'document in ["{NUMBER}", "{ID}", "{TEXT}"] or document in [{NUMBER}]'),
    ],
    ids=["text", "number", "dynamic"],
)
def test_milvus_is_asked_by_the_type_of_the_field(kind: DataType | None, condition: str) -> None:
    asked = []

    def query(_: str, *, filter: str, **__: object) -> Sequence[Any]:  # noqa: A002 - the client's name
        asked.append(filter)
        return [{"document": int(NUMBER)}]

    view = opened(MilvusView, "milvus")
    fields = [] if kind is None else [{"name": "document", "type": kind}]
    view._milvus.connect = lambda: cast(
        "Any", SimpleNamespace(describe_collection=lambda *_, **__: {"fields": fields}, query=query)
    )
    assert view.held("files", ["document"], NAMES) == {(NUMBER,)}
    if kind is DataType.INT64:
        assert view.held("files", ["document"], [(TEXT,)]) == set()
    assert asked == [condition]
