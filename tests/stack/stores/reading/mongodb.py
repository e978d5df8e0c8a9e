"""MongoDB for the contract: papers in a database of their own, and a collection of every kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, cast

from bson import Decimal128, Int64, ObjectId, Timestamp
from bson.binary import Binary
from pymongo.collection import Collection

from rollproof.stores.contract import Pace
from rollproof.stores.mongodb import reader as mongodb_content
from rollproof.stores.mongodb.bson import ORDER
from rollproof.stores.mongodb.client import Document, connect
from rollproof.stores.mongodb.descriptor import MongodbProfile
from rollproof.stores.reach import Reach
from tests.stack.mongodb_papers import START, paper
from tests.stack.scratch_stores import changed
from tests.stack.stores.reading.subject import Act, Change, Given, Sizes, Subject, ways

DATABASE = "scratch_reading"
PAPERS, MANY = 50, 2500
FIRST, LAST = -1, "after all numbers"
MIXED = [
    *(None, -1, 2, 2.5, Int64(3), Decimal128("4"), "", "a", "ä", {"a": 1}, {"a": "x"}, Binary(b"x"), b""),
    *(ObjectId(b"0" * 12), False, True, START, datetime(9999, 1, 1, tzinfo=UTC), Timestamp(1, 1)),
    *(float("-inf"), {"$ref": "a", "$id": 1}, "line\nof text", Binary(b"y" * 16, 4)),
]
SHAPES: Mapping[str, Document] = {
    "papers": {},
    "keys of every type": {},
    "keys of every type by a collation": {"collation": {"locale": "de"}},
    "capped": {"capped": True, "size": 100_000},
    "clustered": {"clusteredIndex": {"key": {"_id": 1}, "unique": True}},
    "series": {"timeseries": {"timeField": "at", "metaField": "by"}},
}


def _key(number: int) -> str:
    return str(number)


def _set(number: int, seen: set[str], **values: object) -> Change:
    def act(subject: Mongodb) -> None:
        subject.papers.update_one({"_id": number}, {"$set": values})

    return act, {_key(number): seen}


def _swap(subject: Mongodb) -> None:
    subject.papers.update_one({"_id": 3}, {"$set": {"text": "Alpha 4"}})
    subject.papers.update_one({"_id": 4}, {"$set": {"text": "Alpha 3"}})


def _written_backwards(subject: Mongodb) -> None:
    subject.papers.delete_many({})
    for number in reversed(range(PAPERS)):
        subject.papers.insert_one(paper(number))


def _reorder_key(subject: Mongodb) -> None:
    defined = subject.database["defined"]
    defined.drop_index("two")
    defined.create_index([("first", -1), ("text", 1)], name="two", partialFilterExpression={"count": 1})


def _modify(what: str, **changes: object) -> Act:
    return lambda subject: subject.database.command("collMod", what, **changes)


def _recollate(subject: Mongodb) -> None:
    """Make a collection again that orders texts otherwise, as one by a collation of another version does."""
    subject.database.drop_collection("defined german")
    subject.database.create_collection("defined german", collation={"locale": "de", "strength": 1})


class Mongodb(Subject):
    """Papers by their number."""

    store = "mongodb"
    changes: Mapping[str, Change] = {
        "lost": (lambda s: s.papers.delete_one({"_id": 7}), {_key(7): None}),
        "added": (lambda s: s.papers.insert_one({"_id": "late"}), {'"late"': None}),
        "doubled": (
            lambda s: s.papers.insert_one({**paper(7), "_id": 7.5}),
            {"7.5": None},
        ),
        "one lost and one added": (
            lambda s: (s.papers.delete_one({"_id": 7}), s.papers.insert_one({"_id": 700})),
            {_key(7): None, _key(700): None},
        ),
        "two values swapped": (_swap, {_key(3): {"text"}, _key(4): {"text"}}),
        "a bit": _set(7, {"bytes"}, bytes=Binary(bytes([7, 8, 9, 10, 11, 12, 13, 15]))),
        "null to empty": _set(7, {"note"}, note=""),
        "null to nothing": (
            lambda s: s.papers.update_one({"_id": 7}, {"$unset": {"note": 1}}),
            {_key(7): {"note", ORDER}},
        ),
        "a field more": _set(7, {"late", ORDER}, late=1),
        "a trailing space": _set(7, {"text"}, text="Alpha 7 "),
        "case": _set(7, {"text"}, text="alpha 7"),
        "a fraction": _set(7, {"price"}, price=2.9),
        "the last bit of a fraction": _set(7, {"price"}, price=2.3000000000000003),
        "a decimal's precision": _set(7, {"exact"}, exact=Decimal128("1.1")),
        "a date's precision": _set(7, {"at"}, at=START + timedelta(seconds=7, milliseconds=1)),
        "64 bits": _set(7, {"count"}, count=Int64(7)),
        "a fraction of a whole": _set(7, {"count"}, count=7.0),
        "text of a number": _set(7, {"count"}, count="7"),
        "0 of false": _set(7, {"flag"}, flag=0),
        "a boundary": _set(7, {"first", "second"}, first="a", second="bc"),
        "an item's place": _set(7, {"list"}, list=["a", 7]),
        "deep inside": _set(7, {"nested"}, **{"nested.b.deep": 3}),
        "order inside": _set(7, {"nested"}, nested={"b": {"deep": 2}, "a": 1}),
        "order of fields": (
            lambda s: s.papers.replace_one({"_id": 7}, dict(reversed(paper(7).items()))),
            {_key(7): {ORDER}},
        ),
    }
    equals: ClassVar[Mapping[str, Act]] = {"written backwards": _written_backwards}
    schema_changes: ClassVar[Mapping[str, Act]] = {
        "index gone": lambda s: s.database["defined"].drop_index("by text"),
        "index more": lambda s: s.database["defined"].create_index("late"),
        "index hidden": _modify("defined", index={"name": "late_1", "hidden": True}),
        "key order": _reorder_key,
        "expiry": _modify("defined", index={"name": "expiring", "expireAfterSeconds": 61}),
        "validator": _modify("defined", validator={"text": {"$ne": 1}}),
        "level": _modify("defined", validationLevel="moderate"),
        "action": _modify("defined", validationAction="warn"),
        "view": _modify("seen", viewOn="defined", pipeline=[{"$sort": {"count": 1, "text": -1}}]),
        "another order of texts": _recollate,
        "collection more": lambda s: s.database.create_collection("defined late"),
        "view gone": lambda s: s.database.drop_collection("seen"),
        "series": _modify("defined series", expireAfterSeconds=10**9),
    }
    shapes: ClassVar[Mapping[str, Sizes]] = {name: "least" for name in SHAPES if name != "series"}
    ways = ways("Authentication failed")
    attempts: ClassVar[Mapping[str, tuple[Act, str]]] = {
        "insert": (lambda s: s.as_reader[DATABASE]["papers"].insert_one({}), "not authorized"),
    }
    garbled: ClassVar[Mapping[str, str]] = {"bucket 2 of 2": "division of"}
    gone = f"expected collection {DATABASE}.gone"
    nothing = ({"databases": (f"{DATABASE}_gone",)}, f"expected a collection in {DATABASE}_gone")
    excluded = ("text", "nested.b.deep")
    hidden, shown = "deep inside", "null to empty"
    server = "MongoDB "

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        stored = cast("MongodbProfile", given.target.stores["mongodb"])
        self.profile = changed(stored, databases=(DATABASE,), exclude={})
        endpoint = given.engine.resolve(stored.address)
        self.client = connect(Reach("mongodb", endpoint, stored.operator, 60), "admin")
        self.as_reader = connect(Reach("mongodb", endpoint, stored.reader, 60), "admin")
        self.database = self.client[DATABASE]
        self.papers: Collection[Document] = self.database["papers"]
        self.full, self.empty = f"{DATABASE}.papers", f"{DATABASE}.odd. näme"
        self.absent, self.many = f"{DATABASE}.gone", f"{DATABASE}.many"
        self.keys = frozenset(_key(number) for number in range(PAPERS))
        self.counts = {self.many: MANY, self.empty: 0, self.full: PAPERS, f"{DATABASE}.series": 0}
        self.asked = (self.many, 1000)

    def fill(self) -> None:
        self.client.drop_database(DATABASE)
        self.papers.insert_many(paper(number) for number in range(PAPERS))
        self.database["many"].insert_many({"_id": number} for number in range(MANY))
        self.database.create_collection("odd. näme")
        self.database.create_collection("series", timeseries={"timeField": "at"})
        self.database.create_collection("view", viewOn="many", pipeline=[])

    def mend(self) -> None:
        self.papers.delete_many({})
        self.papers.insert_many(paper(number) for number in range(PAPERS))
        self.database.drop_collection("shape")

    def shaped(self, shape: str) -> str:
        self.database.drop_collection("shape")
        made = self.database.create_collection("shape", **SHAPES[shape])
        if "every type" in shape:
            made.insert_many({"_id": key} for key in MIXED)
        elif shape == "papers":
            made.insert_many(paper(number) for number in range(PAPERS))
        else:
            made.insert_many(_measured(number) for number in range(40))
        return f"{DATABASE}.shape"

    def stir(self, shape: str) -> tuple[set[str], set[str]]:
        made = self.database["shape"]
        if "every type" in shape:
            made.insert_many({"_id": key} for key in (-1000.5, Timestamp(9, 9), "b"))
            made.delete_many({"_id": {"$in": [2, "a"]}})
            return set(), set()
        made.insert_many([{"_id": FIRST}, {"_id": LAST}])
        if shape != "capped":
            made.delete_one({"_id": 20})
        return {_key(FIRST)}, {f'"{LAST}"'}

    def define(self) -> None:
        database = self.database
        database.create_collection(
            "defined", validator={"text": {"$type": "string"}}, validationLevel="strict"
        )
        defined = database["defined"]
        defined.create_index("text", name="by text", unique=True, collation={"locale": "fr"})
        defined.create_index([("text", 1), ("first", -1)], name="two", partialFilterExpression={"count": 1})
        defined.create_index("late_at", name="expiring", expireAfterSeconds=60)
        defined.create_index([("second", "text")], weights={"second": 3})
        database.create_collection("defined capped", capped=True, size=100_000, max=50)
        database.create_collection("defined german", collation={"locale": "de"})
        database.create_collection("defined clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
        database.create_collection("defined series", timeseries={"timeField": "at", "metaField": "by"})
        database["defined series"].insert_one({"at": START, "by": 1, "b": 1, "a": 2})
        database.create_collection("seen", viewOn="defined", pipeline=[{"$sort": {"text": -1, "count": 1}}])
        self.defined = (f"{DATABASE}.defined", f"{DATABASE}.defined series")

    def undefine(self) -> None:
        for name in self.database.list_collection_names():
            if name.startswith("defined") or name == "seen":
                self.database.drop_collection(name)

    def spoil(self) -> None:
        self.client.drop_database(DATABASE)
        self.papers.insert_one({"_id": 1})

    def exclude(self, fields: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        return {"*.papers": tuple(fields), "*.other": ("note",)}

    def clear(self) -> None:
        self.client.drop_database(DATABASE)
        self.client.close()
        self.as_reader.close()


class MongodbInSmallRequests(Mongodb):
    """The same, where each part is many requests."""

    variant = True
    schema_changes, ways, attempts = {}, {}, {}

    limits = ((mongodb_content, "BATCH", 3), (Pace, "next_size", lambda *_: 3))


def _measured(number: int) -> dict[str, Any]:
    minute = START + timedelta(minutes=number // 2)
    return {"_id": number, "at": minute, "by": number % 3, "b": number, "a": number}
