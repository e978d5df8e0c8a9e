"""MySQL and MariaDB, schemas: damage is seen, a restore gives them back; what cannot be seen is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from fixtures.errors import Unverifiable
from fixtures.stores.mysql import rows
from fixtures.stores.mysql_content import Content
from fixtures.stores.profiles import Account
from rollback_actions.stores.mysql import Keeper
from tests.stack.content_reading import whole
from tests.stack.mysql_content import CONTENT, DAMAGE
from tests.stack.mysql_server import MysqlServer, prepared
from tests.stack.mysql_types import TABLE, fill
from tests.stack.scratch_stores import SECRET


@pytest.fixture
def sql(running: MysqlServer) -> Iterator[Connection[Cursor]]:
    with prepared(running) as connection:
        yield connection


@pytest.fixture
def content(running: MysqlServer, sql: Connection[Cursor]) -> Iterator[Content]:
    assert sql.open
    with Content("mysql", running.profile, running.endpoint) as content:
        yield content


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_in_the_schemas_or_in_a_digest(running: MysqlServer, content: Content, name: str) -> None:
    running.root(CONTENT)
    before = _everything(content)
    assert _everything(content) == before
    running.root(DAMAGE[name])
    if name == "a database dropped":
        with pytest.raises(Unverifiable, match="scratch_second"):
            content.schemas()
    else:
        assert _everything(content) != before


def test_a_restore_gives_back_the_schemas_and_the_digests(
    running: MysqlServer, content: Content, tmp_path: Path
) -> None:
    running.root(CONTENT)
    fill(running)
    before = _everything(content)
    assert "auto_increment" in before
    keeper = Keeper("mysql", running.profile, running.endpoint, running.control)
    keeper.back_up(tmp_path)
    running.root("; ".join(DAMAGE[name] for name in ("rows deleted", "a view dropped", "a table renamed")))
    running.root("DELETE FROM scratch_first.t; INSERT INTO scratch_first.parent (name) VALUES ('later')")
    assert _everything(content) != before
    keeper.restore(tmp_path)
    assert _everything(content).splitlines() == before.splitlines()


def _everything(content: Content) -> str:
    """Return all schemas, an object a line, and the digest of every table."""
    schemas = content.schemas()
    assert list(schemas) == sorted(schemas)
    digests = {
        name: whole(content, name) for name in schemas if " " not in name or name.startswith("scratch")
    }
    # The server tells the columns of a table in any order; their position is part of the schema.
    lines = [f"{name}: {json.dumps(schema, sort_keys=True)}" for name, schema in schemas.items()]
    return "\n".join([*lines, str(digests)])


def test_a_schema_has_every_part(running: MysqlServer, content: Content) -> None:
    running.root(CONTENT)
    schemas = content.schemas()
    assert {name.partition(" ")[0] for name in schemas if not name.startswith("scratch")} == {
        "database", "event", "function", "procedure", "trigger", "view",
    }  # fmt: skip
    parent = schemas["scratch_first.parent"]
    assert isinstance(parent, dict)
    assert parent["auto_increment"] == 503
    for part, name in (
        ("columns", "length"), ("indexes", "by_name"), ("checks", ""),
    ):  # fmt: skip
        found = parent[part]
        assert isinstance(found, dict)
        assert any(name in one for one in found)
    child = schemas["scratch_first.child"]
    assert isinstance(child, dict)
    assert child["foreign_keys"] == {
        "of_parent": {
            "references": "scratch_first.parent",
            "on_update": child["foreign_keys"]["of_parent"]["on_update"],  # type: ignore[index,call-overload]
            "on_delete": child["foreign_keys"]["of_parent"]["on_delete"],  # type: ignore[index,call-overload]
            "columns": [{"column": "parent", "referenced": "id"}],
        }
    }


def test_the_counter_of_a_table_that_grows_is_not_compared(
    running: MysqlServer, sql: Connection[Cursor]
) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, v int)")
    profile = running.profile.model_copy(update={"policy": {TABLE: "grows"}})
    with Content("mysql", profile, running.endpoint) as content:
        before = content.schemas()
        rows(sql, "INSERT INTO t (v) VALUES (1), (2), (3)")
        assert content.schemas() == before


def test_what_the_account_may_not_see_is_a_blind_spot(running: MysqlServer) -> None:
    running.prepare()
    running.root(CONTENT)
    with Content("mysql", running.profile, running.endpoint) as content:
        content.schemas()
        assert not [spot for spot in content.blind_spots if "privilege" in spot]
    running.root(
        f"CREATE USER scratch_blind@'%' IDENTIFIED BY '{SECRET}';"
        f" GRANT SELECT ON `scratch\\_first`.* TO scratch_blind@'%'"
    )
    try:
        blind = Account(user="scratch_blind", password=SecretStr(SECRET))
        profile = running.profile.model_copy(update={"reader": blind, "databases": ("scratch_first",)})
        with Content("mysql", profile, running.endpoint) as content:
            schemas = content.schemas()
            spots = "\n".join(content.blind_spots)
        assert not [name for name in schemas if name.startswith(("trigger", "event", "procedure"))]
        assert "triggers of scratch_first: the account has no privilege of TRIGGER" in spots
        assert "events of scratch_first: the account has no privilege of EVENT" in spots
        assert "routines of scratch_first" in spots
        assert "the body of view scratch_first.seen" in spots
    finally:
        running.root("DROP USER scratch_blind@'%'")
