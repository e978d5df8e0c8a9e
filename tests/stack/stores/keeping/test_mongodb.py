"""What is true of MongoDB alone: documents that expire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollproof.stores.mongodb.keeper import MongodbKeeper
from tests.stack.stores.mongodb import FIRST, Mongodb

pytestmark = pytest.mark.of("mongodb")


@pytest.fixture
def keeper(subject: Mongodb) -> MongodbKeeper:
    """A keeper of a place that is empty."""
    subject.wipe()
    keeper = subject.place.keeper()
    assert isinstance(keeper, MongodbKeeper)
    return keeper


def test_documents_that_have_expired_since_do_not_fail_a_restore(
    subject: Mongodb, keeper: MongodbKeeper, tmp_path: Path
) -> None:
    sessions = subject.client[FIRST]["sessions"]
    sessions.insert_many({"until": datetime.now(UTC) + timedelta(seconds=seconds)} for seconds in (1, 9000))
    sessions.create_index("until", expireAfterSeconds=0)
    kept = keeper.back_up(tmp_path)
    sessions.drop()
    assert keeper.restore(tmp_path).records == kept.records
