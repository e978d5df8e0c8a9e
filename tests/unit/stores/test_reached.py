"""A store that refuses a log-in was reached: only one that nobody answers for is out of reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import MagicMock

import grpc  # type: ignore[import-untyped]
import pymysql
import pytest
import redis
from kafka.errors import (
    KafkaConnectionError,
    KafkaTimeoutError,
    RequestTimedOutError,
    SaslAuthenticationFailedError,
)
from pydantic import SecretStr
from pymilvus.exceptions import MilvusException
from pymongo.errors import ExecutionTimeout, OperationFailure, ServerSelectionTimeoutError

from rollproof.errors import Meaning, Unverifiable
from rollproof.monitoring.probes.probe import unreached_by
from rollproof.monitoring.samples import ProbeKind
from rollproof.profile.sections import Account
from rollproof.stores.client import Client
from rollproof.stores.kafka import broker as kafka
from rollproof.stores.milvus.client import Milvus
from rollproof.stores.mongodb.client import Mongodb
from rollproof.stores.mysql.connection import Mysql
from rollproof.stores.reach import Reach
from rollproof.stores.redis.client import Redis
from tests.unit.stores.test_readers_reach import NOWHERE

REACH = Reach("one", NOWHERE, Account(user="reader", password=SecretStr("x")), 1.0)


class _Status(grpc.RpcError, grpc.Call):  # type: ignore[misc]
    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "words of the server"

    # The rest of the interface, which nobody asks.
    add_callback = cancel = initial_metadata = is_active = time_remaining = trailing_metadata = None


def _late() -> Exception:
    """Return Redis' error as its driver raises it: the socket's own is its cause."""
    error = redis.TimeoutError("late")
    error.__cause__ = TimeoutError("timed out")
    return error


def _caused(cause: Exception) -> MilvusException:
    error = MilvusException(message="Fail connecting to server")
    error.__cause__ = cause
    return error


@contextmanager
def _of_kafka(reach: Reach) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - of the library, or of a socket
        raise kafka.failed(reach, "records", error) from None


def _of(client: Client[Any]) -> Callable[[Reach], AbstractContextManager[object]]:
    """Return how `client` asks, over a connection that is there."""
    client.connect = MagicMock()  # type: ignore[method-assign]
    return lambda _: client.asked()


KAFKA, MILVUS, REDIS = _of_kafka, _of(Milvus(REACH, "default")), _of(Redis(REACH, 0))
MYSQL, MONGODB = _of(Mysql(REACH)), _of(Mongodb(REACH, "admin"))
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
    (KAFKA, SaslAuthenticationFailedError("Authentication failed"), OTHER),
    (KAFKA, KafkaConnectionError("socket disconnected"), UNREACHABLE),
    (KAFKA, ConnectionRefusedError(111, "Connection refused"), UNREACHABLE),
    (KAFKA, TimeoutError("timed out"), TIMEOUT),
    (KAFKA, KafkaTimeoutError("late"), TIMEOUT),
    (KAFKA, RequestTimedOutError("late"), TIMEOUT),
    (MILVUS, _Status(grpc.StatusCode.UNAUTHENTICATED), OTHER),
    (MILVUS, _caused(_Status(grpc.StatusCode.UNAUTHENTICATED)), OTHER),
    (MILVUS, _caused(_Status(grpc.StatusCode.PERMISSION_DENIED)), OTHER),
    (MILVUS, MilvusException(code=101, message="collection not loaded"), OTHER),
    (MILVUS, _Status(grpc.StatusCode.UNAVAILABLE), UNREACHABLE),
    (MILVUS, _caused(_Status(grpc.StatusCode.UNAVAILABLE)), UNREACHABLE),
    (MILVUS, _Status(grpc.StatusCode.DEADLINE_EXCEEDED), TIMEOUT),
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
