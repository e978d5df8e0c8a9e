"""What is true of MongoDB alone: documents that expire, and a server that does not hold what it was given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pymongo import MongoClient

from rollproof.errors import ActionFailed
from rollproof.stores.mongodb.client import Document
from rollproof.stores.mongodb.keeper import Keeper
from tests.stack.keeping.mongodb import FIRST, Mongodb

pytestmark = pytest.mark.of("mongodb")


@pytest.fixture
def keeper(subject: Mongodb) -> Keeper:
    """A keeper of a place that is empty."""
    subject.clear()
    keeper = subject.place.keeper()
    assert isinstance(keeper, Keeper)
    return keeper


def test_documents_that_have_expired_since_do_not_fail_a_restore(
    subject: Mongodb, keeper: Keeper, tmp_path: Path
) -> None:
    sessions = subject.client[FIRST]["sessions"]
    sessions.insert_many({"until": datetime.now(UTC) + timedelta(seconds=seconds)} for seconds in (1, 9000))
    sessions.create_index("until", expireAfterSeconds=0)
    kept = keeper.back_up(tmp_path)
    sessions.drop()
    assert keeper.restore(tmp_path).records == kept.records


def test_documents_that_the_server_refuses_fail_the_restore(
    subject: Mongodb, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that cannot hold what the backup holds must not be called restored."""
    subject.client[FIRST]["typed"].insert_one({"_id": 1})
    keeper.back_up(tmp_path)
    original = keeper._insert

    def insert_too_much(client: MongoClient[Document], *rest: object) -> None:
        original(client, *rest)  # type: ignore[arg-type]
        client[FIRST]["typed"].insert_one({"_id": "meanwhile"})

    monkeypatch.setattr(keeper, "_insert", insert_too_much)
    with pytest.raises(ActionFailed, match=r"restore of scratch_first\.typed .* observed other documents"):
        keeper.restore(tmp_path)
