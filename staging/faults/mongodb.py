"""Faults of MongoDB: in the application's collections, and in one with a field of each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from bson import Int64
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS
from pymongo.collection import Collection

from staging.faults.fault import Fault, Inject, both
from staging.target.operators import Operators, undone

DATABASE, RECORDS = "mongodb", "faults_records"
OWN, FILES, CONVERSATIONS, MODELS = (
    f"{DATABASE}.{name}" for name in (RECORDS, "files", "conversations", "model_config")
)
_RECORD = {"_id": 7}
Documents = Collection[dict[str, Any]]


def plant(operators: Operators) -> None:
    """Make the faults' own collection, whatever became of it."""
    remove(operators)
    own = operators.mongodb[DATABASE][RECORDS]
    own.insert_many(
        {
            "_id": number,
            "count": number,
            "ratio": 1 / (number + 3),
            "nothing": None,
            "word": f"Zürich {number}",
            "rest": "c",
            "at": datetime(2026, 3, 29, 1, 30, 0, 123_000, tzinfo=UTC) + timedelta(hours=number),
            "list": [1, 2, 3],
            "place": {"x": number, "y": -number},
        }
        for number in range(40)
    )
    own.create_index([("word", 1)], name="by_word")


def remove(operators: Operators) -> None:
    """Remove the faults' own collection."""
    operators.mongodb[DATABASE][RECORDS].drop()


def changed(name: str, act: Callable[[Documents, list[Any]], object], limit: int = 1) -> Inject:
    """Return an injection that changes the first documents of a collection; `limit` 0 means all.

    `act` has the collection and the documents' keys. The documents are put back byte by byte.
    """

    @contextmanager
    def inject(operators: Operators) -> Iterator[None]:
        raw = operators.mongodb[DATABASE].get_collection(name, codec_options=DEFAULT_RAW_BSON_OPTIONS)
        documents = list(raw.find().sort("_id").limit(limit))

        def put_back() -> None:
            for document in documents:
                raw.replace_one({"_id": document["_id"]}, document, upsert=True)

        with undone(put_back):
            act(operators.mongodb[DATABASE][name], [document["_id"] for document in documents])
            yield

    return inject


def without_index(name: str, index: str, then: Callable[[Documents], object] = bool) -> Inject:
    """Return an injection without an index, or, by `then`, with another one in its place."""

    @contextmanager
    def inject(operators: Operators) -> Iterator[None]:
        collection = operators.mongodb[DATABASE][name]
        described = dict(collection.index_information()[index])
        keys: Any = described.pop("key")
        described.pop("v", None)

        def make_again() -> None:
            if index in collection.index_information():
                collection.drop_index(index)
            collection.create_index(keys, name=index, **described)

        with undone(make_again):
            collection.drop_index(index)
            if then is not bool:
                then(collection)
            yield

    return inject


def _own(act: Callable[[Documents], object]) -> Inject:
    return both(lambda operators: act(operators.mongodb[DATABASE][RECORDS]), plant)


def _set(**fields: object) -> Inject:
    return _own(lambda own: own.update_one(_RECORD, [{"$set": fields}]))


def _swap_pages(files: Documents, keys: list[Any]) -> None:
    pages = [(files.find_one({"_id": key}) or {})["images"] for key in keys]
    for key, images in zip(keys, reversed(pages), strict=True):
        files.update_one({"_id": key}, {"$set": {"images": images}})


def _gone(collection: Documents, keys: list[Any]) -> object:
    return collection.delete_one({"_id": keys[0]})


def _first(**fields: object) -> Callable[[Documents, list[Any]], object]:
    return lambda collection, keys: collection.update_one({"_id": keys[0]}, {"$set": fields})


_fault = partial(Fault, "mongodb")
FAULTS = (
    _fault("document lost", "content", CONVERSATIONS, changed("conversations", _gone)),
    _fault(
        "document twice",
        "content",
        OWN,
        _own(lambda own: own.insert_one({**(own.find_one(_RECORD) or {}), "_id": "twice"})),
    ),
    _fault("pages swapped", "content", FILES, changed("files", _swap_pages, limit=2)),
    _fault(
        "field renamed",
        "content",
        FILES,
        changed(
            "files",
            lambda files, _: files.update_many({}, {"$rename": {"filename": "file_name"}}),
            limit=0,
        ),
    ),
    _fault(
        "fields in another order",
        "content",
        OWN,
        _own(lambda own: own.replace_one(_RECORD, dict(reversed((own.find_one(_RECORD) or {}).items())))),
    ),
    _fault("integer became text", "content", OWN, _set(count="7")),
    _fault("integer became double", "content", OWN, _set(count=7.0)),
    _fault("integer became long", "content", OWN, _set(count=Int64(7))),
    _fault("null became empty", "content", OWN, _set(nothing="")),
    _fault(
        "null is gone", "content", OWN, _own(lambda own: own.update_one(_RECORD, {"$unset": {"nothing": 1}}))
    ),
    _fault("date became text", "content", OWN, _set(at={"$toString": "$at"})),
    _fault("milliseconds lost", "content", OWN, _set(at={"$dateTrunc": {"date": "$at", "unit": "second"}})),
    _fault("last bit of a double", "content", OWN, _set(ratio={"$multiply": ["$ratio", 1 + 2**-52]})),
    _fault("list reversed", "content", OWN, _set(list=[3, 2, 1])),
    _fault("boundary shifted", "content", OWN, _set(word="Zürich ", rest="7c")),
    _fault(
        "index dropped",
        "schema",
        CONVERSATIONS,
        without_index("conversations", "username_1_last_modify_at_-1"),
    ),
    _fault(
        "unique no more",
        "schema",
        MODELS,
        without_index("model_config", "username_1", lambda models: models.create_index("username")),
    ),
    _fault(
        "index in another order",
        "schema",
        OWN,
        without_index(RECORDS, "by_word", lambda own: own.create_index([("word", -1)], name="by_word")),
    ),
    # To remove the validator is not enough: the collection would keep its strictness.
    _fault(
        "validator added",
        "schema",
        OWN,
        _own(lambda own: own.database.command("collMod", RECORDS, validator={"count": {"$type": "string"}})),
    ),
    _fault(
        "view left",
        "schema left",
        "",
        both(
            lambda o: o.mongodb[DATABASE].command("create", "faults_view", viewOn=RECORDS, pipeline=[]),
            lambda o: o.mongodb[DATABASE].drop_collection("faults_view"),
        ),
    ),
    _fault(
        "collection left",
        "collection left",
        "",
        both(
            lambda o: o.mongodb[DATABASE]["faults_left"].insert_one({"migrated": True}),
            lambda o: o.mongodb[DATABASE]["faults_left"].drop(),
        ),
    ),
    _fault(
        "collection renamed",
        "count",
        MODELS,
        both(
            lambda o: o.mongodb[DATABASE]["model_config"].rename("faults_config"),
            lambda o: o.mongodb[DATABASE]["faults_config"].rename("model_config"),
        ),
    ),
    _fault("settings lost", "references", "settings_of_users", changed("model_config", _gone)),
    _fault(
        "knowledge base names no file",
        "references",
        "files_of_knowledge_bases",
        changed("knowledge_bases", _first(**{"files.0.file_id": "nowhere"})),
    ),
    _fault(
        "file of another user",
        "references",
        "documents_of_files",
        changed("files", _first(username="nobody")),
    ),
)
