"""A store that refuses a log-in was reached: only one that nobody answers for is out of reach."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import MagicMock

import pymysql
import pytest
import redis
from pydantic import SecretStr
from pymongo.errors import ExecutionTimeout, OperationFailure, ServerSelectionTimeoutError

from rollproof.errors import Meaning, Unverifiable
from rollproof.monitoring.probes.probe import unreached_by
from rollproof.monitoring.samples import ProbeKind
from rollproof.profile.sections import Account
from rollproof.stores.client import Client
from rollproof.stores.mongodb.client import Mongodb
from rollproof.stores.mysql.connection import Mysql
from rollproof.stores.reach import Reach
from rollproof.stores.redis.client import Redis
from tests.unit.stores.test_readers_reach import NOWHERE

REACH = Reach("one", NOWHERE, Account(user="reader", password=SecretStr("x")), 1.0)


def _late() -> Exception:
    """Return Redis' error as its driver raises it: the socket's own is its cause."""
    error = redis.TimeoutError("late")
    error.__cause__ = TimeoutError("timed out")
    return error


def _of(client: Client[Any]) -> Callable[[Reach], AbstractContextManager[object]]:
    """Return how `client` asks, over a connection that is there."""
    client.connect = MagicMock()  # type: ignore[method-assign]
    return lambda _: client.asked()


MYSQL, MONGODB, REDIS = _of(Mysql(REACH)), _of(Mongodb(REACH, "admin")), _of(Redis(REACH, 0))
OTHER, UNREACHABLE, TIMEOUT = Meaning.OTHER, Meaning.UNREACHABLE, Meaning.TIMEOUT


CASES = [
    (MYSQL, pymysql.err.OperationalError(1045, "Access denied"), OTHER),
    (MYSQL, pymysql.err.OperationalError(1040, "Too many connections"), OTHER),
    (MYSQL, pymysql.err.ProgrammingError(1146, "No such table"), OTHER),
    (MYSQL, pymysql.err.OperationalError(3118, "Account is locked"), OTHER),
    (MYSQL, pymysql.err.OperationalError(2003, "Can't connect"), UNREACHABLE),
    (MYSQL, pymysql.err.OperationalError(2013, "Lost connection"), UNREACHABLE),
    (MONGODB, OperationFailure("Authentication failed", 18), OTHER),
    (MONGODB, ExecutionTimeout("operation exceeded time limit", 50), TIMEOUT),
    (MONGODB, ServerSelectionTimeoutError("refused"), TIMEOUT),
    (REDIS, redis.AuthenticationError("invalid username-password pair"), OTHER),
    (REDIS, redis.exceptions.AuthorizationError("denied"), OTHER),
    (REDIS, redis.exceptions.NoPermissionError("no permission"), OTHER),
    (REDIS, redis.BusyLoadingError("loading"), OTHER),
    (REDIS, redis.ConnectionError("refused"), UNREACHABLE),
    (REDIS, _late(), TIMEOUT),
]


@pytest.mark.parametrize(
    ("translated", "error", "means"), CASES, ids=[str(number) for number in range(len(CASES))]
)
def test_a_refusal_is_an_answer(
    translated: Callable[..., AbstractContextManager[object]], error: Exception, means: Meaning
) -> None:
    with pytest.raises(Unverifiable) as caught, translated(REACH):
        raise error
    assert caught.value.means is means
    reached = unreached_by(caught.value, ProbeKind.STORE) is None
    assert reached is (means is OTHER)
