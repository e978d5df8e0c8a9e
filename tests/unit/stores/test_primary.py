"""A server that holds a part of the records, or those of a moment ago, is refused by its own words."""

from __future__ import annotations

from contextlib import nullcontext
from unittest.mock import MagicMock

import pytest
from pydantic import SecretStr

from rollproof.engines.engine import Endpoint
from rollproof.errors import Unverifiable
from rollproof.profile.sections import Account
from rollproof.stores.mongodb import client as mongodb
from rollproof.stores.mysql import connection as mysql
from rollproof.stores.reach import Reach
from rollproof.stores.redis import client as redis

REACH = Reach("store", Endpoint("127.0.0.1", 9), Account(user="reader", password=SecretStr("")), 1.0)


@pytest.mark.parametrize(
    ("mode", "role"),
    [("cluster", "master"), ("cluster", "replica"), ("standalone", "replica"), ("sentinel", "master")],
)
def test_a_part_of_redis_is_refused(mode: str, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hello = {b"mode": mode.encode(), b"role": role.encode()}
    monkeypatch.setattr("redis.Redis.execute_command", lambda *_: hello)
    with pytest.raises(Unverifiable, match=f"observed mode {mode}, role {role}"):
        redis.Redis(REACH, 0).connect()


@pytest.mark.parametrize(
    ("mongos", "primary", "observed"), [(True, True, "mongos"), (False, False, "a secondary")]
)
def test_a_part_of_mongodb_is_refused(*, mongos: bool, primary: bool, observed: str) -> None:
    with pytest.raises(Unverifiable, match=f"observed {observed}"):
        mongodb.require_primary(MagicMock(is_mongos=mongos, is_primary=primary), REACH)


@pytest.mark.parametrize("read_only", [0, 1])
def test_a_replica_of_mysql_is_refused(read_only: int) -> None:
    connection = MagicMock()
    connection.cursor.return_value.fetchall.return_value = [(read_only,)]
    refused = pytest.raises(Unverifiable, match="observed a read-only one") if read_only else nullcontext()
    with refused:
        mysql.require_source(connection, REACH)
