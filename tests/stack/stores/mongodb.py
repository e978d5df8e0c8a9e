"""MongoDB: papers, every type of BSON, and collections of every kind, in databases of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, cast

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument
from pymongo.collection import Collection
from pymongo.database import Database

from rollproof.stores.contract import ExportedRecord, Pace
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.mongodb import reader as mongodb_content
from rollproof.stores.mongodb.bson import LENIENT, ORDER
from rollproof.stores.mongodb.client import Document, connect
from rollproof.stores.mongodb.descriptor import MongodbProfile
from rollproof.stores.reach import Reach
from tests.stack.mongodb_papers import START, paper
from tests.stack.scratch_stores import changed
from tests.stack.stores.subject import WHOLE, Act, Change, Chosen, Exported, Given, Sizes, Subject, ways

DATABASE = "scratch_reading"
PAPERS, MANY = 50, 2500
BEFORE_ALL, AFTER_ALL = -1, "after all numbers"
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


def _measured(number: int) -> dict[str, Any]:
    minute = START + timedelta(minutes=number // 2)
    return {"_id": number, "at": minute, "by": number % 3, "b": number, "a": number}


FIRST, SECOND, OUTSIDE = "scratch_first", "scratch_second", "scratch_outside"
KEPT_PAPERS, SERIES = f"{FIRST}.two words", f"{FIRST}.series"
SIMPLE = {"locale": "simple"}
AWKWARD: dict[str, object] = {
    "double": 0.1 + 0.2,
    "whole double": 2.0,
    "minus zero": -0.0,
    "infinite": float("-inf"),
    "no number": float("nan"),
    "32 bits": 7,
    "64 bits": Int64(7),
    "the least": Int64(-(2**63)),
    "decimal": Decimal128("1.10"),
    "no decimal": Decimal128("NaN"),
    "text": 'quoted "\\ \n\r\t\u2028 \x00 ä \U0001f600',
    "nothing": "",
    "null": None,
    "yes": True,
    "bytes": b"\x00\xff\n",
    "bytes of a kind": Binary(b"\x01\x02", 128),
    "old bytes": Binary(b"\x01\x02", 2),
    "uuid": Binary(bytes(range(16)), 4),
    "object id": ObjectId("0123456789abcdef01234567"),
    "date": datetime(2024, 2, 29, 23, 59, 59, 999000, tzinfo=UTC),
    "date before 1970": datetime(1815, 12, 10, tzinfo=UTC),
    "date beyond": DatetimeMS(2**62),
    "timestamp": Timestamp(4_294_967_295, 7),
    "regex": Regex("^a/\\d\n", "im"),
    "code": Code("function () { return 1 }"),
    "code with scope": Code("x", {"x": 1}),
    "reference": DBRef("papers", 3, FIRST),
    "least": MinKey(),
    "most": MaxKey(),
    "list": [1, [2.0, {"b": None, "a": Int64(1)}], []],
    "empty document": {},
    "order": {"b": 1, "a": 2},
    "dots": {"a.b": 1},
}
KEYS: tuple[object, ...] = (
    ObjectId("0123456789abcdef01234567"), "text \n", Int64(2**40), 2.5, {"b": 1, "a": Decimal128("1.0")},
    b"\xff",
)  # fmt: skip
UNSAYABLE = (
    # A name that means a type, a name twice, a symbol, undefined, and a text that is no UTF-8.
    bson.encode({"a": {"$numberInt": "7"}}),
    b"\x13\0\0\0\x10a\0\x01\0\0\0\x10a\0\x02\0\0\0\0",
    b"\x0f\0\0\0\x0ea\0\x03\0\0\0xy\0\0",
    b"\x08\0\0\0\x06a\0\0",
    b"\x0f\0\0\0\x02a\0\x03\0\0\0\xffy\0\0",
)


def _first(harm: Callable[[Database[Document]], object]) -> Act:
    return lambda subject: harm(subject.client[FIRST])


def _second(harm: Callable[[Collection[Document]], object]) -> Act:
    return lambda subject: harm(subject.client[SECOND]["large"])


class Mongodb(Subject):
    """Papers by their number, of the stack's server."""

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
        self.client, self.as_reader = (
            self.opened.enter_context(connect(Reach("mongodb", endpoint, account, 60), "admin"))
            for account in (stored.operator, stored.reader)
        )
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
        made.insert_many([{"_id": BEFORE_ALL}, {"_id": AFTER_ALL}])
        if shape != "capped":
            made.delete_one({"_id": 20})
        return {_key(BEFORE_ALL)}, {f'"{AFTER_ALL}"'}

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
        self.leave()

    # How it is kept.

    readable: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "1000": {
            "decimal": {"$numberDecimal": "1.10"},
            "infinite": {"$numberDouble": "-Infinity"},
            "64 bits": 7,
            "object id": {"$oid": "0123456789abcdef01234567"},
            "date": {"$date": "2024-02-29T23:59:59.999Z"},
            "date beyond": {"$date": {"$numberLong": str(2**62)}},
            "bytes": {"$binary": {"base64": "AP8K", "subType": "00"}},
            "least": {"$minKey": 1},
            "list": [1, [2.0, {"b": None, "a": 1}], []],
        }
    }
    undigested = ("text", "order.b", "value")
    sizes = True

    rounds: ClassVar[Mapping[str, Mapping[str, Act]]] = {
        "documents and descriptions": {
            "documents deleted": _first(lambda d: d["typed"].delete_many({"_id": {"$lt": 100}})),
            "documents added": _first(lambda d: d["capped"].insert_one({"number": "late"})),
            "one value changed": _second(lambda c: c.update_one({"number": 7}, {"$inc": {"number": 1}})),
            "a number of another type": _second(lambda c: c.update_one({}, [{"$set": {"number": 0.0}}])),
            "an index hidden": _first(
                lambda d: d.command("collMod", "typed", index={"name": "by whole", "hidden": True})
            ),
            "an index dropped": _first(lambda d: d["typed"].drop_index("by whole")),
            "an index added": _second(lambda c: c.create_index("number")),
            "the validator loosened": _first(lambda d: d.command("collMod", "typed", validator={})),
            "a view changed": _first(lambda d: d.command("collMod", "view", viewOn="typed", pipeline=[])),
            "a view dropped": _first(lambda d: d.drop_collection("view")),
            "a collection renamed": _second(lambda c: c.rename("small")),
            "a collection dropped": _first(lambda d: d.drop_collection("german")),
            "a measurement added": _first(
                lambda d: d["series"].insert_one({"at": datetime(2025, 1, 1, tzinfo=UTC), "by": 3})
            ),
        },
    }
    notes = frozenset(
        {
            "dropped scratch_first.late view, which came after the backup",
            "dropped scratch_second.late, which came after the backup",
        }
    )
    words = ("one moment", "capped scratch_first.capped")
    kills = (0, 3, 7)
    strangers: ClassVar[Mapping[str, Mapping[str, object]]] = {"databases": {"databases": (FIRST,)}}
    disturbed = "another set of them"
    overtaken = "observed other documents"

    def settle(self) -> None:
        self.take(changed(self.profile, databases=(FIRST, SECOND)))
        self.client.drop_database(OUTSIDE)
        self.opened.callback(self.client.drop_database, OUTSIDE)
        self.opened.callback(self.wipe)
        self.client[OUTSIDE]["papers"].insert_one({"_id": 1})

    def wipe(self) -> None:
        for name in (FIRST, SECOND):
            self.client.drop_database(name)

    # The export.

    def _lenient(self, name: str) -> Collection[Document]:
        database, _, collection = name.partition(".")
        return self.client[database].get_collection(collection, codec_options=LENIENT)

    def _raw(self, documents: list[bytes]) -> None:
        raw = self.client[FIRST].get_collection("two words", codec_options=DEFAULT_RAW_BSON_OPTIONS)
        raw.insert_many([RawBSONDocument(document) for document in documents])

    def _every_type(self) -> Exported:
        self._lenient(KEPT_PAPERS).insert_many(
            [
                *({"_id": number, "value": value} for number, value in enumerate(AWKWARD.values())),
                *({"_id": key, "text": "a key"} for key in KEYS),
                {"_id": 1000, **AWKWARD},
            ]
        )

        def damage() -> None:
            self.client[FIRST]["two words"].delete_many({"_id": {"$mod": [2, 0]}})
            self.client[FIRST]["two words"].update_many({}, {"$set": {"value": "changed"}})

        def look(records: Sequence[ExportedRecord], _folder: Path) -> None:
            assert len(records) == len(AWKWARD) + len(KEYS) + 1

        return Exported(KEPT_PAPERS, damage, look=look)

    def _unsayable(self) -> Exported:
        for number, document in enumerate(UNSAYABLE):
            body = bson.encode({"_id": number})[4:-1] + document[4:]
            self._raw([(len(body) + 4).to_bytes(4, "little") + body])

        return Exported(KEPT_PAPERS, lambda: self.client[FIRST]["two words"].delete_many({}), size=2)

    def _series(self) -> Exported:
        self.client[FIRST].create_collection("series", timeseries={"timeField": "at", "metaField": "of"})
        self.client[FIRST]["series"].insert_many(
            {"at": datetime(2024, 1, 1, 0, n, tzinfo=UTC), "of": n % 2, "value": n / 7} for n in range(10)
        )
        return Exported(SERIES, lambda: self.client[FIRST]["series"].delete_many({"of": {"$in": [0, 1]}}))

    exported: ClassVar[Mapping[str, Callable[[Mongodb], Exported]]] = {
        "every type": _every_type,
        "what JSON cannot say": _unsayable,
        "a time series": _series,
    }

    def choose(self) -> Chosen:
        papers = self.client[FIRST]["two words"]
        papers.insert_many(paper(number) for number in range(50))

        def spoil() -> None:
            papers.delete_one({"_id": 4})
            papers.update_one({"_id": 5}, {"$set": {"text": "later"}})

        three, four, five, last = (str(number) for number in (3, 4, 5, 25))
        return Chosen(KEPT_PAPERS, (three, four, five, last), spoil, (three, last), size=10)

    def small(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(mongodb_content, "BATCH", 3)
        patch.setattr(Pace, "next_size", lambda *_: 3)

    # The keeper.

    def populate(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.wipe()
        database = self.client[FIRST]
        # Written before there was a validator: it would not be taken today.
        database["typed"].insert_one({"_id": "old", "whole": -1})
        database.command(
            "collMod",
            "typed",
            validator={"$jsonSchema": {"required": ["text"], "properties": {"whole": {"minimum": 0}}}},
            validationLevel="moderate",
        )
        database["typed"].insert_many(
            {
                "_id": number,
                "text": f"t{number}",
                "whole": Int64(number),
                "fraction": float(number),
                "decimal": Decimal128("1.10"),
                "stamp": Timestamp(7, number),
                "nothing": None,
                "at": datetime(2024, 1, 1, tzinfo=UTC),
                "pattern": Regex("^a", "i"),
                "bytes": Binary(b"x", 5),
                "code": Code("f", {"x": 1}),
                "reference": DBRef("a", 1),
                "nested": {"": [{"stamp": Timestamp(0, 0)}]},
            }
            for number in range(300)
        )
        database["typed"].create_index("whole", unique=True, name="by whole")
        database["typed"].create_index([("text", "text"), ("more", "text")], weights={"more": 3})
        database["typed"].create_index("at", partialFilterExpression={"whole": {"$gt": 3}}, hidden=True)
        database["typed"].create_index([("$**", 1)], wildcardProjection={"nothing": 1})
        database["typed"].create_index([("place", "2dsphere")], sparse=True)
        database.create_collection("german", collation={"locale": "de"})
        database["german"].create_index("a")
        database["german"].create_index("b", collation=SIMPLE)
        database["german"].insert_one({"a": "ä"})
        database.create_collection("capped", capped=True, size=100_000, max=50)
        database["capped"].insert_many({"number": number} for number in range(60))
        database.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
        database["clustered"].insert_many({"_id": 99 - number} for number in range(50))
        database.create_collection("series", timeseries={"timeField": "at", "metaField": "by"})
        start = datetime(2024, 1, 1, tzinfo=UTC)
        database["series"].insert_many(
            {"at": start + timedelta(minutes=number), "by": number % 2, "value": number}
            for number in range(10)
        )
        database["series"].create_index("by")
        database.create_collection("empty")
        database.create_collection("view", viewOn="typed", pipeline=[{"$match": {"whole": {"$gt": 5}}}])
        self.client[SECOND]["large"].insert_many(
            {"text": "x" * 500, "number": number} for number in range(5000)
        )
        return {
            f"{FIRST}.capped": 50,
            f"{FIRST}.clustered": 50,
            f"{FIRST}.empty": 0,
            f"{FIRST}.german": 1,
            f"{FIRST}.series": 10,
            f"{FIRST}.typed": 301,
            f"{SECOND}.large": 5000,
        }

    def observe(self) -> object:
        return [self._observed(name) for name in (FIRST, SECOND)]

    def _observed(self, name: str) -> object:
        """Return the server's own digest of every collection of a database, with options and indexes."""
        database = self.client[name]
        # What the server leaves behind when the last view goes; views are told of by their options.
        found = [one for one in database.list_collections() if one["name"] != "system.views"]
        hashes = database.command("dbHash")["collections"]
        return (
            {name: digest for name, digest in hashes.items() if name != "system.views"},
            sorted((str(one["name"]), str(one["type"]), repr(one["options"])) for one in found),
            sorted(
                repr(index)
                for one in found
                if one["type"] != "view"
                for index in database[one["name"]].list_indexes()
            ),
        )

    def unlisted(self) -> object:
        return self._observed(OUTSIDE)

    def add(self) -> None:
        self.client[SECOND]["late"].insert_one({})
        self.client[FIRST].create_collection("late view", viewOn="typed", pipeline=[])

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return keeper, "_create"

    def reading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return keeper, "_dump", lambda: self.client[FIRST]["meanwhile"].insert_one({})

    def loading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return keeper, "_create", lambda: self.client[FIRST]["typed"].delete_one({})


class MongodbInSmallRequests(Mongodb):
    """The same, where each part is many requests."""

    variant, kept = True, False
    schema_changes, ways, attempts = {}, {}, {}

    limits = ((mongodb_content, "BATCH", 3), (Pace, "next_size", lambda *_: 3))
