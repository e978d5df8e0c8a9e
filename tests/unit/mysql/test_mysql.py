"""MySQL and MariaDB: bounds between two parts, rows that are counted in a dump, what an account may do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rollproof.collection import Json
from rollproof.stores.mysql.connection import Flavour
from rollproof.stores.mysql.dump import read_dump
from rollproof.stores.mysql.privileges import NEEDED, parsed, rights, shows, sight
from rollproof.stores.mysql.rows import _cell
from rollproof.stores.mysql.table import Column, Key, between


def _column(name: str, kind: str, **other: object) -> Column:
    values: dict[str, object] = {
        "nullable": False, "digits": 10, "length": 0, "charset": None, "collation": None, "virtual": False,
        "generated": False, **other,
    }  # fmt: skip
    return Column(name=name, type=kind, **values)  # type: ignore[arg-type]


ID = _column("id", "int")
NAME = _column("na`me", "varchar", length=160, charset="utf8mb4", collation="utf8mb4_bin")
COLUMNS = {column.name: column for column in (ID, NAME)}


def test_a_bound_of_one_column() -> None:
    assert between(COLUMNS, "", "") == "TRUE"
    assert between(COLUMNS, '{"id": "5"}', '{"id": "-9"}') == "`id` >= 5 AND `id` < -9"
    assert between(COLUMNS, '{"id": "5"}', "", after=True) == "`id` > 5"
    assert between(COLUMNS, "", '{"na`me": "C3A9"}') == ("`na``me` < _utf8mb4 x'C3A9' COLLATE utf8mb4_bin")


def test_an_invalid_choice_is_not_the_empty_one() -> None:
    value = _cell(_column("x", "enum")).value
    assert [value(number, "") for number in (0, 1)] == [0, ""]


@pytest.mark.parametrize(
    "bound",
    [
        '{"id": "1 OR 1=1"}', '{"na`me": "a\' OR \'"}', '{"na`me": "C3A"}', '{"gone": "1"}', "[]", "{}",
        "1", "no",
    ],
)  # fmt: skip
def test_what_is_no_bound_is_refused(bound: str) -> None:
    """A division comes from a file."""
    with pytest.raises(ValueError, match=r"bound|key column|value|Expecting"):
        between(COLUMNS, bound, "")


def test_a_date_is_not_the_way_out_of_its_quotes() -> None:
    with pytest.raises(ValueError, match="no value of column"):
        between({"day": _column("day", "date")}, '{"day": "2024\' OR \'1"}', "")


def test_how_many_rows_can_be_between_two_bounds() -> None:
    key = Key("PRIMARY", (ID,), (ID,))
    assert key.width('{"id": "-5"}', '{"id": "10"}') == 15
    assert key.width("", '{"id": "10"}') is None
    assert Key("PRIMARY", (NAME,), (NAME,)).width('{"na`me": "61"}', '{"na`me": "62"}') is None


MYSQL = rb"""-- MySQL dump 10.13
/*!40000 DROP DATABASE IF EXISTS `shop`*/;
USE `shop`;
CREATE TABLE `a``b` (
  `id` int
);
INSERT INTO `a``b` VALUES (1,'(2),(3)\'),(4);'),(2,'\\'),(3,NULL);
INSERT INTO `a``b` VALUES (4,0x28);
CREATE TABLE `with generated` (`id` int, `x(y)` int);
INSERT INTO `with generated` (`id`, `x(y)`) VALUES (1,2),(2,3);
CREATE TABLE `empty one` (`id` int);
DELIMITER ;;
CREATE DEFINER=`root`@`localhost` PROCEDURE `p`()
INSERT INTO `a``b` VALUES (1),(2) ;;
DELIMITER ;
USE `other`;
CREATE TABLE `a``b` (`id` int);
INSERT INTO `a``b` VALUES (1);
USE `shop`;

-- Dump completed on 2026-01-01  0:00:00
"""
MARIADB = rb"""/*M!999999\- enable the sandbox mode */
USE `shop`;
CREATE TABLE `many` (`id` int);
INSERT INTO `many` VALUES
(1,'a\nb; (c)'),
(2,');'),
(3,NULL);
CREATE TABLE `next` (`id` int);
INSERT INTO `next` VALUES
(1);
-- Dump completed on 2026-01-01  0:00:00
"""


def _write(tmp_path: Path, dump: bytes) -> Path:
    path = tmp_path / "dump.sql"
    path.write_bytes(dump)
    return path


def test_rows_of_mysql(tmp_path: Path) -> None:
    dump = read_dump(_write(tmp_path, MYSQL))
    assert dump.rows == {"shop.a`b": 4, "shop.with generated": 2, "shop.empty one": 0, "other.a`b": 1}
    assert (dump.complete, dump.complaints) == (True, [])


def test_rows_of_mariadb(tmp_path: Path) -> None:
    dump = read_dump(_write(tmp_path, MARIADB))
    assert dump.rows == {"shop.many": 3, "shop.next": 1}
    assert dump.complete


@pytest.mark.parametrize("whole", [MYSQL, MARIADB], ids=["mysql", "mariadb"])
def test_wherever_a_dump_is_cut_it_is_not_complete(tmp_path: Path, whole: bytes) -> None:
    for length in range(whole.rindex(b"-- Dump completed")):
        assert not read_dump(_write(tmp_path, whole[:length])).complete


def test_text_after_the_trailer_is_not_the_end_of_a_dump(tmp_path: Path) -> None:
    assert not read_dump(_write(tmp_path, MYSQL + b"DROP DATABASE `shop`;\n")).complete


def test_complaints_are_read(tmp_path: Path) -> None:
    dump = read_dump(_write(tmp_path, MYSQL + b"-- standard error: mysqldump: Error: 'Access denied'\n"))
    assert dump.complete
    assert dump.complaints == ["mysqldump: Error: 'Access denied'"]


@pytest.mark.parametrize(
    ("line", "complaints"),
    [
        ("mysqldump: [Warning] Using a password on the command line interface can be insecure.", 0),
        ("Warning: A partial dump from a server that has GTIDs will by default include those.", 0),
        ("-- Warning: column statistics not supported by the server.", 0),
        ("/usr/bin/mariadb-dump: WARNING: --master-data is deprecated", 0),
        ("mysqldump: Couldn't execute 'show create procedure `log_warning`': Access denied (1370)", 1),
        ("mysqldump: Couldn't execute 'show fields from `[Warning]`': it is broken (1356)", 1),
        ("warnings: it is no program that begins so", 1),
    ],
)
def test_a_warning_is_none_by_its_mark_and_not_by_a_name(tmp_path: Path, line: str, complaints: int) -> None:
    """A routine of that name that the account may not show is missing in the dump."""
    dump = read_dump(_write(tmp_path, MYSQL + f"-- standard error: {line}\n".encode()))
    assert dump.complaints == [line] * complaints


READING = (
    "GRANT USAGE ON *.* TO `reader`@`%` IDENTIFIED BY PASSWORD '*79D0'",
    "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `imagedb`.* TO `reader`@`%`",
    "GRANT SHOW_ROUTINE, PROCESS ON *.* TO `reader`@`%`",
)


@pytest.mark.parametrize(
    ("more", "writes"),
    [
        ([], ()),
        (["GRANT INSERT ON `imagedb`.* TO `reader`@`%`"], ("INSERT on imagedb",)),
        (["GRANT DELETE ON *.* TO `reader`@`%`"], ("DELETE on imagedb",)),
        (["GRANT UPDATE ON `image%`.* TO `reader`@`%`"], ("UPDATE on imagedb",)),
        (["GRANT DROP ON `other`.* TO `reader`@`%`"], ()),
        (["GRANT ALL PRIVILEGES ON *.* TO `reader`@`%`"], ("ALL PRIVILEGES on imagedb",)),
    ],
)
def test_a_reader_of_mysql(more: Sequence[str], writes: tuple[str, ...]) -> None:
    assert rights(parsed([*READING, *more]), ["imagedb"]).writes == writes


def test_a_grant_tells_a_dropped_database_of_mysql_from_a_hidden_one() -> None:
    held = parsed(READING)
    assert (shows(held, "imagedb"), shows(held, "other")) == (True, False)


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ("*", True),
        ("`imagedb`", True),
        ("`image%`", True),
        ("`i_agedb`", True),
        (r"`image\_db`", False),
        ("`other`", False),
    ],
)
def test_a_grant_covers_the_databases_of_its_pattern(scope: str, *, covered: bool) -> None:
    held = parsed(
        (
            "GRANT USAGE ON *.* TO `operator`@`%` IDENTIFIED BY PASSWORD '*79D0'",
            f"GRANT ALL PRIVILEGES ON {scope}.* TO `operator`@`%`",
        )
    )
    assert (held.missing(["imagedb"]) == []) is covered


def test_privileges_add_up() -> None:
    needed = sorted(NEEDED - {"TRIGGER", "EVENT"})
    held = parsed(
        (
            f"GRANT {', '.join(needed)} ON *.* TO `operator`@`%`",
            "GRANT EVENT ON `imagedb`.* TO `operator`@`%`",
            "GRANT TRIGGER ON `imagedb`.`users` TO `operator`@`%`",
        )
    )
    assert held.missing(["imagedb"]) == ["TRIGGER on imagedb"]
    assert held.missing(["other"]) == ["EVENT on other", "TRIGGER on other"]


WHOLE = "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `shop%`.* TO `r`@`%`"
ROUTINES = {
    "mysql": "GRANT SHOW_ROUTINE ON *.* TO `r`@`%`",
    "mariadb": "GRANT SHOW CREATE ROUTINE ON `shop`.* TO `r`@`%`",
}


def _hidden(flavour: Flavour, *grants: str) -> dict[str, str]:
    return {what: right for what, right in sight(parsed(grants), flavour, ["shop"], {}).items() if right}


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
def test_an_account_with_the_documented_grants_sees_everything(flavour: Flavour) -> None:
    seen = sight(parsed([WHOLE, ROUTINES[flavour]]), flavour, ["shop"], {})
    assert list(seen) == [f"{what} of shop" for what in ("tables", "views", "triggers", "events", "routines")]
    assert not any(seen.values())
    assert _hidden(flavour, "GRANT ALL PRIVILEGES ON *.* TO `r`@`%` WITH GRANT OPTION") == {}


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
@pytest.mark.parametrize(
    ("right", "what"),
    [
        ("SELECT", "tables"),
        ("SHOW VIEW", "views"),
        ("TRIGGER", "triggers"),
        ("EVENT", "events"),
    ],
)
def test_each_right_that_is_revoked_hides_its_objects(flavour: Flavour, right: str, what: str) -> None:
    fewer = WHOLE.replace(f"{right}, ", "").replace(f", {right}", "")
    assert fewer != WHOLE
    assert _hidden(flavour, fewer, ROUTINES[flavour]) == {f"{what} of shop": f"{right} on shop.*"}


def test_a_body_that_is_not_shown_is_hidden() -> None:
    found: dict[str, Json] = {
        "view shop.v": {"view_definition": ""},
        "function shop.f": {"routine_definition": None},
        "trigger shop.t": {"action_statement": "x"},
    }
    execute = "GRANT EXECUTE ON `shop`.* TO `r`@`%`"
    seen = sight(parsed([WHOLE, execute]), "mysql", ["shop"], found)
    assert {what: right for what, right in seen.items() if right} == {
        "the body of view shop.v": "SHOW VIEW on shop.*",
        "the body of function shop.f": "SHOW_ROUTINE on *.*",
    }
