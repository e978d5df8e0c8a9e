"""MongoDB, write side, against a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from bson import DBRef, Decimal128, Int64, Regex, Timestamp
from bson.binary import Binary
from bson.code import Code
from pymongo import MongoClient

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import ActionFailed
from fixtures.stores.mongodb import Document, View, connect
from fixtures.stores.profiles import MongodbProfile
from fixtures.stores.reach import Reach
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from rollback_actions.stores.keeper import kept_by
from rollback_actions.stores.mongodb import Keeper
from tests.stack.scratch_stores import changed, expect_damage_refused

FIRST, SECOND = "scratch_first", "scratch_second"
SIMPLE = {"locale": "simple"}


@pytest.fixture
def profile(target: Target) -> MongodbProfile:
    return changed(cast("MongodbProfile", target.stores["mongodb"]), databases=(FIRST, SECOND))


@pytest.fixture
def keeper(profile: MongodbProfile, engine: ContainerEngine, control: ContainerControl) -> Keeper:
    return Keeper("mongodb", profile, engine.resolve(profile.address), control)


@pytest.fixture
def endpoint(profile: MongodbProfile, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(profile.address)


@pytest.fixture
def scratch(profile: MongodbProfile, endpoint: Endpoint) -> Iterator[MongoClient[Document]]:
    with connect(Reach("mongodb", endpoint, profile.operator, 30), "admin") as client:
        for name in (FIRST, SECOND):
            client.drop_database(name)
        yield client
        for name in (FIRST, SECOND):
            client.drop_database(name)


def _fill(client: MongoClient[Document]) -> None:
    database = client[FIRST]
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
    # An insert would make the time of now of it.
    database["typed"].update_many({"_id": {"$lt": 5}}, {"$set": {"stamp": Timestamp(0, 0)}})
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
        {"at": start + timedelta(minutes=number), "by": number % 2, "value": number} for number in range(10)
    )
    database["series"].create_index("by")
    database.create_collection("empty")
    database.create_collection("view", viewOn="typed", pipeline=[{"$match": {"whole": {"$gt": 5}}}])
    client[SECOND]["large"].insert_many({"text": "x" * 500, "number": number} for number in range(5000))


def _observe(client: MongoClient[Document]) -> object:
    """Return the server's own digest of every collection, with options and indexes."""
    return [
        (
            client[name].command("dbHash")["collections"],
            sorted(
                (str(found["name"]), str(found["type"]), repr(found["options"]))
                for found in client[name].list_collections()
            ),
            sorted(
                repr(index)
                for collection in client[name].list_collection_names(filter={"type": {"$ne": "view"}})
                for index in client[name][collection].list_indexes()
            ),
        )
        for name in (FIRST, SECOND)
    ]


def _drop_everything(client: MongoClient[Document]) -> None:
    for name in (FIRST, SECOND):
        client.drop_database(name)


DAMAGE: dict[str, Callable[[MongoClient[Document]], object]] = {
    "documents deleted": lambda c: c[FIRST]["typed"].delete_many({"_id": {"$lt": 100}}),
    "documents added": lambda c: c[FIRST]["capped"].insert_one({"number": "late"}),
    "one value changed": lambda c: c[SECOND]["large"].update_one({"number": 7}, {"$inc": {"number": 1}}),
    "a number of another type": lambda c: c[SECOND]["large"].update_one({}, [{"$set": {"number": 0.0}}]),
    "an index dropped": lambda c: c[FIRST]["typed"].drop_index("by whole"),
    "an index added": lambda c: c[SECOND]["large"].create_index("number"),
    "an index hidden": lambda c: c[FIRST].command(
        "collMod", "typed", index={"name": "by whole", "hidden": True}
    ),
    "the validator loosened": lambda c: c[FIRST].command("collMod", "typed", validator={}),
    "a view changed": lambda c: c[FIRST].command("collMod", "view", viewOn="typed", pipeline=[]),
    "a view dropped": lambda c: c[FIRST].drop_collection("view"),
    "a collection renamed": lambda c: c[SECOND]["large"].rename("small"),
    "a collection dropped": lambda c: c[FIRST].drop_collection("german"),
    "a measurement added": lambda c: c[FIRST]["series"].insert_one(
        {"at": datetime(2025, 1, 1, tzinfo=UTC), "by": 3}
    ),
    "everything dropped": _drop_everything,
}


def test_a_restore_gives_back_every_byte_option_and_index(
    profile: MongodbProfile,
    endpoint: Endpoint,
    keeper: Keeper,
    scratch: MongoClient[Document],
    tmp_path: Path,
) -> None:
    _fill(scratch)
    before = _observe(scratch)
    kept = keeper.back_up(tmp_path)
    assert _observe(scratch) == before
    with View("mongodb", profile, endpoint) as view:
        assert view.counts() == kept.records
    assert (kept.records["scratch_first.series"], kept.records["scratch_first.capped"]) == (10, 50)
    assert "one moment" in kept.method
    assert "capped scratch_first.capped" in kept.method

    for name, damage in DAMAGE.items():
        damage(scratch)
        assert _observe(scratch) != before, name
        restored = keeper.restore(tmp_path)
        assert _observe(scratch) == before, name
        assert restored.records == kept.records
    assert keeper.restore(tmp_path).notes == ()
    assert _observe(scratch) == before
    expect_damage_refused(keeper, tmp_path, lambda: _observe(scratch))


@pytest.mark.parametrize("collections", range(8))
def test_a_restore_that_was_killed_is_done_by_the_next(
    keeper: Keeper,
    scratch: MongoClient[Document],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    collections: int,
) -> None:
    _fill(scratch)
    before = _observe(scratch)
    keeper.back_up(tmp_path)
    left = iter(range(collections))
    original = keeper._create

    def create(*arguments: object) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        original(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(keeper, "_create", create)
        with pytest.raises(KeyboardInterrupt):
            keeper.restore(tmp_path)
    assert _observe(scratch) != before
    keeper.restore(tmp_path)
    assert _observe(scratch) == before


def test_what_came_after_is_dropped_and_named(
    keeper: Keeper, scratch: MongoClient[Document], tmp_path: Path
) -> None:
    _fill(scratch)
    before = _observe(scratch)
    keeper.back_up(tmp_path)
    scratch[SECOND]["late"].insert_one({})
    scratch[FIRST].create_collection("late view", viewOn="typed", pipeline=[])
    notes = keeper.restore(tmp_path).notes
    assert set(notes) == {
        "dropped scratch_first.late view, which came after the backup",
        "dropped scratch_second.late, which came after the backup",
    }
    assert _observe(scratch) == before


def test_documents_that_have_expired_since_do_not_fail_a_restore(
    keeper: Keeper, scratch: MongoClient[Document], tmp_path: Path
) -> None:
    scratch[FIRST]["sessions"].insert_many(
        {"until": datetime.now(UTC) + timedelta(seconds=seconds)} for seconds in (1, 9000)
    )
    scratch[FIRST]["sessions"].create_index("until", expireAfterSeconds=0)
    kept = keeper.back_up(tmp_path)
    scratch[FIRST].drop_collection("sessions")
    assert keeper.restore(tmp_path).records == kept.records


def test_a_backup_of_other_databases_is_refused(
    profile: MongodbProfile,
    endpoint: Endpoint,
    control: ContainerControl,
    keeper: Keeper,
    scratch: MongoClient[Document],
    tmp_path: Path,
) -> None:
    _fill(scratch)
    before = _observe(scratch)
    keeper.back_up(tmp_path)
    other = Keeper("mongodb", changed(profile, databases=(FIRST,)), endpoint, control)
    with pytest.raises(ActionFailed, match="a backup of databases scratch_first, observed one of"):
        other.restore(tmp_path)
    assert _observe(scratch) == before


def test_documents_that_the_server_refuses_fail_the_restore(
    keeper: Keeper, scratch: MongoClient[Document], tmp_path: Path
) -> None:
    """A server that cannot hold what the backup holds must not be called restored."""
    scratch[FIRST]["typed"].insert_one({"_id": 1})
    keeper.back_up(tmp_path)
    original = keeper._insert

    def insert_too_much(client: MongoClient[Document], *rest: object) -> None:
        original(client, *rest)  # type: ignore[arg-type]
        client[FIRST]["typed"].insert_one({"_id": "meanwhile"})

    keeper._insert = insert_too_much  # type: ignore[method-assign,assignment]
    with pytest.raises(ActionFailed, match=r"restore of scratch_first\.typed .* observed other documents"):
        keeper.restore(tmp_path)


def test_databases_that_were_dropped_stop_no_copy_before_a_restore(
    keeper: Keeper, scratch: MongoClient[Document], tmp_path: Path
) -> None:
    _fill(scratch)
    for name in (FIRST, SECOND):
        scratch.drop_database(name)
    kept = kept_by(keeper, up=True)
    assert kept is not None
    assert kept.back_up(tmp_path).records == {}
