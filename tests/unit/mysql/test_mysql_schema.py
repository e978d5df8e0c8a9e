"""The definitions of a MySQL or MariaDB database, from the rows of its information schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from rollproof.collection import Json
from rollproof.engines.engine import Endpoint
from rollproof.stores.mysql import schema
from rollproof.stores.reach import NOBODY, Reach

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
TABLE = {"name": "shop.orders", "ENGINE": "InnoDB", "type": "BASE TABLE"}


class Server:
    """A connection to a server whose information schema has `told`: rows, by a word of the query for them."""

    def __init__(self, told: Rows) -> None:
        self._told = told
        self._found: Sequence[Mapping[str, Any]] = ()

    def cursor(self, _: object) -> Server:
        return self

    def execute(self, query: str, _: object) -> None:
        self._found = next((rows for word, rows in self._told.items() if word in query), ())

    def fetchall(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self._found]

    def close(self) -> None: ...


def read(told: Rows, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Json]:
    monkeypatch.setattr(schema, "tables", lambda *_: [])
    reach = Reach("mysql", Endpoint("127.0.0.1", 9), NOBODY, 1.0)
    return schema.read_schemas(cast("Any", Server(told)), "mariadb", ["shop"], reach)


def test_a_sequence_that_is_gone_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {"name": "shop.numbers", "engine": "InnoDB", "comment": ""}
    found = read({"'SEQUENCE'": [numbers]}, monkeypatch)
    assert found == {"sequence shop.numbers": {"engine": "InnoDB", "comment": ""}}
    assert read({}, monkeypatch) == {}


def test_spaces_count_in_a_default_and_not_at_the_end_of_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_spaces(spaces: str) -> tuple[Json, Json]:
        column = {"name": "shop.orders", "part": "note", "DEFAULT": spaces}
        trigger = {"name": "shop.t", "body": f"SET @a = 1{spaces}"}
        told = {"BASE TABLE": [TABLE], "column_default": [column], "action_statement": [trigger]}
        found: Any = read(told, monkeypatch)
        return found["shop.orders"]["columns"]["note"]["default"], found["trigger shop.t"]["body"]

    assert with_spaces("") == ("", "SET @a = 1")
    assert with_spaces(" ") == (" ", "SET @a = 1")
