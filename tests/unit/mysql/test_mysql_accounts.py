"""What of a MySQL server beside its databases is compared: global variables, and databases outside."""

from __future__ import annotations

from typing import Any, cast

import pymysql
import pytest

from rollproof.stores.contract import Beside
from rollproof.stores.mysql import accounts


def test_other_databases_are_outside_but_for_the_server_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise pymysql.err.OperationalError(1142, "SELECT command denied")

    monkeypatch.setattr(accounts, "_variables", lambda _: [("a", "b")])
    monkeypatch.setattr(accounts, "_accounts", denied)
    monkeypatch.setattr(accounts, "databases_seen", lambda _: {"imagedb", "mysql", "sys", "other"})
    found = accounts.read_beside(cast("Any", None), ["imagedb"])
    unread = ("accounts and grants: SELECT on mysql.*",)
    assert found == Beside({"a": "b"}, ("database other",), unread)
