"""Which clients of a store are strangers: whoever this process did not connect, whatever account and host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pymongo.errors import OperationFailure

from rollproof.errors import Unverifiable
from rollproof.profile.sections import WatchedProfile
from rollproof.stores.client_name import NAME, NAMES
from rollproof.stores.contract import Blind
from rollproof.stores.keeper import ConnectedClient, Operated, host_of, strangers
from rollproof.stores.mongodb import client as mongodb
from tests.unit.stores.test_readers_reach import NOWHERE, section

OURS = ConnectedClient("operator", "10.0.0.1", NAME)


def _operated(*, bystanders: tuple[str, ...] = ()) -> Operated[WatchedProfile]:
    profile = section("mysql").model_copy(update={"bystanders": bystanders})
    assert isinstance(profile, WatchedProfile)
    return Operated("one", profile, NOWHERE)


def _told(found: Sequence[ConnectedClient], operated: Operated[WatchedProfile]) -> list[str]:
    return [str(one) for one in strangers(operated, found)]


@pytest.mark.parametrize("account", ["app", "operator", ""])
@pytest.mark.parametrize("host", ["172.18.0.9", "::ffff:172.18.0.9", "worker.internal"])
def test_neither_account_nor_host_makes_a_client_ours(account: str, host: str) -> None:
    clients = [OURS, ConnectedClient(account, host), ConnectedClient(account, host)]
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
    clients = [OURS, ConnectedClient("operator", "10.0.0.1", name)]
    assert _told(clients, _operated()) == ([] if reads else ["operator@10.0.0.1"])
    assert NAMES.fullmatch(NAME)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", ""])
@pytest.mark.parametrize("account", ["app", "operator"])
def test_a_client_of_the_loopback_is_the_stores_health_check(account: str, host: str) -> None:
    assert _told([OURS, ConnectedClient(account, host)], _operated()) == []


def test_a_bystander_is_an_account_or_one_at_a_host() -> None:
    clients = [
        OURS,
        ConnectedClient("exporter", "10.0.0.5"),
        ConnectedClient("app", "10.0.0.6"),
        ConnectedClient("app", "10.0.0.7"),
    ]
    assert _told(clients, _operated(bystanders=("exporter", "app@10.0.0.6"))) == ["app@10.0.0.7"]


@pytest.mark.parametrize(("reader", "reads"), [("reader", True), ("operator", False), ("another", False)])
def test_who_has_the_readers_account_reads_unless_the_operator_has_it_too(
    reader: str, *, reads: bool
) -> None:
    operated = _operated()
    account = operated.profile.reader.model_copy(update={"user": reader})
    operated = replace(operated, profile=operated.profile.model_copy(update={"reader": account}))
    found = [OURS, ConnectedClient("reader" if reads else "operator", "10.0.0.9")]
    assert bool(strangers(operated, found)) is not reads


@pytest.mark.parametrize("found", [[], [ConnectedClient("operator", "10.0.0.1")]])
def test_a_list_without_our_own_connection_tells_nothing(found: list[ConnectedClient]) -> None:
    """As where the account may not give its connection a name."""
    with pytest.raises(Blind, match="expected our own connection among its clients"):
        strangers(_operated(), found)


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
    assert (mongodb.lets_in_anybody(reach), mongodb.answer_if_allowed(client, {"a": 1})) == (
        True,
        {"databases": []},
    )
    code = mongodb.UNAUTHORIZED
    assert (mongodb.lets_in_anybody(reach), mongodb.answer_if_allowed(client, {"a": 1})) == (False, None)
    code = 91  # it shuts down
    with pytest.raises(Unverifiable):
        mongodb.lets_in_anybody(reach)
    with pytest.raises(OperationFailure):
        mongodb.answer_if_allowed(client, {"a": 1})


@pytest.mark.parametrize(
    ("address", "host"),
    [("10.0.0.1:9", "10.0.0.1"), ("[::1]:9", "::1"), ("::1:9", "::1"), ("localhost", "localhost"), ("", "")],
)
def test_the_host_of_an_address(address: str, host: str) -> None:
    assert host_of(address) == host
