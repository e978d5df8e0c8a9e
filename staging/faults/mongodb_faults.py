"""Faults of MongoDB: in the application's collections, and in one with a field of each kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import Int64
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS
from pymongo import DESCENDING
from pymongo.collection import Collection

from rollproof.errors import Mismatch
from staging.faults.fault import Register
from staging.target.operators import Operators, undone

fault = Register("mongodb")
DATABASE, RECORDS = "mongodb", "faults_records"
FILES, CONVERSATIONS = f"{DATABASE}.files", f"{DATABASE}.conversations"
_RECORDS = f"{DATABASE}.{RECORDS}"
_RECORD = {"_id": 7}
_DOCUMENTS = 40


@contextmanager
def planted(operators: Operators) -> Iterator[None]:
    """Provide the faults' own collection."""
    with undone(_collection(operators, RECORDS).drop):
        _fill(operators)
        yield


def _fill(operators: Operators) -> None:
    """Rebuild the collection with its documents."""
    collection = _collection(operators, RECORDS)
    collection.drop()
    collection.insert_many(
        {
            "_id": number,
            "count": number,
            "large": Int64(2**40 + number),
            "ratio": 1 / (number + 3),
            "nothing": None,
            "word": f"Zürich {number}",
            "rest": "c",
            "at": datetime(2026, 3, 29, 1, 30, 0, 123_000, tzinfo=UTC) + timedelta(hours=number),
            "list": [1, 2, 3],
            "place": {"x": number, "y": -number},
            "content": bytes([number, 255, 0]),
        }
        for number in range(_DOCUMENTS)
    )
    collection.create_index([("word", 1)], name="by_word")


def _collection(operators: Operators, name: str) -> Collection[dict[str, Any]]:
    return operators.mongodb[DATABASE][name]


@contextmanager
def _kept(operators: Operators, name: str, which: Mapping[str, Any], limit: int = 0) -> Iterator[list[Any]]:
    """Yield the keys of some documents; put these documents back at the end, byte by byte."""
    raw = operators.mongodb[DATABASE].get_collection(name, codec_options=DEFAULT_RAW_BSON_OPTIONS)
    documents = list(raw.find(dict(which)).sort("_id").limit(limit))
    if not documents:
        raise Mismatch(
            what=f"documents of {name}",
            expected=f"some with {dict(which)}",
            observed="none",
            source="MongoDB",
            hint="the stack is unseeded, or a fault before was not taken back",
        )

    def put_back() -> None:
        for document in documents:
            raw.replace_one({"_id": document["_id"]}, document, upsert=True)

    with undone(put_back):
        yield [document["_id"] for document in documents]


def _record(operators: Operators, *stages: Mapping[str, Any]) -> Iterator[None]:
    """Change one of the faults' own documents by stages of a pipeline."""
    with _kept(operators, RECORDS, _RECORD):
        _collection(operators, RECORDS).update_one(_RECORD, list(stages))
        yield


def _set(operators: Operators, **fields: object) -> Iterator[None]:
    yield from _record(operators, {"$set": fields})


@fault.content(CONVERSATIONS)
def document_lost(operators: Operators) -> Iterator[None]:
    """One document is gone."""
    with _kept(operators, "conversations", {}, limit=1) as (key,):
        _collection(operators, "conversations").delete_one({"_id": key})
        yield


@fault.content(_RECORDS)
def document_twice(operators: Operators) -> Iterator[None]:
    """One document is there a second time, under another key."""
    collection = _collection(operators, RECORDS)
    document = collection.find_one(_RECORD) or {}
    with undone(lambda: collection.delete_one({"_id": "twice"})):
        collection.insert_one({**document, "_id": "twice"})
        yield


@fault.content(FILES)
def pages_swapped(operators: Operators) -> Iterator[None]:
    """Two files have each other's pages: every list and count is as before."""
    collection = _collection(operators, "files")
    with _kept(operators, "files", {}, limit=2) as keys:
        pages = [(collection.find_one({"_id": key}) or {})["images"] for key in keys]
        for key, images in zip(keys, reversed(pages), strict=True):
            collection.update_one({"_id": key}, {"$set": {"images": images}})
        yield


@fault.content(FILES)
def field_renamed(operators: Operators) -> Iterator[None]:
    """A field has another name in every document: all counts are as before."""
    with _kept(operators, "files", {}):
        _collection(operators, "files").update_many({}, {"$rename": {"filename": "file_name"}})
        yield


@fault.content(_RECORDS)
def fields_in_another_order(operators: Operators) -> Iterator[None]:
    """The fields of a document are in another order, which makes another document of it."""
    collection = _collection(operators, RECORDS)
    with _kept(operators, RECORDS, _RECORD):
        document = collection.find_one(_RECORD) or {}
        collection.replace_one(_RECORD, dict(reversed(document.items())))
        yield


@fault.content(_RECORDS)
def integer_became_text(operators: Operators) -> Iterator[None]:
    """An integer is a text that reads the same."""
    yield from _set(operators, count={"$toString": "$count"})


@fault.content(_RECORDS)
def integer_became_double(operators: Operators) -> Iterator[None]:
    """An integer is a floating-point number of the same value."""
    yield from _set(operators, count={"$toDouble": "$count"})


@fault.content(_RECORDS)
def integer_became_long(operators: Operators) -> Iterator[None]:
    """An integer of 32 bits has 64."""
    yield from _set(operators, count={"$toLong": "$count"})


@fault.content(_RECORDS)
def null_became_empty(operators: Operators) -> Iterator[None]:
    """A field that was null is an empty text."""
    yield from _set(operators, nothing="")


@fault.content(_RECORDS)
def null_is_gone(operators: Operators) -> Iterator[None]:
    """A field that was null is not there."""
    yield from _record(operators, {"$unset": "nothing"})


@fault.content(_RECORDS)
def date_became_text(operators: Operators) -> Iterator[None]:
    """A date is a text that reads the same."""
    yield from _set(operators, at={"$toString": "$at"})


@fault.content(_RECORDS)
def milliseconds_lost(operators: Operators) -> Iterator[None]:
    """A date has lost its milliseconds."""
    yield from _set(operators, at={"$dateTrunc": {"date": "$at", "unit": "second"}})


@fault.content(_RECORDS)
def last_bit_of_a_double(operators: Operators) -> Iterator[None]:
    """One floating-point number is the next larger one."""
    yield from _set(operators, ratio={"$multiply": ["$ratio", 1 + 2**-52]})


@fault.content(_RECORDS)
def list_reversed(operators: Operators) -> Iterator[None]:
    """A list is in another order."""
    yield from _set(operators, list={"$reverseArray": "$list"})


@fault.content(_RECORDS)
def boundary_shifted(operators: Operators) -> Iterator[None]:
    """The end of one field is at the beginning of the next: put together they read the same."""
    yield from _set(operators, word="Zürich ", rest="7c")


@contextmanager
def _without_index(operators: Operators, name: str, index: str) -> Iterator[Collection[dict[str, Any]]]:
    """Drop an index, and rebuild it at the end as it was."""
    collection = _collection(operators, name)
    described = dict(collection.index_information()[index])
    keys: Sequence[Any] = described.pop("key")
    described.pop("v", None)

    def make_again() -> None:
        if index in collection.index_information():
            collection.drop_index(index)
        collection.create_index(keys, name=index, **described)

    with undone(make_again):
        collection.drop_index(index)
        yield collection


@fault.schema(CONVERSATIONS)
def index_dropped(operators: Operators) -> Iterator[None]:
    """An index is gone."""
    with _without_index(operators, "conversations", "username_1_last_modify_at_-1"):
        yield


@fault.schema(f"{DATABASE}.model_config")
def unique_no_more(operators: Operators) -> Iterator[None]:
    """An index is still there, and no longer unique."""
    with _without_index(operators, "model_config", "username_1") as collection:
        collection.create_index("username")
        yield


@fault.schema(_RECORDS)
def index_in_another_order(operators: Operators) -> Iterator[None]:
    """An index of the same name is in the other direction."""
    with _without_index(operators, RECORDS, "by_word") as collection:
        collection.create_index([("word", DESCENDING)], name="by_word")
        yield


@fault.schema(_RECORDS)
def validator_added(operators: Operators) -> Iterator[None]:
    """The collection refuses documents that it took before."""
    database = operators.mongodb[DATABASE]
    # Removing the validator is not enough: the collection would still keep its strictness.
    with undone(lambda: _fill(operators)):
        database.command("collMod", RECORDS, validator={"count": {"$type": "string"}})
        yield


@fault.left_over_schema()
def view_left(operators: Operators) -> Iterator[None]:
    """A view of the migration is still there."""
    database = operators.mongodb[DATABASE]
    with undone(lambda: database.drop_collection("faults_view")):
        database.command("create", "faults_view", viewOn=RECORDS, pipeline=[])
        yield


@fault.left_over()
def collection_left(operators: Operators) -> Iterator[None]:
    """A collection of the migration is still there."""
    with undone(_collection(operators, "faults_left").drop):
        _collection(operators, "faults_left").insert_one({"migrated": True})
        yield


@fault.count(f"{DATABASE}.model_config")
def collection_renamed(operators: Operators) -> Iterator[None]:
    """A collection has another name."""
    database = operators.mongodb[DATABASE]
    database["model_config"].rename("faults_config")
    with undone(lambda: database["faults_config"].rename("model_config")):
        yield


@fault.references("settings_of_users")
def settings_lost(operators: Operators) -> Iterator[None]:
    """A user of MySQL has no settings."""
    with _kept(operators, "model_config", {}, limit=1) as (key,):
        _collection(operators, "model_config").delete_one({"_id": key})
        yield


@fault.references("files_of_knowledge_bases")
def knowledge_base_names_no_file(operators: Operators) -> Iterator[None]:
    """A knowledge base lists a file that is not there."""
    with _kept(operators, "knowledge_bases", {}, limit=1) as (key,):
        change = {"$set": {"files.0.file_id": "nowhere"}}
        _collection(operators, "knowledge_bases").update_one({"_id": key}, change)
        yield


@fault.references("documents_of_files")
def file_of_another_user(operators: Operators) -> Iterator[None]:
    """A file belongs to another user than its row in MySQL says."""
    with _kept(operators, "files", {}, limit=1) as (key,):
        _collection(operators, "files").update_one({"_id": key}, {"$set": {"username": "nobody"}})
        yield
