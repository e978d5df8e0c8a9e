"""Faults of MySQL: in the application's tables, and in one with a column of each kind that can be damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from staging.faults.fault import Register
from staging.target.operators import Operators, undone

fault = Register("mysql")
TABLE = "faults_readings"
DOCUMENTS = "imagedb.documents"
READINGS = f"imagedb.{TABLE}"
# A database outside the profile, so that phase 4 does not read it.
_ASIDE = "imagedb_faults"
_CREATE = f"""
    CREATE TABLE {TABLE} (
        id INT NOT NULL PRIMARY KEY,
        label VARCHAR(40) NULL,
        note VARCHAR(40) NOT NULL,
        amount DECIMAL(20, 10) NOT NULL,
        ratio DOUBLE NOT NULL,
        taken DATETIME(6) NOT NULL,
        seen TIMESTAMP(6) NOT NULL,
        content VARBINARY(20) NOT NULL,
        number INT NOT NULL,
        KEY ix_number (number)
    ) DEFAULT CHARACTER SET utf8mb4
"""
_FILL = f"""
    INSERT INTO {TABLE}
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 40)
    SELECT n, IF(MOD(n, 10) = 0, NULL, CONCAT('Zürich ', n)), 'c', n / 7, 1 / (n + 3),
        '2026-03-29 01:30:00.123456' + INTERVAL n HOUR, '2026-03-28 12:00:00.654321' + INTERVAL n HOUR,
        UNHEX(LEFT(SHA2(n, 256), 32)), n * 10
    FROM numbers
"""  # noqa: S608 - our own names


@contextmanager
def planted(operators: Operators) -> Iterator[None]:
    """Provide the faults' own table."""

    def remove() -> None:
        operators.sql(f"DROP DATABASE IF EXISTS {_ASIDE}")
        operators.sql(f"DROP TABLE IF EXISTS {TABLE}")

    remove()
    with undone(remove):
        operators.sql(f"CREATE DATABASE {_ASIDE}")
        operators.sql(_CREATE)
        operators.sql(_FILL)
        yield


@contextmanager
def _changed(operators: Operators, table: str, *statements: str) -> Iterator[None]:
    """Run `statements` that change rows of `table`; restore all its rows from a copy inside the server."""
    aside = f"{_ASIDE}.{table}"

    def put_back() -> None:
        operators.sql(f"DELETE FROM {table}")  # noqa: S608 - our own names
        operators.sql(f"INSERT INTO {table} SELECT * FROM {aside}")  # noqa: S608 - our own names
        operators.sql(f"DROP TABLE {aside}")

    operators.sql(f"DROP TABLE IF EXISTS {aside}")
    operators.sql(f"CREATE TABLE {aside} SELECT * FROM {table}")  # noqa: S608 - our own names
    with undone(put_back):
        for statement in statements:
            operators.sql(statement)
        yield


@contextmanager
def _altered(operators: Operators, before: str, after: str) -> Iterator[None]:
    """Run `before`, a change of a schema; at the end run `after`, which undoes it."""
    operators.sql(before)
    with undone(lambda: operators.sql(after)):
        yield


def _readings(operators: Operators, assignments: str, which: str = "id = 7") -> Iterator[None]:
    statement = f"UPDATE {TABLE} SET {assignments} WHERE {which}"  # noqa: S608 - our own
    with _changed(operators, TABLE, statement):
        yield


@fault.content(DOCUMENTS)
def row_lost(operators: Operators) -> Iterator[None]:
    """One row is gone."""
    with _changed(operators, "documents", "DELETE FROM documents ORDER BY file_id LIMIT 1"):
        yield


@fault.count(DOCUMENTS)
def rows_cut_off(operators: Operators) -> Iterator[None]:
    """The last ten rows are gone, as after a copy that was cut."""
    with _changed(operators, "documents", "DELETE FROM documents ORDER BY file_id DESC LIMIT 10"):
        yield


@fault.content(READINGS)
def row_added(operators: Operators) -> Iterator[None]:
    """One row is there that was not."""
    with _changed(
        operators,
        TABLE,
        f"INSERT INTO {TABLE} SELECT 99, label, note, amount, ratio, taken, seen,"  # noqa: S608
        f" content, number FROM {TABLE} WHERE id = 7",
    ):
        yield


@fault.content(READINGS)
def row_twice_for_another(operators: Operators) -> Iterator[None]:
    """One row is there twice and another is gone: the count is as before."""
    copy = f"UPDATE {TABLE} one JOIN {TABLE} two ON one.id = 7 AND two.id = 8 SET "  # noqa: S608 - our own
    names = ("label", "note", "amount", "ratio", "taken", "seen", "content", "number")
    with _changed(operators, TABLE, copy + ", ".join(f"one.{name} = two.{name}" for name in names)):
        yield


@fault.content(DOCUMENTS)
def values_swapped(operators: Operators) -> Iterator[None]:
    """Two rows have each other's digest: every column holds the same values as before."""
    (one, first), (two, second) = operators.sql(
        "SELECT file_id, sha256 FROM documents ORDER BY file_id LIMIT 2"
    )
    replace = "UPDATE documents SET sha256 = %s WHERE file_id = %s"
    with _changed(operators, "documents"):
        operators.sql(replace, (second, one))
        operators.sql(replace, (first, two))
        yield


@fault.content(READINGS)
def bit_flipped(operators: Operators) -> Iterator[None]:
    """One bit of one row is another."""
    flipped = "content = CONCAT(CHAR(ORD(content) ^ 1 USING binary), SUBSTRING(content, 2))"
    yield from _readings(operators, flipped)


@fault.content(READINGS)
def null_became_empty(operators: Operators) -> Iterator[None]:
    """A text that was NULL is empty."""
    yield from _readings(operators, "label = ''", "id = 10")


@fault.content(READINGS)
def trailing_space(operators: Operators) -> Iterator[None]:
    """A text has a space at its end, which most collations do not see."""
    yield from _readings(operators, "label = CONCAT(label, ' ')")


@fault.content(READINGS)
def case_changed(operators: Operators) -> Iterator[None]:
    """A text is in lower case, which the collation does not see."""
    yield from _readings(operators, "label = LOWER(label)")


@fault.content(READINGS)
def accent_lost(operators: Operators) -> Iterator[None]:
    """A text has lost its accent, which the collation does not see."""
    yield from _readings(operators, "label = REPLACE(label, 'ü', 'u')")


@fault.content(READINGS)
def mojibake(operators: Operators) -> Iterator[None]:
    """Texts were read as latin1, though they were UTF-8."""
    misread = "label = CONVERT(CAST(CONVERT(label USING utf8mb4) AS BINARY) USING latin1)"
    yield from _readings(operators, misread, "label IS NOT NULL")


@fault.content(READINGS)
def microseconds_lost(operators: Operators) -> Iterator[None]:
    """Times have lost their microseconds."""
    yield from _readings(operators, "taken = taken - INTERVAL MICROSECOND(taken) MICROSECOND", "id > 0")


@fault.content(READINGS)
def microsecond_later(operators: Operators) -> Iterator[None]:
    """One time is a microsecond later."""
    yield from _readings(operators, "seen = seen + INTERVAL 1 MICROSECOND")


@fault.content(DOCUMENTS)
def timezone_shifted(operators: Operators) -> Iterator[None]:
    """All times are two hours later, as in another time zone."""
    with _changed(operators, "documents", "UPDATE documents SET created_at = created_at + INTERVAL 2 HOUR"):
        yield


@fault.content(READINGS)
def precision_lost(operators: Operators) -> Iterator[None]:
    """Decimals are rounded to two places, as by a copy through another type."""
    yield from _readings(operators, "amount = ROUND(amount, 2)", "id > 0")


@fault.content(READINGS)
def last_bit_of_a_double(operators: Operators) -> Iterator[None]:
    """One floating-point number is the next larger one."""
    yield from _readings(operators, "ratio = ratio * (1 + 2.220446049250313E-16)")


@fault.content(READINGS)
def boundary_shifted(operators: Operators) -> Iterator[None]:
    """The end of one column is at the beginning of the next: put together they read the same."""
    moved = "note = CONCAT(RIGHT(label, 1), note), label = LEFT(label, CHAR_LENGTH(label) - 1)"
    yield from _readings(operators, moved)


@fault.schema(DOCUMENTS)
def index_dropped(operators: Operators) -> Iterator[None]:
    """An index is gone."""
    index = "ix_documents_knowledge_base"
    with _altered(
        operators,
        f"ALTER TABLE documents DROP KEY {index}",
        f"ALTER TABLE documents ADD KEY {index} (knowledge_base_id)",
    ):
        yield


@fault.schema("imagedb.users")
def unique_no_more(operators: Operators) -> Iterator[None]:
    """An index is still there, and no longer unique."""
    drop, index = "ALTER TABLE users DROP KEY ix_users_email, ADD", "KEY ix_users_email (email)"
    with _altered(operators, f"{drop} {index}", f"{drop} UNIQUE {index}"):
        yield


@fault.schema(READINGS)
def collation_changed(operators: Operators) -> Iterator[None]:
    """A column has another collation: the same bytes compare otherwise."""
    column = f"ALTER TABLE {TABLE} MODIFY label VARCHAR(40)"
    with _altered(operators, f"{column} COLLATE utf8mb4_bin NULL", f"{column} NULL"):
        yield


@fault.schema(READINGS)
def column_renamed(operators: Operators) -> Iterator[None]:
    """A column has another name."""
    rename = f"ALTER TABLE {TABLE} RENAME COLUMN"
    with _altered(operators, f"{rename} note TO remark", f"{rename} remark TO note"):
        yield


@fault.schema(READINGS)
def integer_became_text(operators: Operators) -> Iterator[None]:
    """A column of integers is one of texts that read the same."""
    column = f"ALTER TABLE {TABLE} MODIFY number"
    with _altered(operators, f"{column} VARCHAR(20) NOT NULL", f"{column} INT NOT NULL"):
        yield


@fault.schema(READINGS)
def column_added(operators: Operators) -> Iterator[None]:
    """There is one more column."""
    table = f"ALTER TABLE {TABLE}"
    with _altered(operators, f"{table} ADD locale VARCHAR(5) NULL", f"{table} DROP locale"):
        yield


@fault.left_over_schema()
def trigger_left(operators: Operators) -> Iterator[None]:
    """A trigger of the migration goes on changing what is written."""
    make = f"CREATE TRIGGER faults_trigger BEFORE INSERT ON {TABLE} FOR EACH ROW SET NEW.note = 'migrated'"
    with _altered(operators, make, "DROP TRIGGER faults_trigger"):
        yield


@fault.left_over()
def table_left(operators: Operators) -> Iterator[None]:
    """A table of the migration is still there."""
    with _altered(operators, "CREATE TABLE faults_left (number INT)", "DROP TABLE faults_left"):
        yield


@fault.count("imagedb.alembic_version")
def table_renamed(operators: Operators) -> Iterator[None]:
    """A table has another name."""
    one, other = "alembic_version", "faults_version"
    with _altered(operators, f"RENAME TABLE {one} TO {other}", f"RENAME TABLE {other} TO {one}"):
        yield


@fault.references("files_of_documents")
def row_names_no_file(operators: Operators) -> Iterator[None]:
    """A row names a file that MongoDB does not know."""
    replace = "UPDATE documents SET file_id = 'nowhere' ORDER BY file_id LIMIT 1"
    with _changed(operators, "documents", replace):
        yield
