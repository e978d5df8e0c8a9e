"""Which clients of a store are strangers: whoever this process did not connect, whatever account and host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pymysql
import pytest
from pydantic import SecretStr
from pymongo.errors import OperationFailure

from rollproof.errors import Unverifiable
from rollproof.profile.sections import Account, WatchedProfile
from rollproof.stores.client_name import NAME, NAMES
from rollproof.stores.contract import Blind
from rollproof.stores.keeper import Client
from rollproof.stores.mongodb import client as mongodb
from rollproof.stores.mongodb import clients as mongodb_clients
from rollproof.stores.mysql import clients as mysql_clients
from rollproof.stores.mysql.privileges import Privileges
from rollproof.stores.reach import Reach
from rollproof.stores.redis import clients as redis_clients
from rollproof.stores.strangers import host_of, strangers
from rollproof.stores.writable import Operated
from tests.unit.stores.test_readers_reach import NOWHERE, section

OURS = Client("operator", "10.0.0.1", NAME)


def _operated(*, bystanders: tuple[str, ...] = ()) -> Operated[WatchedProfile]:
    profile = section("mysql").model_copy(update={"bystanders": bystanders})
    assert isinstance(profile, WatchedProfile)
    return Operated("one", profile, NOWHERE)


def _told(found: Sequence[Client], operated: Operated[WatchedProfile]) -> list[str]:
    return [str(one) for one in strangers(operated, found)]


@pytest.mark.parametrize("account", ["app", "operator", ""])
@pytest.mark.parametrize("host", ["172.18.0.9", "::ffff:172.18.0.9", "worker.internal"])
def test_neither_account_nor_host_makes_a_client_ours(account: str, host: str) -> None:
    clients = [OURS, Client(account, host), Client(account, host)]
    assert _told(clients, _operated()) == [f"{account}@{host}"]


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("rollproof-0123456789abcdef", True),
        ("rollproof", False),
        ("rollproof-x", False),
        ("", False),
    ],
)
def test_a_monitor_that_has_the_applications_own_account_is_known_by_its_name(
    name: str, *, reads: bool
) -> None:
    clients = [OURS, Client("operator", "10.0.0.1", name)]
    assert _told(clients, _operated()) == ([] if reads else ["operator@10.0.0.1"])
    assert NAMES.fullmatch(NAME)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", ""])
@pytest.mark.parametrize("account", ["app", "operator"])
def test_a_client_of_the_loopback_is_the_stores_health_check(account: str, host: str) -> None:
    assert _told([OURS, Client(account, host)], _operated()) == []


def test_a_bystander_is_an_account_or_one_at_a_host() -> None:
    clients = [
        OURS,
        Client("exporter", "10.0.0.5"),
        Client("app", "10.0.0.6"),
        Client("app", "10.0.0.7"),
    ]
    assert _told(clients, _operated(bystanders=("exporter", "app@10.0.0.6"))) == ["app@10.0.0.7"]


@pytest.mark.parametrize(("reader", "reads"), [("reader", True), ("operator", False), ("another", False)])
def test_who_has_the_readers_account_reads_unless_the_operator_has_it_too(
    reader: str, *, reads: bool
) -> None:
    operated = _operated()
    account = operated.profile.reader.model_copy(update={"user": reader})
    operated = replace(operated, profile=operated.profile.model_copy(update={"reader": account}))
    found = [OURS, Client("reader" if reads else "operator", "10.0.0.9")]
    assert bool(strangers(operated, found)) is not reads


@pytest.mark.parametrize("found", [[], [Client("operator", "10.0.0.1")]])
def test_a_list_without_our_own_connection_tells_nothing(found: list[Client]) -> None:
    """As where the account may not give its connection a name."""
    with pytest.raises(Blind, match="expected our own connection among its clients"):
        strangers(_operated(), found)


def test_a_client_of_mongodb_has_this_processs_name() -> None:
    account = Account(user="reader", password=SecretStr("x"))
    client = mongodb.connect(Reach("one", NOWHERE, account, 1.0), "admin")
    assert client.options.pool_options.appname == NAME
    client.close()


def test_redis_tells_a_client_on_our_own_accounts() -> None:
    other = {"user": "operator", "addr": "10.0.0.9:9", "flags": "N", "cmd": "get"}
    ours = {**other, "addr": "10.0.0.1:9", "cmd": "client|list", "name": NAME}
    others = [
        other,
        {**other, "user": "reader", "addr": "127.0.0.1:9", "name": "app"},
        {**other, "user": "app", "cmd": "NULL"},
        {**other, "user": "greets", "cmd": "hello"},
        {**other, "user": "replica", "flags": "S"},
    ]
    clients = redis_clients.Clients(cast("Any", Operated("one", section("redis"), NOWHERE)))
    server = SimpleNamespace(client_list=lambda: [ours, *others])
    clients._server.connect = lambda: cast("Any", server)  # type: ignore[method-assign]
    assert [str(one) for one in clients.others()] == ["operator@10.0.0.9"]


def test_mysql_tells_a_client_on_our_own_accounts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[tuple[object, ...]] = [
        (2**32 + 1, "operator", "10.0.0.1:9", None, "Query", 0, "", "SHOW PROCESSLIST"),
        (2, "operator", "10.0.0.1:10", None, "Sleep", 0, "", None),
        (3, "operator", "10.0.0.9:10", None, "Sleep", 0, "", None),
        (4, "reader", "localhost", None, "Sleep", 0, "", None),
        (5, "event_scheduler", "localhost", None, "Daemon", 0, "", None),
        (7, "operator", "127.0.0.1:4", None, "Query", 0, "", "INSERT"),
        (6, "replica", "10.0.0.7:1", None, "Binlog Dump GTID", 0, "", None),
    ]
    clients = mysql_clients.Clients(cast("Any", Operated("one", section("mysql"), NOWHERE)))
    clients._client.connect = lambda: cast("Any", SimpleNamespace())  # type: ignore[method-assign]
    programs: list[tuple[object, str]] | None = [(2**32 + 1, NAME), (2, "app"), (3, NAMES.pattern)]

    def rows(_: object, query: str) -> list[tuple[object, ...]]:
        if query == "SELECT CONNECTION_ID()":
            return [(2**32 + 1,)]
        if query == "SHOW PROCESSLIST":
            return found
        if programs is None:
            raise pymysql.err.OperationalError(1142, "SELECT command denied")
        return [*programs]

    monkeypatch.setattr(mysql_clients, "privileges_of", lambda _: Privileges([("*", frozenset({"PROCESS"}))]))
    monkeypatch.setattr(mysql_clients, "rows", rows)
    assert [str(one) for one in clients.others()] == ["operator@10.0.0.1", "operator@10.0.0.9"]
    # Without names, account and host alone say who it is.
    programs = None
    assert [str(one) for one in clients.others()] == ["operator@10.0.0.9"]


@pytest.mark.parametrize("anybody", [False, True])
def test_mongodb_tells_a_client_on_our_own_accounts(
    monkeypatch: pytest.MonkeyPatch, *, anybody: bool
) -> None:
    def operation(number: int, user: str, name: str, driver: str = "PyMongo") -> Mapping[str, object]:
        return {
            "client": f"10.0.0.{1 if driver == 'PyMongo' else 2}:{number}",
            **({"effectiveUsers": [{"user": user, "db": "admin"}]} if user else {}),
            "appName": name,
            "clientMetadata": {"driver": {"name": driver}},
        }

    found = [
        operation(1, "operator", NAME),
        operation(2, "operator", "rollproof-of-another"),
        operation(3, "app", ""),
        operation(4, "__system", ""),
        operation(5, "", NAME),
        operation(6, "", "worker"),
        operation(7, "", "", "NetworkInterfaceTL-ReplNetwork"),
        operation(8, "", "", "MongoDB Internal Client"),
    ]
    server = SimpleNamespace(admin=SimpleNamespace(aggregate=lambda _: found))
    monkeypatch.setattr(mongodb_clients, "lets_in_anybody", lambda _: anybody)
    clients = mongodb_clients.Clients(cast("Any", Operated("one", section("mongodb"), NOWHERE)))
    clients._client.connect = lambda: cast("Any", server)  # type: ignore[method-assign]
    nobody = ["nobody@10.0.0.1"] if anybody else []
    assert [str(one) for one in clients.others()] == ["app@10.0.0.1", *nobody, "operator@10.0.0.1"]


def test_only_a_server_that_answers_without_a_log_in_lets_in_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(_: object) -> dict[str, object]:
        if code:
            raise OperationFailure("refused", code)
        return {"databases": []}

    admin, close = SimpleNamespace(command=command), lambda: None
    client = cast("Any", SimpleNamespace(admin=admin, close=close, is_mongos=False, is_primary=True))
    monkeypatch.setattr(mongodb, "connect", lambda _, database: client if database is None else None)
    reach = _operated().reach
    code = 0
    assert (mongodb.lets_in_anybody(reach), mongodb.told(client, {"a": 1})) == (True, {"databases": []})
    code = mongodb.UNAUTHORIZED
    assert (mongodb.lets_in_anybody(reach), mongodb.told(client, {"a": 1})) == (False, None)
    code = 91  # it shuts down
    with pytest.raises(Unverifiable):
        mongodb.lets_in_anybody(reach)
    with pytest.raises(OperationFailure):
        mongodb.told(client, {"a": 1})


@pytest.mark.parametrize(
    ("address", "host"),
    [("10.0.0.1:9", "10.0.0.1"), ("[::1]:9", "::1"), ("::1:9", "::1"), ("localhost", "localhost"), ("", "")],
)
def test_the_host_of_an_address(address: str, host: str) -> None:
    assert host_of(address) == host
