"""The connected clients, by the real stores: whoever else, idle too; not ours, not health checks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

import pymysql
import pytest
import redis
from pydantic import SecretStr
from pymongo import MongoClient
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Unverifiable
from rollproof.profile.profile import Target
from rollproof.profile.sections import Account
from rollproof.stores.contract import Blind
from rollproof.stores.keeper import Operated
from rollproof.stores.keepers import open_clients
from rollproof.stores.mongodb import client as mongodb
from rollproof.stores.mongodb.descriptor import MongodbProfile
from rollproof.stores.mysql import connection as mysql
from rollproof.stores.mysql.keeper import MysqlClients
from rollproof.stores.reach import Reach
from rollproof.stores.redis import client as redis_view
from rollproof.stores.redis.descriptor import RedisProfile
from rollproof.stores.registry import endpoint_of
from staging.stack.stack import Stack
from tests.stack.mysql_server import OPERATOR, MysqlServer, prepared
from tests.stack.scratch_stores import changed, nowhere

SECONDS = 60.0


def _account(stack: Stack, store: str, user: str) -> Account:
    secret = stack.state.folder / "secrets" / f"{store}_{user}"
    return Account(user=user, password=SecretStr(secret.read_text(encoding="utf-8")))


def _stranger(reach: Reach) -> Connection[Cursor]:
    """Connect as another process does."""
    return pymysql.connect(
        host=reach.endpoint.host,
        port=reach.endpoint.port,
        user=reach.account.user,
        password=reach.account.password.get_secret_value(),
    )


def test_mysql_tells_with_the_privilege_alone(stack: Stack, running: MysqlServer) -> None:
    app = Reach("mysql", running.endpoint, _account(stack, "mysql", "app"), SECONDS)
    clients = MysqlClients(Operated("mysql", running.profile, running.endpoint))
    with prepared(running), closing(_stranger(app)) as connection, closing(clients):
        with pytest.raises(Blind, match="expected the privilege PROCESS"):
            clients.others()
        running.root(f"GRANT PROCESS ON *.* TO {OPERATOR}@'%'")
        ((host,),) = mysql.rows(
            connection,
            "SELECT SUBSTRING_INDEX(host, ':', 1) FROM information_schema.processlist"
            " WHERE id = CONNECTION_ID()",
        )
        found = [str(one) for one in clients.others()]
    assert f"app@{host}" in found
    # Neither we ourselves, nor threads of the server, nor anybody inside its container.
    accounts, hosts = {one.partition("@")[0] for one in found}, {one.partition("@")[2] for one in found}
    assert not accounts & {OPERATOR, "event_scheduler", "system user"}
    assert not hosts & {"localhost", "127.0.0.1"}


@contextmanager
def _mongodb_client(profile: MongodbProfile, engine: ContainerEngine, account: Account) -> Iterator[None]:
    reach = Reach("mongodb", engine.resolve(profile.address), account, SECONDS)
    client: MongoClient[dict[str, Any]] = MongoClient(
        reach.endpoint.host,
        reach.endpoint.port,
        username=account.user,
        password=account.password.get_secret_value(),
        authSource=profile.authentication_database,
        directConnection=True,
    )
    with closing(client):
        client["mongodb"]["users"].find_one({})
        yield


@contextmanager
def _redis_client(profile: RedisProfile, engine: ContainerEngine, account: Account) -> Iterator[None]:
    reach = Reach("redis", engine.resolve(profile.address), account, SECONDS)
    host, port = reach.endpoint.host, reach.endpoint.port
    with redis.Redis(
        host, port, username=account.user, password=account.password.get_secret_value()
    ) as client:
        client.get("nothing")
        yield


@pytest.fixture(params=["mongodb", "redis"])
def store(request: pytest.FixtureRequest) -> str:
    """A store that tells who is connected."""
    name: str = request.param
    return name


def _connected(
    target: Target, engine: ContainerEngine, name: str, account: Account
) -> AbstractContextManager[None]:
    match target.stores[name]:
        case MongodbProfile() as profile:
            return _mongodb_client(profile, engine, account)
        case RedisProfile() as profile:
            return _redis_client(profile, engine, account)
        case other:
            raise AssertionError(other.kind)


@contextmanager
def _ours(target: Target, engine: ContainerEngine, name: str, account: Account) -> Iterator[None]:
    """Connect as every reader and keeper of this process does."""
    reach = Reach(name, endpoint_of(target.stores[name], engine), account, SECONDS)
    if isinstance(profile := target.stores[name], MongodbProfile):
        with closing(mongodb.connect(reach, profile.authentication_database)) as documents:
            documents["mongodb"]["users"].find_one({})
            yield
    else:
        with closing(redis_view.Redis(reach, 0).connect()) as keys:
            keys.get("nothing")
            yield


def test_an_idle_client_is_told_whatever_its_account_and_ours_is_not(
    stack: Stack, target: Target, engine: ContainerEngine, store: str
) -> None:
    with closing(open_clients(store, target.stores[store], engine)) as clients:
        before = clients.others()
        assert not [one for one in before if one.account in {"reader", "operator", "__system"}]
        with _connected(target, engine, store, _account(stack, store, "app")):
            # From this host, where nothing of the application runs.
            (new,) = set(clients.others()) - set(before)
            assert new.account == "app"
        for ours in ("reader", "operator"):
            account = _account(stack, store, ours)
            with _connected(target, engine, store, account):
                told = [one.account for one in clients.others() if one.account == ours]
                assert told == (["operator"] if ours == "operator" else [])
            with _ours(target, engine, store, account):
                assert not [one for one in clients.others() if one.account == ours]


def test_an_account_without_the_right_is_blind(
    stack: Stack, target: Target, engine: ContainerEngine, store: str
) -> None:
    user = {"mongodb": "app", "redis": "canary"}[store]
    profile = changed(target.stores[store], operator=_account(stack, store, user))
    with closing(open_clients(store, profile, engine)) as clients, pytest.raises(Blind) as caught:
        clients.others()
    assert f"clients of store {store} as {user}" in str(caught.value)


def test_a_store_that_is_not_there_is_no_blindness(running: MysqlServer) -> None:
    with (
        nowhere() as at,
        closing(MysqlClients(Operated("mysql", running.profile, at))) as clients,
        pytest.raises(Unverifiable) as caught,
    ):
        clients.others()
    assert not isinstance(caught.value, Blind)
