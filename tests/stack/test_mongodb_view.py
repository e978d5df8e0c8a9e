"""MongoDB, read side, against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores.mongodb import Document, View, connect
from fixtures.stores.profiles import MongodbProfile
from fixtures.stores.reach import Reach
from fixtures.target import Target
from tests.stack.scratch_stores import changed, expect_unverifiable, nowhere, silence, with_wrong_password

DATABASE = "scratch_view"


@pytest.fixture
def profile(target: Target) -> MongodbProfile:
    return changed(cast("MongodbProfile", target.stores["mongodb"]), databases=(DATABASE,))


@pytest.fixture
def endpoint(profile: MongodbProfile, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(profile.address)


@pytest.fixture
def scratch(profile: MongodbProfile, endpoint: Endpoint) -> Iterator[MongoClient[Document]]:
    with connect(Reach("mongodb", endpoint, profile.operator, 10), "admin") as client:
        client.drop_database(DATABASE)
        yield client
        client.drop_database(DATABASE)


def test_every_document_is_counted(
    profile: MongodbProfile, endpoint: Endpoint, scratch: MongoClient[Document]
) -> None:
    database = scratch[DATABASE]
    database["many"].insert_many({"_id": number} for number in range(2500))
    database["odd. näme"].insert_one({})
    database.create_collection("empty")
    database.create_collection("view", viewOn="many", pipeline=[])
    database.create_collection("series", timeseries={"timeField": "at"})
    with View("mongodb", profile, endpoint) as view:
        assert view.counts() == {
            "scratch_view.empty": 0,
            "scratch_view.many": 2500,
            "scratch_view.odd. näme": 1,
            "scratch_view.series": 0,
        }
        answer = view.ask()
    assert (answer.collection, answer.records) == ("scratch_view.many", 1000)
    assert answer.server.startswith("MongoDB ")


def test_a_database_without_a_collection_is_no_answer(
    profile: MongodbProfile, endpoint: Endpoint, scratch: MongoClient[Document]
) -> None:
    assert DATABASE not in scratch.list_database_names()
    with View("mongodb", profile, endpoint) as view:
        with pytest.raises(Unverifiable, match="expected a collection in scratch_view"):
            view.ask()
        assert view.counts() == {}


def test_a_wrong_password_is_no_answer(profile: MongodbProfile, endpoint: Endpoint) -> None:
    expect_unverifiable(View("mongodb", with_wrong_password(profile), endpoint), "Authentication failed")


def test_a_closed_port_is_no_answer(profile: MongodbProfile) -> None:
    closed = nowhere()
    view = View("mongodb", changed(profile, deadline_seconds=0.5), closed)
    expect_unverifiable(view, "refused", str(closed.port))


def test_silence_ends_at_the_deadline(profile: MongodbProfile) -> None:
    with silence() as endpoint:
        view = View("mongodb", changed(with_wrong_password(profile), deadline_seconds=0.5), endpoint)
        expect_unverifiable(view, "within 0.5 s")


def test_the_reader_cannot_write(profile: MongodbProfile, endpoint: Endpoint) -> None:
    with (
        connect(Reach("mongodb", endpoint, profile.reader, 10), "admin") as client,
        pytest.raises(OperationFailure, match="not authorized"),
    ):
        client[DATABASE]["many"].insert_one({})
