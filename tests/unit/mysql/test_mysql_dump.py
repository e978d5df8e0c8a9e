"""Rows are counted in the dump itself, whatever its texts and bodies look like."""

from pathlib import Path

import pytest

from rollproof.stores.mysql.dump import read_dump

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
