"""A table with every type of column, and changes of its rows that must be seen: statements and fields."""

from __future__ import annotations

from tests.stack.mysql_server import MysqlServer

TABLE = "scratch_first.t"

TYPES = r"""
SET time_zone = '+00:00', sql_mode = '';
CREATE TABLE t (
  id int PRIMARY KEY,
  tiny tinyint, unsigned_int int unsigned, big bigint, huge bigint unsigned NOT NULL DEFAULT 0, a_year year,
  price decimal(10,2), exact decimal(40,10), small float, small_fixed float(9,3), large double,
    sure double NOT NULL DEFAULT 0,
  day date, at datetime, fine datetime(6), stamp timestamp NULL, fine_stamp timestamp(6) NULL, span time(3),
  bits bit(64), few bit(3), choice enum('a','b',''), choices set('a','b','c'),
  plain varchar(40) CHARACTER SET utf8mb4,
    general varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci,
  latin varchar(40) CHARACTER SET latin1, wide varchar(40) CHARACTER SET utf16,
  fixed char(9) CHARACTER SET utf8mb4, raw varbinary(40), raw_fixed binary(8), blob_ blob,
    long_text longtext CHARACTER SET utf8mb4,
  long_blob longblob, json json, place geometry,
  twice int GENERATED ALWAYS AS (tiny * 2) STORED, thrice int GENERATED ALWAYS AS (tiny * 3) VIRTUAL,
  last varchar(40) CHARACTER SET utf8mb4 NOT NULL DEFAULT ''
);
INSERT INTO t (id, tiny, unsigned_int, big, huge, a_year, price, exact, small, small_fixed, large, sure,
    day, at, fine, stamp,
  fine_stamp, span, bits, few, choice, choices, plain, general, latin, wide, fixed, raw, raw_fixed, blob_,
    long_text, long_blob,
  json, place, last) VALUES
  (1, 1, 4294967295, -9223372036854775808, 18446744073709551615, 2024, 1.10,
    123456789012345678901234567890.0123456789,
   1234567.875, 1234.567, 0.1e0 + 0.2e0, 2.3, '2024-01-01', '2024-01-01 00:00:00',
    '2024-01-01 00:00:00.000001',
   '2024-01-01 00:00:01', '2024-01-01 00:00:01.000001', '-01:00:00.5', 0xffffffffffffffff, b'101', 'a',
    'a,b', 'one', 'one', 'é', 'é',
   'one', x'00ff', x'01', x'00ff27', 'long', x'00ff', '{"a": [1, 2.5, "x"]}',
    ST_GeomFromText('POINT(1 2)'), 'x'),
  (2, 2, 2, 2, 2, 2025, 2.20, 2, 2.5, 2.5, 2.5, 2.5, '2024-01-02', '2024-01-02 00:00:00',
    '2024-01-02 00:00:00.000002',
   '2024-01-02 00:00:01', '2024-01-02 00:00:01.000002', '02:00:00', 2, 2, 'b', 'c', 'two', 'two', 'zwei',
    'zwei',
   'two', 'two', x'02', 'two', 'two', 'two', '2', ST_GeomFromText('POINT(2 2)'), 'y'),
  (3, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL,
   NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, ''),
  (4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '0000-00-00', '0000-00-00', '0000-00-00', '0000-00-00',
    '0000-00-00', '0',
   0, 0, '', '', '', '', '', '', '', '', '', '', '', '', 'null', ST_GeomFromText('POINT(0 0)'), '');
"""
MYSQL_TYPES = r"""
ALTER TABLE t ADD nearby vector(3), ADD seen_by int INVISIBLE;
UPDATE t SET nearby = string_to_vector('[1,2,3]'), seen_by = 1 WHERE id = 1;
"""
MARIADB_TYPES = r"""
ALTER TABLE t ADD who uuid, ADD origin inet6, ADD seen_by int INVISIBLE;
UPDATE t SET who = '123e4567-e89b-12d3-a456-426614174000', origin = '::1', seen_by = 1 WHERE id = 1;
"""


def _set(assignment: str, row: int = 1) -> tuple[str, ...]:
    return (f"UPDATE t SET {assignment} WHERE id = {row}",)  # noqa: S608 - constants


# What is done to table t -> the fields in which a row of the same key then differs.
CORRUPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "a row lost": (("DELETE FROM t WHERE id = 2",), ""),
    "a row added": (("INSERT INTO t (id) VALUES (5)",), ""),
    "a row under another key": (_set("id = 9"), ""),
    "two rows swap a value": (
        (
            "SELECT price INTO @one FROM t WHERE id = 1",
            "UPDATE t SET price = (SELECT * FROM (SELECT price FROM t WHERE id = 2) AS o) WHERE id = 1",
            "UPDATE t SET price = @one WHERE id = 2",
        ),
        "price",
    ),
    "two columns swap their values": (_set("plain = 'zwei', latin = 'two'", 2), "plain latin"),
    "a boundary shifts between two fields": (_set("plain = 'on', general = 'eone'"), "plain general"),
    "a boundary shifts at the end": (_set("long_text = NULL, last = 'longx'"), "long_text last"),
    "NULL to nothing": (_set("plain = ''", 3), "plain"),
    "nothing to NULL": (_set("plain = NULL", 4), "plain"),
    "NULL moves to the next column": (_set("plain = NULL, general = ''", 4), "plain"),
    "trailing space": (_set("plain = 'one '"), "plain"),
    "trailing space under a general collation": (_set("general = 'one '"), "general"),
    "case": (_set("general = 'One'"), "general"),
    "another accent": (_set("general = 'öne'"), "general"),
    "mojibake": (_set("plain = 'Ã©'"), "plain"),
    "one bit of a latin1 text": (_set("latin = 'è'"), "latin"),
    "one bit of a utf16 text": (_set("wide = 'è'"), "wide"),
    "a CHAR": (_set("fixed = 'One'"), "fixed"),
    "one bit of a VARBINARY": (_set("raw = x'00fe'"), "raw"),
    "trailing zero byte": (_set("raw = x'00ff00'"), "raw"),
    "one bit of a BINARY": (_set("raw_fixed = x'0100000000000001'"), "raw_fixed"),
    "one bit of a BLOB": (_set("blob_ = x'00ff26'"), "blob_"),
    "one bit of a LONGBLOB": (_set("long_blob = x'01ff'"), "long_blob"),
    "LONGBLOB to NULL": (_set("long_blob = NULL", 4), "long_blob"),
    "a letter of a LONGTEXT": (_set("long_text = 'Long'"), "long_text"),
    "an integer": (_set("unsigned_int = 4294967294"), "unsigned_int"),
    "NULL to zero": (_set("unsigned_int = 0", 3), "unsigned_int"),
    "the lowest bit of a BIGINT": (_set("big = -9223372036854775807"), "big"),
    "the lowest bit of an unsigned BIGINT": (_set("huge = 18446744073709551614"), "huge"),
    "BIGINT NULL to zero": (_set("big = 0", 3), "big"),
    "a generated column": (_set("tiny = 3"), "tiny twice"),
    "a year": (_set("a_year = 2023"), "a_year"),
    "a year from NULL": (_set("a_year = 0", 3), "a_year"),
    "a cent": (_set("price = 1.11"), "price"),
    "DECIMAL NULL to zero": (_set("price = 0", 3), "price"),
    "the last digit of a DECIMAL": (_set("exact = exact + 0.0000000001"), "exact"),
    "the seventh digit of a FLOAT": (_set("small = 1234567.75"), "small"),
    "the last bit of a FLOAT": (_set("small_fixed = 1234.568"), "small_fixed"),
    "the last bit of a DOUBLE": (_set("large = 0.3"), "large"),
    "the last bit of a DOUBLE that is not NULL": (_set("sure = 2.3000000000000003"), "sure"),
    "DOUBLE NULL to zero": (_set("large = 0", 3), "large"),
    "a day": (_set("day = '2024-01-02'"), "day"),
    "no day to NULL": (_set("day = NULL", 4), "day"),
    "a second": (_set("at = '2024-01-01 00:00:01'"), "at"),
    "a microsecond": (_set("fine = '2024-01-01 00:00:00.000002'"), "fine"),
    "a second of a TIMESTAMP": (_set("stamp = '2024-01-01 00:00:02'"), "stamp"),
    "TIMESTAMP zero to NULL": (_set("stamp = NULL", 4), "stamp"),
    "a microsecond of a TIMESTAMP": (
        _set("fine_stamp = '2024-01-01 00:00:01.000002'"),
        "fine_stamp",
    ),
    "a millisecond of a TIME": (_set("span = '-01:00:00.501'"), "span"),
    "the sign of a TIME": (_set("span = '01:00:00.5'"), "span"),
    "one bit": (_set("bits = 0xfffffffffffffffe"), "bits"),
    "the sign bit": (_set("bits = 0x7fffffffffffffff"), "bits"),
    "BIT NULL to zero": (_set("few = 0", 3), "few"),
    "an ENUM": (_set("choice = 'b'"), "choice"),
    "an ENUM that was not allowed": (_set("choice = 0", 4), "choice"),
    "a SET": (_set("choices = 'a'"), "choices"),
    "SET NULL to none": (_set("choices = ''", 3), "choices"),
    "JSON: a number becomes a text": (_set("""json = '{"a": [1, 2.5, "x"], "b": "1"}'"""), "json"),
    "JSON: an integer becomes a float": (
        # Straight away, the server takes them for equal and changes nothing.
        (*_set("json = NULL"), *_set("""json = '{"a": [1.0, 2.5, "x"]}'""")),
        "json",
    ),
    "JSON: null to NULL": (_set("json = NULL", 4), "json"),
    "a coordinate": (_set("place = ST_GeomFromText('POINT(1 2.0000000000000004)')"), "place"),
    "a reference system": (_set("place = ST_GeomFromText('POINT(1 2)', 4326)"), "place"),
    "GEOMETRY to NULL": (_set("place = NULL"), "place"),
    "an INVISIBLE column": (_set("seen_by = 2"), "seen_by"),
}
MYSQL_CORRUPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "one bit of a VECTOR": (_set("nearby = string_to_vector('[1,2,3.0000002]')"), "nearby"),
}
MARIADB_CORRUPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "one digit of a UUID": (_set("who = '123e4567-e89b-12d3-a456-426614174001'"), "who"),
    "an address": (_set("origin = '::2'"), "origin"),
    "UUID to NULL": (_set("who = NULL"), "who"),
}


def fill(running: MysqlServer) -> None:
    """Make the table: the types that both servers have, and those of this one alone."""
    own = MYSQL_TYPES if running.flavour == "mysql" else MARIADB_TYPES
    running.root(TYPES + own, "scratch_first")
