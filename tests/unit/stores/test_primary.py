"""A server that holds a part of the records, or those of a moment ago, is refused by its own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import MagicMock

import pymysql
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


def _mysql(read_only: int, answer: Sequence[dict[str, Any]] | Exception) -> Any:  # noqa: ANN401 - a connection
    connection = MagicMock(flavour="mysql")
    cursor = connection.cursor.return_value
    if isinstance(answer, Exception):
        cursor.execute.side_effect = [answer, None]
        cursor.fetchall.return_value = [(read_only,)]
    else:
        cursor.fetchall.return_value = answer
    return connection


STOPPED = {"Channel_Name": "", "Replica_IO_Running": "No", "Replica_SQL_Running": "No"}
DENIED = pymysql.err.OperationalError(1227, "Access denied")


@pytest.mark.parametrize(
    ("read_only", "answer"),
    [
        (0, [STOPPED | {"Replica_SQL_Running": "Yes"}]),
        (1, [STOPPED, STOPPED | {"Replica_IO_Running": "Connecting"}]),
        (0, [{"Slave_IO_Running": "Yes", "Slave_SQL_Running": "Yes"}]),
        (1, DENIED),
    ],
)
def test_a_replica_of_mysql_is_refused(read_only: int, answer: Sequence[dict[str, Any]] | Exception) -> None:
    with pytest.raises(Unverifiable, match="expected a server that is no replica"):
        mysql.require_source(_mysql(read_only, answer), REACH)


@pytest.mark.parametrize(("read_only", "answer"), [(0, []), (1, []), (0, [STOPPED]), (0, DENIED)])
def test_a_source_of_mysql_is_read(read_only: int, answer: Sequence[dict[str, Any]] | Exception) -> None:
    mysql.require_source(_mysql(read_only, answer), REACH)


def test_another_error_is_no_answer() -> None:
    with pytest.raises(pymysql.err.OperationalError):
        mysql.require_source(_mysql(0, pymysql.err.OperationalError(2013, "lost")), REACH)
