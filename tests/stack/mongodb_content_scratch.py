"""A test's own MongoDB database, and papers to fill it with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import cast

from bson import Decimal128
from pymongo import MongoClient

from fixtures.engines.engine import Endpoint
from fixtures.stores.mongodb.descriptor import MongodbProfile
from fixtures.stores.mongodb.view import Document, connect
from fixtures.stores.reach import Reach
from fixtures.target.profile import Target
from tests.stack.scratch_stores import changed

DATABASE = "scratch_content"
PAPERS = f"{DATABASE}.papers"
START = datetime(2024, 1, 1, tzinfo=UTC)


def scratch_profile(target: Target) -> MongodbProfile:
    """Return the profile of the stack's MongoDB, of the scratch database alone."""
    return changed(cast("MongodbProfile", target.stores["mongodb"]), databases=(DATABASE,), exclude={})


@contextmanager
def scratch_database(profile: MongodbProfile, endpoint: Endpoint) -> Iterator[MongoClient[Document]]:
    """Give the operator's client and a database that is empty, and drop that at the end."""
    with connect(Reach("mongodb", endpoint, profile.operator, 60), "admin") as client:
        client.drop_database(DATABASE)
        try:
            yield client
        finally:
            client.drop_database(DATABASE)


def paper(number: int) -> Document:
    return {
        "_id": number,
        "text": f"Alpha {number}",
        "note": None,
        "count": number,
        "price": 2.3,
        "exact": Decimal128("1.10"),
        "at": START + timedelta(seconds=number),
        "bytes": bytes(range(number, number + 8)),
        "list": [number, "a"],
        "first": "ab",
        "second": "c",
        "nested": {"a": 1, "b": {"deep": 2}},
        "flag": False,
    }


def fill(client: MongoClient[Document]) -> None:
    client[DATABASE]["papers"].insert_many(paper(number) for number in range(50))
