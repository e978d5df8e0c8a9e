"""What servers say: definitions in one form, options and rights, and a refusal, which is an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import MagicMock

import bson
import pymysql
import pytest
import redis
from bson.raw_bson import RawBSONDocument
from pydantic import SecretStr
from pymongo.errors import ExecutionTimeout, OperationFailure, ServerSelectionTimeoutError

from rollproof.errors import Meaning, Unverifiable
from rollproof.incident.samples import ProbeKind
from rollproof.monitoring.probes.probe import unreached_by
from rollproof.profile.sections import Account
from rollproof.stores.client import Client
from rollproof.stores.mongodb.bson import RAW
from rollproof.stores.mongodb.client import Mongodb
from rollproof.stores.mongodb.reader import judged
from rollproof.stores.mongodb.schema import Description
from rollproof.stores.mysql.connection import Mysql
from rollproof.stores.postgresql.schema import settled
from rollproof.stores.reach import Reach
from rollproof.stores.redis.client import Redis
from tests.unit.stores.test_readers_reach import NOWHERE


def _raw(document: dict[str, Any]) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(document), RAW)


def test_an_option_that_is_set_back_to_its_default_is_one_that_never_changed() -> None:
    def described(**options: str) -> object:
        return Description("shop", "a", "collection", _raw({"validator": {"a": 1}, **options}), []).schema()

    assert described(validationLevel="strict", validationAction="error") == described()
    assert described(validationLevel="moderate") != described() != described(validationAction="warn")


FIND = ["find", "listCollections", "changeStream"]
WRITE = ["find", "insert", "remove", "createCollection", "createIndex", "dropCollection"]


@pytest.mark.parametrize(
    ("resource", "actions", "writes", "lacks"),
    [
        ({"db": "", "collection": ""}, FIND, 0, 5),
        ({"db": "", "collection": ""}, WRITE, 5, 0),
        ({"db": "mongodb", "collection": ""}, WRITE, 5, 0),
        ({"db": "other", "collection": ""}, WRITE, 0, 6),
        ({"db": "mongodb", "collection": "files"}, ["find", "insert"], 0, 6),
        ({"cluster": True}, ["insert"], 0, 6),
        ({"anyResource": True}, ["anyAction"], 1, 0),
    ],
)
def test_accounts_of_mongodb(
    resource: Mapping[str, object], actions: Sequence[str], writes: int, lacks: int
) -> None:
    found = judged([{"resource": resource, "actions": actions}], ["mongodb"])
    assert (len(found.writes), len(found.lacks)) == (writes, lacks)


@pytest.mark.parametrize(
    ("at_first", "read_back"),
    [
        (
            "CHECK (ANY ((ARRAY['a'::character varying, 'it''s, [x]'::character varying])::text[]))",
            "CHECK (ANY (ARRAY[('a'::character varying)::text, ('it''s, [x]'::character varying)::text]))",
        ),
        ('f((ARRAY[g(a, b), c[1]])::"T [x]"[])', 'f(ARRAY[(g(a, b))::"T [x]", (c[1])::"T [x]"])'),
    ],
)  # fmt: skip
def test_a_list_has_one_form(at_first: str, read_back: str) -> None:
    assert settled({"definition": at_first, "valid": True}) == {"definition": read_back, "valid": True}
    assert settled(read_back) == read_back


@pytest.mark.parametrize(
    "text",
    ["ANY ('(ARRAY[1])::text[]')", "$$it's ( (ARRAY[1 $$", "(ARRAY[1] || a)::text[]"],
)
def test_all_else_stays(text: str) -> None:
    assert settled(text) == text


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
