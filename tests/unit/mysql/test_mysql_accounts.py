"""What of a MySQL server beside its databases is compared: global variables, and databases outside."""

from __future__ import annotations

from typing import Any, cast

import pymysql
import pytest

from rollproof.stores.contract import Beside
from rollproof.stores.mysql import accounts

MOVING = {"gtid_owned": "3e11:23#4", "gtid_executed": "3e11:1-23", "gtid_slave_pos": "0-1-23"}
# MariaDB's, by the network card's address: a container that is re-created has another.
OF_THE_CARD = {
    "server_uid": "Ryn2h0yFXtFGrQ/lnsa8dsYDHHE=",
    "feedback_server_uid": "Ryn2h0yFXtFGrQ/lnsa8dsYDHHE=",
}
NAMED = {
    "hostname": "mysql",
    "pid_file": "/var/lib/mysql/mysql.pid",
    "slow_query_log_file": "/var/lib/mysql/mysql-slow.log",
    "relay_log": "mysql-relay-bin",
    "report_host": "mysql",
}
SET = {
    "datadir": "/var/lib/mysql/",
    "secure_file_priv": "/var/lib/mysql-files/",
    "default_authentication_plugin": "mysql_native_password",
    "init_file": "/etc/mysql/init.sql",
}


def test_variables_are_compared_unless_they_move_or_name_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "rows", lambda *_: list((MOVING | OF_THE_CARD | NAMED | SET).items()))
    found = dict(accounts._variables(cast("Any", None)))
    assert found == {f"variable {name}": value for name, value in SET.items()}


def test_other_databases_are_outside_but_for_the_server_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise pymysql.err.OperationalError(1142, "SELECT command denied")

    monkeypatch.setattr(accounts, "_variables", lambda _: [("a", "b")])
    monkeypatch.setattr(accounts, "_accounts", denied)
    monkeypatch.setattr(accounts, "rows", denied)
    monkeypatch.setattr(accounts, "databases_seen", lambda _: {"imagedb", "mysql", "sys", "other"})
    found = accounts.read_beside(cast("Any", None), "mysql", ["imagedb"])
    unread = (
        "accounts and grants: SELECT on mysql.*",
        "persisted variables: SELECT on performance_schema.persisted_variables",
    )
    assert found == Beside({"a": "b"}, ("database other",), unread)
