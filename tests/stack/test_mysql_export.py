"""The export of MySQL and MariaDB, on real servers of both: what is replayed is what was there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import Unverifiable
from fixtures.stores.content import Pace
from fixtures.stores.mysql import rows
from fixtures.stores.mysql_content import Content
from fixtures.target import Target
from rollback_actions.stores import mysql_export, mysql_rows
from rollback_actions.stores.export import ExportedRecord
from rollback_actions.stores.factory import open_export
from rollback_actions.stores.mysql_export import Export
from tests.stack.export_reading import exported, hashes_of
from tests.stack.mysql_server import MysqlServer, prepared
from tests.stack.mysql_types import TABLE, fill
from tests.stack.record_exports import wanted_of
from tests.stack.scratch_stores import SECRET, changed, nowhere, silence

# What a session may be that a line must not depend on.
HOSTILE = (
    "SET time_zone = '-05:30', sql_mode = 'TRADITIONAL,ANSI,NO_BACKSLASH_ESCAPES', foreign_key_checks = 1"
)
CHARSETS = (
    "utf8mb4", "utf8mb3", "ascii", "latin1", "latin2", "cp1251", "greek", "utf16", "utf16le", "utf32", "ucs2",
    "sjis", "ujis", "gbk", "gb18030", "big5", "euckr", "binary",
)  # fmt: skip
AWKWARD = r"""
SET time_zone = '+00:00', sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
CREATE TABLE `o``d; näme%s` (
  `a``b` int AUTO_INCREMENT PRIMARY KEY, `ü; --` text CHARACTER SET utf8mb4, `b` varbinary(300),
  `e` enum('','1','b') NULL, `s` set('','a','b'), `f` float, `d` double, `x` decimal(65,30),
  `t` timestamp(6) NOT NULL DEFAULT now(6) ON UPDATE now(6), `n` time(6),
  `g` int GENERATED ALWAYS AS (z + 1) STORED, `h` int AS (z + 1), z int(9) zerofill
);
INSERT INTO `o``d; näme%s` (`a``b`, `ü; --`, `b`, `e`, `s`, `f`, `d`, `x`, `t`, `n`, z) VALUES
  (0, 'a\nb\r\n\0\Z\\''"`;--%s é😀', x'000a0d1a27225c', 2, 1, 1.17549435e-38, 5e-324, -0.1,
    '2024-11-03 06:30:00.000001', '-838:59:59', 1),
  (-5, '\n', x'', 1, 0, 3.4028234e38, 1.7976931348623157e308,
    99999999999999999999999999999999999.999999999999999999999999999999,
    '1970-01-01 00:00:01', '838:59:59', 0),
  (7, '\\n', '\\', 3, 3, -0.1, 0.1e0, 1e-30, '2038-01-19 03:14:07.999999', '-00:00:00.000001', 123),
  (8, 'NULL', 'NULL', NULL, NULL, 16777217, 9007199254740993, 0, '2024-03-10 02:30:00', 0, NULL);
SET sql_mode = '';
UPDATE `o``d; näme%s` SET `e` = 0, t = t WHERE `a``b` = 8;
"""
AWKWARD_TABLE = "scratch_first.o`d; näme%s"


@pytest.fixture
def sql(running: MysqlServer) -> Iterator[Connection[Cursor]]:
    with prepared(running) as connection:
        yield connection


@pytest.fixture
def content(running: MysqlServer, sql: Connection[Cursor]) -> Iterator[Content]:
    assert sql.open
    with Content("mysql", running.profile, running.endpoint) as content:
        yield content


@pytest.fixture
def export(running: MysqlServer, sql: Connection[Cursor]) -> Iterator[Export]:
    assert sql.open
    with Export("mysql", running.profile, running.endpoint) as export:
        yield export


def _replay(running: MysqlServer, records: Sequence[ExportedRecord], folder: Path) -> None:
    """Give the lines to the server's own client, in a session that is set against them."""
    lines = folder / "replay.sql"
    lines.write_text("".join(f"{record.replay}\n" for record in records), encoding="utf-8")
    client = "mysql" if running.flavour == "mysql" else "mariadb"
    command = (
        f"MYSQL_PWD=$(cat /run/secrets/mysql_root) exec {client} --no-defaults -uroot"
        f" -S /run/mysqld/mysqld.sock"
        f' --default-character-set=utf8mb4 --max-allowed-packet=1G --init-command="{HOSTILE}" scratch_first'
    )
    running.control.run("mysql", ["sh", "-c", command], deadline=120, stdin=lines)


def _expect_it_comes_back(
    running: MysqlServer, content: Content, export: Export, table: str, damage: str, folder: Path
) -> list[ExportedRecord]:
    """Export all of `table`, do `damage`, which must leave no row as it was, and replay."""
    before = hashes_of(content, table)
    assert before
    records = exported(export, table, wanted_of(content, table), folder)
    assert {(record.key, record.hash) for record in records} == set(before)
    assert not any("\n" in record.replay for record in records)
    running.root(damage, "scratch_first")
    assert set(hashes_of(content, table)).isdisjoint(before)
    _replay(running, records, folder)
    assert hashes_of(content, table) == before
    return records


@pytest.mark.parametrize("piece", [1 << 18, 3])
def test_every_type_comes_back_as_it_was(
    running: MysqlServer,
    content: Content,
    export: Export,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    piece: int,
) -> None:
    monkeypatch.setattr(mysql_rows, "PIECE_BYTES", piece)
    fill(running)
    damage = "DELETE FROM t WHERE id % 2; UPDATE t SET tiny = 9, last = 'changed'"
    records = _expect_it_comes_back(running, content, export, TABLE, damage, tmp_path)
    assert all("REPLACE INTO `scratch_first`.`t` (" in record.replay for record in records)
    assert not any("`twice`" in record.replay for record in records)
    assert all("`seen_by`" in record.replay for record in records)


def test_awkward_values_and_names_come_back(
    running: MysqlServer, sql: Connection[Cursor], content: Content, export: Export, tmp_path: Path
) -> None:
    running.root(AWKWARD, "scratch_first")
    exact = (
        "SELECT HEX(`ü; --`), HEX(b), e + 0, s + 0, f + 0.0e0, d, x, t, n, z"
        " FROM `o``d; näme%s` ORDER BY `a``b`"
    )
    before = rows(sql, exact)
    assert {row[2] for row in before} == {0, 1, 2, 3}
    assert {row[3] for row in before} == {0, 1, 3, None}
    damage = "DELETE FROM `o``d; näme%s` WHERE `a``b` IN (0, 8); UPDATE `o``d; näme%s` SET z = 77"
    _expect_it_comes_back(running, content, export, AWKWARD_TABLE, damage, tmp_path)
    assert rows(sql, exact) == before


def test_texts_of_every_character_set_come_back(
    running: MysqlServer, content: Content, export: Export, sql: Connection[Cursor], tmp_path: Path
) -> None:
    known = {
        name for (name,) in rows(sql, "SELECT character_set_name FROM information_schema.character_sets")
    }
    charsets = [name for name in CHARSETS if name in known]
    assert len(charsets) >= 15
    columns = [
        f"{name}_{kind[:4]} {kind} CHARACTER SET {name}"
        for name in charsets
        for kind in ("varchar(99)", "text")
    ]
    rows(sql, f"CREATE TABLE t (id int PRIMARY KEY, {', '.join(columns)}) ROW_FORMAT = DYNAMIC")
    for number, value in enumerate(('it\'s \\ "x"\n', "é ñ ß ", "Ж ξ", "日本 한 中", "\U0001f600", "", "?")):
        # What a character set does not have becomes a question mark.
        rows(sql, "INSERT INTO t VALUES %s", [(number, *[value] * len(columns))])
    _expect_it_comes_back(
        running, content, export, TABLE, "UPDATE t SET latin1_text = 'changed', utf8mb4_varc = ''", tmp_path
    )


def test_people_can_read_it(running: MysqlServer, content: Content, export: Export, tmp_path: Path) -> None:
    fill(running)
    records = exported(export, TABLE, wanted_of(content, TABLE), tmp_path)
    found: dict[str, Any] = {record.key: record.content for record in records}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    expected = {
        "id": 1,
        "big": -(2**63),
        "huge": 2**64 - 1,
        "price": "1.10",
        "exact": "123456789012345678901234567890.0123456789",
        "small": 1234567.875,
        "large": 0.1 + 0.2,
        "day": "2024-01-01",
        "fine": "2024-01-01 00:00:00.000001",
        "stamp": "2024-01-01 00:00:01",
        "span": "-01:00:00.500",
        "few": 5,
        "choice": "a",
        "choices": "a,b",
        "latin": "é",
        "wide": "é",
        "raw": {"base64": "AP8="},
        "long_text": "long",
        "seen_by": 1,
    }
    assert {name: found["1"][name] for name in expected} == expected
    document = {"a": [1, 2.5, "x"]}  # which in MariaDB is a text
    assert found["1"]["json"] in (document, json.dumps(document))
    assert {name for name, value in found["3"].items() if value is not None} == {"id", "huge", "sure", "last"}
    assert "twice" not in found["1"]


def test_long_values_come_back(
    running: MysqlServer, content: Content, export: Export, sql: Connection[Cursor], tmp_path: Path
) -> None:
    rows(
        sql,
        "CREATE TABLE t (id int PRIMARY KEY, b longblob, c longtext CHARACTER SET utf16, d json,"
        " e longblob, f longblob)",
    )
    rows(
        sql,
        "INSERT INTO t VALUES (1, REPEAT(x'000a27ff', 2500000), REPEAT('é日', 500000),"
        " CONCAT('[\"', REPEAT('x', 1000000), '\"]'), REPEAT('e', 200000), REPEAT('f', 200000))",
    )
    [record] = _expect_it_comes_back(running, content, export, TABLE, "UPDATE t SET b = ''", tmp_path)
    assert len(record.replay) > 20_000_000
    assert max(map(len, record.replay.split(";"))) < 600_000


def test_rows_without_a_key_are_as_many_as_they_were(
    running: MysqlServer, content: Content, export: Export, sql: Connection[Cursor], tmp_path: Path
) -> None:
    rows(sql, "CREATE TABLE t (a int, b text)")
    rows(sql, "INSERT INTO t VALUES (1, 'x'), (1, 'x'), (NULL, NULL), (2, 'y')")
    records = _expect_it_comes_back(running, content, export, TABLE, "DELETE FROM t", tmp_path)
    assert len(records) == 4
    assert all(" INSERT INTO " in record.replay for record in records)


def test_a_key_that_bounds_no_part_is_replaced(
    running: MysqlServer, content: Content, export: Export, sql: Connection[Cursor], tmp_path: Path
) -> None:
    """Digests know no key that is a part of a text: yet a second row would be refused."""
    rows(sql, "CREATE TABLE t (a text NOT NULL, b int, PRIMARY KEY (a(9)))")
    rows(sql, "INSERT INTO t VALUES ('one', 1), ('two', 2)")
    _expect_it_comes_back(running, content, export, TABLE, "UPDATE t SET b = 3", tmp_path)


@pytest.mark.parametrize("told", [mysql_export.TOLD, 2])
def test_only_what_is_wanted_and_still_there(
    content: Content,
    export: Export,
    sql: Connection[Cursor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: int,
) -> None:
    monkeypatch.setattr(mysql_export, "TOLD", told)  # beyond it, rows are compared here
    monkeypatch.setattr(Pace, "next_size", lambda *_: 7)
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY, note varchar(9))")
    for number in range(100):
        rows(sql, "INSERT INTO t VALUES (%s, 'note')", [number])
    division = content.divide(TABLE, 20)
    assert len(division) == 5
    chosen = {"3", "4", "5", "6", "77"}
    wanted = {**wanted_of(content, TABLE, division, chosen), 1: frozenset[tuple[str, int]]()}
    assert sorted(wanted) == [0, 1, 3]
    records = exported(export, TABLE, wanted, tmp_path, division)
    assert sorted(record.key for record in records) == sorted(chosen)
    rows(sql, "DELETE FROM t WHERE id = 4")
    rows(sql, "UPDATE t SET note = 'later' WHERE id = 5")
    rows(sql, "UPDATE t SET id = 106 WHERE id = 6")
    left = exported(export, TABLE, wanted, tmp_path, division)
    assert sorted(record.key for record in left) == ["3", "77"]


def test_a_caller_may_stop(export: Export, sql: Connection[Cursor], tmp_path: Path) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY)")
    rows(sql, "INSERT INTO t VALUES (1), (2), (3)")
    wanted = wanted_of(export, TABLE)
    with closing(export.export(TABLE, ("",), wanted, tmp_path, Pace())) as stopping:  # type: ignore[type-var]
        next(stopping)
    assert len(exported(export, TABLE, wanted, tmp_path)) == 3


def test_excluded_fields_are_exported(running: MysqlServer, sql: Connection[Cursor], tmp_path: Path) -> None:
    fill(running)
    chosen = changed(running.profile, exclude={TABLE: ("plain", "json", "price")})
    with (
        Content("mysql", chosen, running.endpoint) as content,
        Export("mysql", chosen, running.endpoint) as export,
    ):
        records = exported(export, TABLE, wanted_of(content, TABLE), tmp_path)
        assert {(record.key, record.hash) for record in records} == set(hashes_of(content, TABLE))
    with Content("mysql", running.profile, running.endpoint) as whole:
        before = hashes_of(whole, TABLE)
        rows(sql, "DELETE FROM t")
        _replay(running, records, tmp_path)
        assert hashes_of(whole, TABLE) == before


def test_rows_that_refer_to_a_row_stay_when_it_is_replaced(
    running: MysqlServer, content: Content, export: Export, sql: Connection[Cursor], tmp_path: Path
) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY, note text)")
    rows(
        sql,
        "CREATE TABLE child (id int PRIMARY KEY, parent int,"
        " FOREIGN KEY (parent) REFERENCES t (id) ON DELETE CASCADE)",
    )
    rows(sql, "INSERT INTO t VALUES (1, 'x')")
    rows(sql, "INSERT INTO child VALUES (1, 1)")
    _expect_it_comes_back(running, content, export, TABLE, "UPDATE t SET note = 'y'", tmp_path)
    assert rows(sql, "SELECT * FROM child") == [(1, 1)]


def test_a_value_that_no_longer_fits_is_refused(
    running: MysqlServer, content: Content, export: Export, sql: Connection[Cursor], tmp_path: Path
) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY, note varchar(9))")
    rows(sql, "INSERT INTO t VALUES (1, 'too long')")
    [record] = exported(export, TABLE, wanted_of(content, TABLE), tmp_path)
    rows(sql, "DELETE FROM t")
    rows(sql, "ALTER TABLE t MODIFY note varchar(3)")
    with pytest.raises(Exception, match="Data too long for column 'note'"):
        _replay(running, [record], tmp_path)
    assert rows(sql, "SELECT * FROM t") == []


def test_what_the_server_gives_as_null_for_its_length_is_no_export(
    running: MysqlServer, sql: Connection[Cursor], tmp_path: Path
) -> None:
    if running.flavour == "mysql":
        pytest.skip("its settings are those of others too")
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY, note longtext)")
    rows(sql, "INSERT INTO t VALUES (1, REPEAT('x', 3000000))")
    ((packet,),) = rows(sql, "SELECT @@max_allowed_packet")
    running.root(f"SET GLOBAL max_allowed_packet = {2 << 20}")
    try:
        with (
            Content("mysql", running.profile, running.endpoint) as content,
            Export("mysql", running.profile, running.endpoint) as export,
            pytest.raises(Unverifiable, match="one of column note that is longer than max_allowed_packet"),
        ):
            exported(export, TABLE, wanted_of(content, TABLE), tmp_path)
    finally:
        running.root(f"SET GLOBAL max_allowed_packet = {packet}")


def test_how_to_replay_names_the_place_and_no_secret(running: MysqlServer, export: Export) -> None:
    assert export.how_to_replay(TABLE) == (
        f"{running.flavour} --host={running.endpoint.host} --port={running.endpoint.port}"
        f" --user={running.profile.operator.user} --password"
        " --default-character-set=utf8mb4 --max-allowed-packet=1G scratch_first"
    )


def test_the_reader_of_the_profile_can_export(
    target: Target, engine: ContainerEngine, tmp_path: Path
) -> None:
    profile = target.stores["mysql"]
    with open_export("mysql", profile, engine) as export:
        assert isinstance(export, Export)
        wanted = wanted_of(export, "imagedb.users")
        records = exported(export, "imagedb.users", wanted, tmp_path)
    assert {(record.key, record.hash) for record in records} == wanted[0]


def test_a_server_that_does_not_answer_is_no_export(running: MysqlServer, tmp_path: Path) -> None:
    with silence() as silent:
        for endpoint in (silent, nowhere()):
            chosen = changed(running.profile, deadline_seconds=1)
            with Export("mysql", chosen, endpoint) as export, pytest.raises(Unverifiable) as failure:
                exported(export, TABLE, {0: frozenset({("1", 1)})}, tmp_path)
            assert SECRET not in str(failure.value)
