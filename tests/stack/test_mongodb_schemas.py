"""MongoDB, schemas: any change of a collection, index or view is seen, and a restore gives all back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.stores.mongodb import Document
from fixtures.stores.mongodb_content import Content
from fixtures.stores.profiles import MongodbProfile
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from rollback_actions.stores.mongodb import Keeper
from tests.stack.content_reading import agreeing_records
from tests.stack.mongodb_content_scratch import (
    DATABASE,
    START,
    fill,
    scratch_database,
    scratch_profile,
)


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


def _reorder_key(client: MongoClient[Document]) -> None:
    papers = client[DATABASE]["papers"]
    papers.drop_index("two")
    papers.create_index([("first", -1), ("text", 1)], name="two", partialFilterExpression={"count": 1})


SCHEMA_CHANGES: dict[str, Callable[[MongoClient[Document]], object]] = {
    "index gone": lambda c: c[DATABASE]["papers"].drop_index("by text"),
    "index more": lambda c: c[DATABASE]["papers"].create_index("late"),
    "index hidden": lambda c: c[DATABASE].command(
        "collMod", "papers", index={"name": "by text", "hidden": True}
    ),
    "key order": _reorder_key,
    "expiry": lambda c: c[DATABASE].command(
        "collMod", "papers", index={"name": "expiring", "expireAfterSeconds": 61}
    ),
    "validator": lambda c: c[DATABASE].command("collMod", "papers", validator={"text": {"$ne": 1}}),
    "level": lambda c: c[DATABASE].command("collMod", "papers", validationLevel="moderate"),
    "action": lambda c: c[DATABASE].command("collMod", "papers", validationAction="warn"),
    "view": lambda c: c[DATABASE].command(
        "collMod", "view", viewOn="papers", pipeline=[{"$sort": {"count": 1, "text": -1}}]
    ),
    "collection more": lambda c: c[DATABASE].create_collection("late"),
    "view gone": lambda c: c[DATABASE].drop_collection("view"),
    "series": lambda c: c[DATABASE].command("collMod", "series", expireAfterSeconds=10**9),
}


def _define(client: MongoClient[Document]) -> None:
    fill(client)
    database = client[DATABASE]
    database.command("collMod", "papers", validator={"text": {"$type": "string"}}, validationLevel="strict")
    papers = database["papers"]
    papers.create_index("text", name="by text", unique=True, collation={"locale": "fr"})
    papers.create_index([("text", 1), ("first", -1)], name="two", partialFilterExpression={"count": 1})
    papers.create_index("late_at", name="expiring", expireAfterSeconds=60)
    papers.create_index([("second", "text")], weights={"second": 3})
    database.create_collection("capped", capped=True, size=100_000, max=50)
    database.create_collection("german", collation={"locale": "de"})
    database.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
    database.create_collection("series", timeseries={"timeField": "at", "metaField": "by"})
    database["series"].insert_one({"at": START, "by": 1, "b": 1, "a": 2})
    database.create_collection("view", viewOn="papers", pipeline=[{"$sort": {"text": -1, "count": 1}}])


@pytest.mark.parametrize("name", SCHEMA_CHANGES)
def test_any_change_of_a_schema_is_seen(content: Content, scratch: MongoClient[Document], name: str) -> None:
    _define(scratch)
    before = content.schemas()
    assert content.schemas() == before
    SCHEMA_CHANGES[name](scratch)
    assert content.schemas() != before


def test_a_restore_gives_schemas_and_content_back(
    content: Content,
    scratch: MongoClient[Document],
    endpoint: Endpoint,
    control: ContainerControl,
    tmp_path: Path,
) -> None:
    _define(scratch)
    schemas = content.schemas()
    names = [name for name in schemas if not name.startswith("view ")]
    assert names == [f"{DATABASE}.{n}" for n in ("capped", "clustered", "german", "papers", "series")]
    assert f"view {DATABASE}.view" in schemas
    before = {name: agreeing_records(content, name) for name in names}
    keeper = Keeper("mongodb", content._profile, endpoint, control)
    keeper.back_up(tmp_path)
    scratch.drop_database(DATABASE)
    assert content.schemas() == {}
    keeper.restore(tmp_path)
    assert content.schemas() == schemas
    assert {name: agreeing_records(content, name) for name in names} == before
