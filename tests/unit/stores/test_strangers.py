"""Which clients of a store are strangers: whoever this process did not connect, whatever account and host."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import pymysql
import pytest
import redis
from pymongo.errors import OperationFailure
from redis.connection import Connection

from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.errors import Unverifiable
from rollproof.profile.sections import Account, Address, WatchedProfile
from rollproof.stores import own_connections, strangers
from rollproof.stores.contract import Blind
from rollproof.stores.keeper import Client
from rollproof.stores.keepers import open_clients
from rollproof.stores.mongodb import clients as mongodb_clients
from rollproof.stores.mongodb import view as mongodb
from rollproof.stores.mysql import clients as mysql_clients
from rollproof.stores.own_connections import NAME, NAMES, OwnConnections
from rollproof.stores.reach import Reach
from rollproof.stores.redis import clients as redis_clients
from rollproof.stores.redis import view as redis_view
from rollproof.stores.strangers import HEALTH_CHECK_SECONDS, Strangers, host_of
from rollproof.stores.writable import Operated
from tests.unit.stores.test_readers_reach import NOWHERE, section

OURS = Client("operator", "10.0.0.1", 1)
ELSEWHERE = f"{NOWHERE.host}:{NOWHERE.port}"


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> OwnConnections:
    """What this process has connected: number 1, and nothing else."""
    own = OwnConnections()
    monkeypatch.setattr(strangers, "OWN", own)
    with own.opening(ELSEWHERE) as remember:
        remember(1, lambda: True)
    return own


def _operated(*, apart: bool = True, bystanders: tuple[str, ...] = ()) -> Operated[WatchedProfile]:
    profile = section("mysql").model_copy(update={"bystanders": bystanders})
    assert isinstance(profile, WatchedProfile)
    return Operated("one", profile, NOWHERE, apart=apart)


def _told(found: Sequence[Client], operated: Operated[WatchedProfile]) -> list[str]:
    return [str(one) for one in Strangers(operated).among(found)]


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("account", ["app", "operator", ""])
@pytest.mark.parametrize("host", ["172.18.0.9", "::ffff:172.18.0.9", "worker.internal"])
def test_neither_account_nor_host_makes_a_client_ours(account: str, host: str, *, apart: bool) -> None:
    clients = [OURS, Client(account, host, 7), Client(account, host, 8)]
    assert _told(clients, _operated(apart=apart)) == [f"{account}@{host}"]


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
    clients = [OURS, Client("operator", "10.0.0.1", 7, name)]
    assert _told(clients, _operated()) == ([] if reads else ["operator@10.0.0.1"])
    assert NAMES.fullmatch(NAME)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", ""])
@pytest.mark.parametrize("account", ["app", "operator"])
def test_on_the_hosts_network_a_client_of_the_loopback_is_one_like_every_other(
    account: str, host: str
) -> None:
    clients = [OURS, Client(account, host, 7)]
    assert _told(clients, _operated(apart=False)) == [f"{account}@{host}"]
    # In a container of its own it may be the store's health check, for as long as one takes.
    assert _told(clients, _operated()) == []


def test_a_client_in_the_stores_container_is_told_once_it_outstays_a_health_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(strangers, "time", SimpleNamespace(monotonic=lambda: now[0]))
    found = Strangers(_operated())
    staying = Client("root", "localhost", 7)
    for number in range(4):
        assert found.among([OURS, staying, Client("app", "127.0.0.1", 10 + number)]) == []
        now[0] += HEALTH_CHECK_SECONDS / 4
    assert [str(one) for one in found.among([OURS, staying])] == ["root@localhost"]
    # Its number is another client's by now.
    assert found.among([OURS]) == []
    assert found.among([OURS, staying]) == []


def test_a_bystander_is_an_account_or_one_at_a_host() -> None:
    clients = [
        OURS,
        Client("exporter", "10.0.0.5", 2),
        Client("app", "10.0.0.6", 3),
        Client("app", "10.0.0.7", 4),
    ]
    assert _told(clients, _operated(bystanders=("exporter", "app@10.0.0.6"))) == ["app@10.0.0.7"]


@pytest.mark.parametrize(("reader", "reads"), [("reader", True), ("operator", False), ("another", False)])
def test_who_has_the_readers_account_reads_unless_the_operator_has_it_too(
    reader: str, *, reads: bool
) -> None:
    operated = _operated()
    account = operated.profile.reader.model_copy(update={"user": reader})
    operated = replace(operated, profile=operated.profile.model_copy(update={"reader": account}))
    found = [OURS, Client("reader" if reads else "operator", "10.0.0.9", 7)]
    assert bool(Strangers(operated).among(found)) is not reads


def test_a_program_of_ours_in_the_container_is_one_client(
    own: OwnConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    operated = _operated(apart=False)
    before, ours = Client("operator", "127.0.0.1", 5), Client("operator", "127.0.0.1", 6)
    assert _told([OURS, ours], operated) == ["operator@127.0.0.1"]
    with own.of_a_program(ELSEWHERE):
        assert _told([OURS, ours], operated) == []
        assert _told([OURS, before, ours], operated) == ["operator@127.0.0.1"]
        assert _told([OURS, Client("app", "127.0.0.1", 6)], operated) == ["app@127.0.0.1"]
        assert _told([OURS, Client("operator", "10.0.0.9", 6)], operated) == ["operator@10.0.0.9"]
    # The server may list it for a moment.
    assert _told([OURS, ours], operated) == []
    monkeypatch.setattr(own_connections, "_GRACE_SECONDS", -1.0)
    assert _told([OURS, ours], operated) == ["operator@127.0.0.1"]


@pytest.mark.parametrize("found", [[], [Client("operator", "10.0.0.1", 900)]])
def test_a_list_without_our_own_connection_tells_nothing(found: list[Client]) -> None:
    """As behind a proxy, which numbers the connections anew."""
    with pytest.raises(Blind, match="expected our own connection among its clients"):
        Strangers(_operated()).among(found)


def test_a_connection_that_was_closed_is_ours_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    own, still = OwnConnections(), [True]
    with own.opening(ELSEWHERE) as remember:
        remember(7, lambda: bool(still))
    assert own.numbers(ELSEWHERE, 1.0) == {7}
    assert own.numbers("another:1", 1.0) == frozenset()
    still.clear()
    assert own.numbers(ELSEWHERE, 1.0) == {7}
    monkeypatch.setattr(own_connections, "_GRACE_SECONDS", -1.0)
    assert own.numbers(ELSEWHERE, 1.0) == frozenset()


def test_a_connection_that_is_being_opened_is_waited_for() -> None:
    own, opening, go_on = OwnConnections(), threading.Event(), threading.Event()

    def connect() -> None:
        with own.opening(ELSEWHERE) as remember:
            opening.set()
            go_on.wait(60.0)
            remember(7, lambda: True)

    thread = threading.Thread(target=connect)
    thread.start()
    opening.wait(60.0)
    assert own.numbers(ELSEWHERE, 0.01) == frozenset()
    threading.Timer(0.05, go_on.set).start()
    assert own.numbers(ELSEWHERE, 60.0) == {7}
    thread.join()


def test_one_that_cannot_be_opened_is_not_waited_for() -> None:
    own = OwnConnections()
    with pytest.raises(OSError, match="refused"), own.opening(ELSEWHERE):
        raise OSError("refused")
    assert own.numbers(ELSEWHERE, 0.0) == frozenset()


def test_redis_greets_and_remembers_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    own = OwnConnections()
    connection = Connection()  # type: ignore[no-untyped-call]
    monkeypatch.setattr(redis_view, "OWN", own)
    monkeypatch.setattr(
        Connection, "on_connect", lambda self: setattr(self, "handshake_metadata", {b"id": 7})
    )
    monkeypatch.setattr(Connection, "is_connected", property(lambda _: True))
    said = list[tuple[str, ...]]()
    monkeypatch.setattr(Connection, "send_command", lambda _, *words: said.append(words))

    def refuse(_: Connection) -> None:
        raise redis.exceptions.NoPermissionError("CLIENT SETNAME")

    monkeypatch.setattr(Connection, "read_response", refuse)
    client = redis_view.connect(Reach("one", NOWHERE, _account("reader"), 1.0), 0)
    greet = client.connection_pool.connection_kwargs["redis_connect_func"]
    greet(connection)
    assert own.numbers(ELSEWHERE, 1.0) == {7}
    assert said == [("CLIENT", "SETNAME", NAME)]
    # The driver connects the same object again: another number.
    monkeypatch.setattr(own_connections, "_GRACE_SECONDS", -1.0)
    monkeypatch.setattr(
        Connection, "on_connect", lambda self: setattr(self, "handshake_metadata", {b"id": 9})
    )
    greet(connection)
    assert own.numbers(ELSEWHERE, 1.0) == {9}


def test_a_client_of_mongodb_has_this_processs_name() -> None:
    client = mongodb.connect(Reach("one", NOWHERE, _account("reader"), 1.0), "admin")
    assert client.options.pool_options.appname == NAME
    client.close()


def _account(user: str) -> Account:
    profile = section("redis")
    assert isinstance(profile, WatchedProfile)
    return profile.reader.model_copy(update={"user": user})


def _redis(monkeypatch: pytest.MonkeyPatch, found: list[dict[str, str]]) -> list[str]:
    clients = redis_clients.Clients(cast("Any", Operated("one", section("redis"), NOWHERE)))
    monkeypatch.setattr(redis.Redis, "client_list", lambda _: found)
    return [str(one) for one in clients.others()]


def test_redis_tells_a_client_on_our_own_accounts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = {"id": "1", "user": "operator", "addr": "10.0.0.1:9", "flags": "N", "cmd": "client|list"}
    others = [
        {**ours, "id": "2", "addr": "10.0.0.9:9"},
        {**ours, "id": "3", "user": "reader", "addr": "127.0.0.1:9", "name": "app"},
        {**ours, "id": "4", "user": "app", "cmd": "NULL"},
        {**ours, "id": "5", "user": "replica", "flags": "S"},
    ]
    assert _redis(monkeypatch, [ours, *others]) == ["operator@10.0.0.9"]


def test_mysql_tells_a_client_on_our_own_accounts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[tuple[object, ...]] = [
        (2**32 + 1, "operator", "10.0.0.1:9", None, "Query", 0, "", "SHOW PROCESSLIST"),
        (2, "operator", "10.0.0.1:10", None, "Sleep", 0, "", None),
        (3, "reader", "localhost", None, "Sleep", 0, "", None),
        (4, "event_scheduler", "localhost", None, "Daemon", 0, "", None),
        (5, "replica", "10.0.0.7:1", None, "Binlog Dump GTID", 0, "", None),
    ]
    clients = mysql_clients.Clients(cast("Any", Operated("one", section("mysql"), NOWHERE)))
    monkeypatch.setattr(clients, "_open", lambda: SimpleNamespace(close=lambda: None))
    programs = [(2, "rollproof-0123456789abcdef"), (3, "app")]
    monkeypatch.setattr(
        mysql_clients, "rows", lambda _, query: found if query == "SHOW PROCESSLIST" else programs
    )
    assert clients.others() == []

    def hidden(_: object, query: str) -> list[tuple[object, ...]]:
        if query != "SHOW PROCESSLIST":
            raise pymysql.err.OperationalError(1142, "SELECT command denied")
        return found

    monkeypatch.setattr(mysql_clients, "rows", hidden)
    assert [str(one) for one in clients.others()] == ["operator@10.0.0.1"]


@pytest.mark.parametrize("anybody", [False, True])
def test_mongodb_tells_a_client_on_our_own_accounts(
    monkeypatch: pytest.MonkeyPatch, *, anybody: bool
) -> None:
    def operation(number: int, user: str, name: str, driver: str = "PyMongo") -> Mapping[str, object]:
        return {
            "client": f"127.0.0.{1 if driver == 'PyMongo' else 2}:{number}",
            "connectionId": number,
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
    monkeypatch.setattr(mongodb_clients, "connect", lambda *_: server)
    monkeypatch.setattr(mongodb_clients, "lets_in_anybody", lambda _: anybody)
    clients = mongodb_clients.Clients(cast("Any", Operated("one", section("mongodb"), NOWHERE)))
    nobody = ["nobody@127.0.0.1"] if anybody else []
    assert [str(one) for one in clients.others()] == ["app@127.0.0.1", *nobody, "operator@127.0.0.1"]


def test_only_a_server_that_answers_without_a_log_in_lets_in_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(_: object) -> dict[str, object]:
        if code:
            raise OperationFailure("refused", code)
        return {"databases": []}

    client = cast("Any", SimpleNamespace(admin=SimpleNamespace(command=command)))
    monkeypatch.setattr(mongodb, "connect", lambda *_, anonymous: nullcontext(client) if anonymous else None)
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


@dataclass(frozen=True)
class _Placed:
    """A container, as far as its network says who comes from inside of it."""

    id: str
    name: str
    network: str


@dataclass(frozen=True)
class _Engine:
    """An engine whose containers, each the only one of its service, have these networks."""

    networks: Mapping[str, str]

    def containers(self) -> Mapping[str, Sequence[_Placed]]:
        return {name: [_Placed(name, f"toy-{name}", mode)] for name, mode in self.networks.items()}

    def resolve(self, _: Address) -> Endpoint:
        return NOWHERE


@pytest.mark.parametrize(
    ("networks", "apart"),
    [
        ({"redis": "bridge", "worker": "bridge"}, True),
        ({"redis": "target_default", "worker": "host"}, True),
        ({"redis": "host"}, False),
        ({"redis": ""}, False),
        ({"redis": "container:worker", "worker": "bridge"}, False),
        ({"redis": "bridge", "worker": "container:redis"}, False),
        ({"redis": "bridge", "worker": "container:toy-redis"}, False),
        ({"worker": "bridge"}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("service", ["redis", None])
def test_a_container_may_share_its_network(
    networks: Mapping[str, str], service: str | None, *, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Operated[Any]] = []
    monkeypatch.setattr("rollproof.stores.keepers.at_place", lambda _: given.append)
    address = Address(host="127.0.0.1", port=9) if service is None else Address(service=service, port=9)
    profile = section("redis").model_copy(update={"address": address})
    open_clients("redis", profile, cast("ContainerEngine", _Engine(networks)))
    assert given[0].apart is (apart and service is not None)


@pytest.mark.parametrize(
    ("address", "host"),
    [("10.0.0.1:9", "10.0.0.1"), ("[::1]:9", "::1"), ("::1:9", "::1"), ("localhost", "localhost"), ("", "")],
)
def test_the_host_of_an_address(address: str, host: str) -> None:
    assert host_of(address) == host
