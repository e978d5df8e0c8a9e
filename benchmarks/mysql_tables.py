"""The table that the readers of MySQL and MariaDB are compared on, and the corruptions planted in it."""

from __future__ import annotations

from collections.abc import Sequence

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from rollproof.stores.mysql.connection import MysqlSession, rows

DATABASE = "rollproof_bench"
# Rows of one transaction that fills a table.
BLOCK = 100_000
COLUMNS = """
  id bigint NOT NULL AUTO_INCREMENT, owner int NOT NULL, name varchar(80) NOT NULL,
  status enum('new', 'done', 'failed') NOT NULL, size decimal(12,2) NOT NULL, score double, ratio float,
  created datetime(6) NOT NULL, changed timestamp NULL, note varchar(200), more varchar(200),
  sum char(64) CHARACTER SET ascii NOT NULL,
  PRIMARY KEY (id), KEY by_owner (owner), CONSTRAINT sized_{name} CHECK (size >= 0)
"""
_FILL = """
INSERT INTO {table} (id, owner, name, status, size, score, ratio, created, changed, note, more, sum)
WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})
SELECT i, i % 1000, CONCAT('document-', i, '.pdf'), 1 + i % 3, i * 1.37, IF(i % 11 = 0, NULL, i / 7), i / 3,
  '2024-01-01' + INTERVAL i * 1000003 MICROSECOND, '2024-01-01' + INTERVAL i SECOND,
  IF(i % 7 = 0, NULL, SHA2(CONCAT({seed}, '/', i), 224)), IF(i % 5 = 0, NULL, CONCAT('more ', i)),
  SHA2(CONCAT({seed}, '-', i), 256)
FROM n
"""


def make_database(connection: MysqlSession) -> None:
    """Create the benchmark's database, empty."""
    rows(connection, f"DROP DATABASE IF EXISTS {DATABASE}")
    rows(connection, f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
    connection.select_db(DATABASE)
    limit = "cte_max_recursion_depth" if connection.flavour == "mysql" else "max_recursive_iterations"
    rows(connection, f"SET SESSION {limit} = {2 * BLOCK}, sql_mode = '', time_zone = '+00:00'")


def make_table(connection: Connection[Cursor], name: str, size: int, seed: int = 1) -> None:
    """Create a table of `size` rows of about 230 bytes, the same for the same seed."""
    rows(connection, f"DROP TABLE IF EXISTS {name}")
    rows(connection, f"CREATE TABLE {name} ({COLUMNS.format(name=name)})")
    for first in range(1, size + 1, BLOCK):
        last = min(first + BLOCK - 1, size)
        rows(connection, _FILL.format(table=name, first=first, last=last, seed=int(seed)))
    rows(connection, f"ANALYZE TABLE {name}")


_OTHERS = "owner, name, status, size, score, ratio, created, changed, note, more, sum"
# Corruptions of table t of `make_table`, and the statements that plant them.
CORRUPTIONS: dict[str, Sequence[str]] = {
    "a row lost": ("DELETE FROM t WHERE id = 500",),
    "a row added": (f"INSERT INTO t SELECT 10001, {_OTHERS} FROM t WHERE id = 500",),  # noqa: S608 - constants
    "one row lost, another twice": (
        "DELETE FROM t WHERE id = 500",
        f"INSERT INTO t SELECT 500, {_OTHERS} FROM t WHERE id = 501",  # noqa: S608 - constants
    ),
    "two rows swap a value": (
        "SELECT size INTO @size FROM t WHERE id = 500",
        "UPDATE t SET size = (SELECT size FROM (SELECT size FROM t WHERE id = 501) AS o) WHERE id = 500",
        "UPDATE t SET size = @size WHERE id = 501",
    ),
    "a text and its neighbour shift": (
        "UPDATE t SET note = CONCAT(note, LEFT(more, 1)), more = SUBSTR(more, 2) WHERE id = 501",
    ),
    "a separator shifts": (
        "UPDATE t SET note = 'a', more = 'b#c' WHERE id = 501",
        "SAVED",
        "UPDATE t SET note = 'a#b', more = 'c' WHERE id = 501",
    ),
    "one bit of a text": ("UPDATE t SET sum = INSERT(sum, 1, 1, CHAR(ASCII(sum) ^ 1)) WHERE id = 500",),
    "NULL becomes an empty text": ("UPDATE t SET note = '' WHERE id = 490",),
    "trailing space": ("UPDATE t SET note = CONCAT(note, ' ') WHERE id = 500",),
    "case": ("UPDATE t SET name = UPPER(name) WHERE id = 500",),
    "a cent": ("UPDATE t SET size = size + 0.01 WHERE id = 500",),
    "the seventh digit of a FLOAT": (
        "UPDATE t SET ratio = 1234567.75 WHERE id = 500",
        "SAVED",
        "UPDATE t SET ratio = 1234567.875 WHERE id = 500",
    ),
    "the last digit of a DOUBLE": ("UPDATE t SET score = score * (1 + 3e-16) WHERE id = 500",),
    "a microsecond": ("UPDATE t SET created = created + INTERVAL 1 MICROSECOND WHERE id = 500",),
    "NULL and a text change places": (
        "UPDATE t SET note = NULL, more = 'x' WHERE id = 500",
        "SAVED",
        "UPDATE t SET note = 'x', more = NULL WHERE id = 500",
    ),
    "an integer column gets another type": ("ALTER TABLE t MODIFY owner bigint NOT NULL",),
    "another collation": ("ALTER TABLE t MODIFY name varchar(80) COLLATE utf8mb4_bin NOT NULL",),
    "an index dropped": ("ALTER TABLE t DROP KEY by_owner",),
    "a check dropped": ("ALTER TABLE t DROP CONSTRAINT sized_t",),
    "a default changed": ("ALTER TABLE t ALTER owner SET DEFAULT 7",),
    "a trigger lost": (
        "CREATE TRIGGER watch BEFORE INSERT ON t FOR EACH ROW SET NEW.owner = 1",
        "SAVED",
        "DROP TRIGGER watch",
    ),
}
SAVED = "SAVED"
"""Stands between a corruption's statements, where the good state is read."""
