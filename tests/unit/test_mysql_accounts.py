"""What of a MySQL server beside its databases is compared: its global variables."""

from __future__ import annotations

from typing import Any, cast

import pytest

from fixtures.stores.mysql import accounts

MOVING = {"gtid_owned": "3e11:23#4", "gtid_executed": "3e11:1-23", "gtid_slave_pos": "0-1-23"}
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
    monkeypatch.setattr(accounts, "rows", lambda *_: list((MOVING | NAMED | SET).items()))
    found = dict(accounts._variables(cast("Any", None)))
    assert found == {f"variable {name}": value for name, value in SET.items()}
