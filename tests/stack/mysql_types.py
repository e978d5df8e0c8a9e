"""A table with every type of column."""

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


def fill(running: MysqlServer) -> None:
    """Make the table: the types that both servers have, and those of this one alone."""
    own = MYSQL_TYPES if running.flavour == "mysql" else MARIADB_TYPES
    running.root(TYPES + own, "scratch_first")
