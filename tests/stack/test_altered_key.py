"""Accounting for a table whose key a migration renamed, on real servers of MySQL and MariaDB."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import create_autospec

import pytest

from rollproof.engines.compose import ComposeEngine
from rollproof.losses import changes
from rollproof.losses.accounting import account_store
from rollproof.losses.lost_window import LostWindow, export_store
from rollproof.profile.profile import Target
from rollproof.stores.mysql.connection import rows
from rollproof.system.command import Deadline
from tests.stack.mysql_server import MysqlServer, prepared

TABLE = "scratch_first.t"


@pytest.mark.parametrize(
    "running", ["stack", pytest.param("mariadb", marks=pytest.mark.long(minutes=0.5))], indirect=True
)
def test_records_divided_by_a_key_that_is_gone_are_accounted_for(
    target: Target, running: MysqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "PART", 2)
    # The engine only says where the server is; that of the module's own server is another one.
    engine = create_autospec(ComposeEngine, instance=True)
    engine.resolve.return_value = running.endpoint
    chosen = target.model_copy(update={"stores": {"mysql": running.profile}})
    limit = Deadline(60)
    with prepared(running) as sql:
        rows(sql, "CREATE TABLE t (number int PRIMARY KEY, word varchar(9))")
        rows(sql, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'later'), (4, 'd'), (5, 'e'), (6, 'new')")
        store = export_store(chosen, engine, "mysql", None, (), tmp_path / "mysql", limit)
        window = LostWindow(backup="-", stores={"mysql": store}, folder=tmp_path)
        with window.records("mysql") as records:
            assert len(records.parts(TABLE, "before")) > 1
        assert store.lines == 6

        rows(sql, "DROP TABLE t")
        rows(sql, "CREATE TABLE t (id int PRIMARY KEY, word varchar(9))")
        rows(sql, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e')")
        account = account_store(chosen, engine, "mysql", None, [window], limit)
    assert account.unknown == {}
    assert account.unaccounted == 0
    assert account.kept + account.exported == 6
    assert account.exported >= 2
