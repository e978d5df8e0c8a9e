"""Whether a column still holds what it held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollproof.baseline.facts import Facts, RecordedCanary, RecordedContent, RecordedStore
from rollproof.migrations.column_types import NotComparable, narrows, narrows_charset
from rollproof.migrations.finding import Findings, Judgement
from rollproof.migrations.known import Known
from rollproof.migrations.schema_before import SchemaBefore, schema_before
from rollproof.migrations.sql import lint_sql
from rollproof.profile.kinds import kinds

HOLDS = [
    ("int", "int"),
    ("int", "INTEGER"),
    ("int(11)", "int"),
    ("tinyint(1)", "BOOLEAN"),
    ("int", "bigint"),
    ("int unsigned", "bigint"),
    ("tinyint unsigned", "smallint"),
    ("int", "double"),
    ("int", "decimal(10,0)"),
    ("float", "double"),
    ("decimal(10,2)", "NUMERIC(12, 2)"),
    ("decimal(10,2) unsigned", "decimal(10,2)"),
    ("varchar(10)", "varchar(10)"),
    ("char(2)", "varchar(2)"),
    ("varchar(100)", "text"),
    ("text", "longtext"),
    ("varbinary(10)", "blob"),
    ("binary(4)", "binary(4)"),
    ("binary(4)", "varbinary(4)"),
    ("date", "datetime"),
    ("timestamp", "datetime"),
    ("datetime", "datetime(6)"),
    ("enum('a','b')", "enum('a','b','c')"),
    ("enum('a','b')", "ENUM('a', 'b')"),
    ("json", "longtext"),
    ("bit(4)", "bit(8)"),
    ("year", "year"),
]
NARROWS = [
    ("int", "smallint"),
    ("int", "int unsigned"),
    ("int unsigned", "int"),
    ("bigint unsigned", "bigint"),
    ("bigint", "double"),
    ("int", "decimal(9,0)"),
    ("int", "decimal(10,2)"),
    ("int", "decimal(10,0) unsigned"),
    ("double", "float"),
    ("double", "double(7,2)"),
    ("decimal(10,2)", "decimal(10,4)"),
    ("decimal(10,2)", "decimal(12,1)"),
    ("decimal(10,2)", "decimal(10,2) unsigned"),
    ("decimal(10,2)", "int"),
    ("varchar(100)", "varchar(99)"),
    ("varchar(100)", "char(100)"),
    ("varchar(100)", "tinytext"),
    ("text", "varchar(1000)"),
    ("longtext", "text"),
    ("blob", "varbinary(100)"),
    ("binary(4)", "binary(5)"),
    ("datetime", "date"),
    ("datetime", "timestamp"),
    ("datetime(6)", "datetime"),
    ("enum('a','b')", "enum('b','a')"),
    ("enum('a','b')", "enum('a')"),
    ("enum('a','A')", "enum('a','b')"),
    ("set('a')", "enum('a')"),
    ("bit(8)", "bit(4)"),
    ("varchar(10)", "int"),
    ("int", "varchar(20)"),
    ("longtext", "json"),
]


@pytest.mark.parametrize(("before", "after"), HOLDS)
def test_a_type_that_holds_every_value(before: str, after: str) -> None:
    assert narrows(before, after) == ""


@pytest.mark.parametrize(("before", "after"), NARROWS)
def test_a_type_that_does_not_is_named_with_the_one_before(before: str, after: str) -> None:
    assert narrows(before, after).startswith(f"from {before} to {after}")


@pytest.mark.parametrize(
    ("before", "after"), [("geometry", "int"), ("int", "point"), ("varchar(x)", "varchar(3)")]
)
def test_what_is_not_known_is_not_compared(before: str, after: str) -> None:
    with pytest.raises(NotComparable):
        narrows(before, after)


def test_bytes_of_a_text_depend_on_its_characters() -> None:
    assert narrows("varchar(100)", "tinytext", "latin1") == ""
    assert narrows("varchar(100)", "tinytext", "utf8mb4")


@pytest.mark.parametrize(
    ("before", "after"), [("latin1", "utf8mb4"), ("ascii", "latin1"), ("utf8", "utf8mb3")]
)
def test_a_character_set_that_has_all(before: str, after: str) -> None:
    assert narrows_charset(before, after) == ""


@pytest.mark.parametrize(
    ("before", "after"), [("utf8mb4", "utf8mb3"), ("utf8mb4", "latin1"), ("utf8", "ascii")]
)
def test_a_character_set_that_has_not(before: str, after: str) -> None:
    assert "has not all of" in narrows_charset(before, after)


def _schema(*stores: tuple[str, str]) -> SchemaBefore:
    """Return what a baseline tells whose stores, each with its kind, have a table ``app.users``."""
    column = {"type": "varchar(9)", "nullable": "YES", "charset": "utf8mb4"}
    table = {
        "collation": "utf8mb4_bin",
        "columns": {"Name": column},
        "indexes": {"u": {"unique": 1}, "i": {"unique": 0}},
    }
    content = RecordedContent({"app.users": table, "view app.v": {"definition": "x"}}, {}, {}, ())  # type: ignore[dict-item]
    return schema_before(
        Facts(
            commit="c",
            interface="",
            containers=(),
            stores={name: RecordedStore(kind, "s", {}) for name, kind in stores},
            canary=RecordedCanary((), ()),
            contents={name: content for name, _ in stores},
        )
    )


def test_the_schema_of_before_is_that_of_the_baseline() -> None:
    before = _schema(("mysql", "mysql"), ("mongodb", "mongodb"))
    column = before.column("users", "NAME")
    assert column == before.column("users", "name", "app")
    assert column is not None
    assert (column.type, column.nullable, column.charset) == ("varchar(9)", True, "utf8mb4")
    table = before.table("users")
    assert table is not None
    assert (set(table.unique), table.charset) == ({"u"}, "utf8mb4")
    assert before.dialect == "mysql"
    assert before.table("users", "other") is None
    assert before.column("users", "x") is None


def test_a_table_that_two_stores_have_is_not_known() -> None:
    twice = _schema(("mysql", "mysql"), ("second", "mysql"))
    assert (twice.table("users"), twice.dialect) == (None, "mysql")


def test_a_statement_of_an_unknown_dialect_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one that may be for either of two stores."""
    other = replace(kinds()["mongodb"], dialect="postgres")
    monkeypatch.setattr("rollproof.migrations.schema_before.kinds", lambda: {**kinds(), "mongodb": other})
    assert _schema(("pages", "mongodb")).dialect == "postgres"
    for before in (_schema(), _schema(("mysql", "mysql"), ("pages", "mongodb"))):
        findings = Findings("m.sql")
        lint_sql("ALTER TABLE users ADD COLUMN x int", findings, Known(before))
        (found,) = findings.found
        assert (found.judgement, "whose SQL it is" in found.why) == (Judgement.UNJUDGED, True)
