"""Faults of MySQL: in the application's tables, and in one with a column of each kind that can be damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from staging.faults.fault import Fault, Inject, both
from staging.target.operators import Operators, undone

TABLE = "faults_readings"
DOCUMENTS, READINGS = "imagedb.documents", f"imagedb.{TABLE}"
CREATE = f"""
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
FILL = f"""
    INSERT INTO {TABLE}
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 40)
    SELECT n, IF(MOD(n, 10) = 0, NULL, CONCAT('Zürich ', n)), 'c', n / 7, 1 / (n + 3),
        '2026-03-29 01:30:00.123456' + INTERVAL n HOUR, '2026-03-28 12:00:00.654321' + INTERVAL n HOUR,
        UNHEX(LEFT(SHA2(n, 256), 32)), n * 10
    FROM numbers
"""


def plant(operators: Operators) -> None:
    """Make the faults' own table."""
    remove(operators)
    operators.sql(CREATE)
    operators.sql(FILL)


def remove(operators: Operators) -> None:
    """Remove the faults' own table."""
    operators.sql(f"DROP TABLE IF EXISTS {TABLE}")


def changed(table: str, *statements: str) -> Inject:
    """Return an injection of statements that change rows of `table`; all its rows are put back."""

    @contextmanager
    def inject(operators: Operators) -> Iterator[None]:
        rows = operators.sql(f"SELECT * FROM {table}")

        def put_back() -> None:
            operators.sql(f"DELETE FROM {table}")
            operators.sql(f"INSERT INTO {table} VALUES {', '.join(['%s'] * len(rows))}", rows)

        with undone(put_back):
            for statement in statements:
                operators.sql(statement)
            yield

    return inject


def altered(before: str, after: str) -> Inject:
    """Return an injection of `before`, a change of a schema, which `after` undoes."""
    return both(lambda operators: operators.sql(before), lambda operators: operators.sql(after))


def _set(assignments: str, which: str = "id = 7") -> Inject:
    return changed(TABLE, f"UPDATE {TABLE} SET {assignments} WHERE {which}")


def _column(before: str, after: str) -> Inject:
    return altered(f"ALTER TABLE {TABLE} {before}", f"ALTER TABLE {TABLE} {after}")


def _email(index: str) -> str:
    return f"ALTER TABLE users DROP KEY ix_users_email, ADD {index} ix_users_email (email)"


document_lost = changed("documents", "DELETE FROM documents ORDER BY file_id LIMIT 1")
_NAMES = ("label", "note", "amount", "ratio", "taken", "seen", "content", "number")
_COPY = f"UPDATE {TABLE} one JOIN {TABLE} two ON one.id = 7 AND two.id = 8 SET " + ", ".join(
    f"one.{name} = two.{name}" for name in _NAMES
)
_INDEX = "ALTER TABLE documents {} KEY ix_documents_knowledge_base"
_TRIGGER = f"CREATE TRIGGER faults_trigger BEFORE INSERT ON {TABLE} FOR EACH ROW SET NEW.note = 'migrated'"
_fault = partial(Fault, "mysql")
FAULTS = (
    _fault("row lost", "content", DOCUMENTS, document_lost),
    _fault(
        "rows cut off",
        "count",
        DOCUMENTS,
        changed("documents", "DELETE FROM documents ORDER BY file_id DESC LIMIT 10"),
    ),
    _fault("row twice for another", "content", READINGS, changed(TABLE, _COPY)),
    _fault("values swapped", "content", READINGS, _set("number = 150 - number", "id IN (7, 8)")),
    _fault(
        "bit flipped",
        "content",
        READINGS,
        _set("content = CONCAT(CHAR(ORD(content) ^ 1 USING binary), SUBSTRING(content, 2))"),
    ),
    _fault("null became empty", "content", READINGS, _set("label = ''", "id = 10")),
    _fault("trailing space", "content", READINGS, _set("label = CONCAT(label, ' ')")),
    _fault("case changed", "content", READINGS, _set("label = LOWER(label)")),
    _fault("accent lost", "content", READINGS, _set("label = REPLACE(label, 'ü', 'u')")),
    _fault(
        "mojibake",
        "content",
        READINGS,
        _set("label = CONVERT(CAST(label AS BINARY) USING latin1)", "label IS NOT NULL"),
    ),
    _fault("microsecond later", "content", READINGS, _set("seen = seen + INTERVAL 1 MICROSECOND")),
    _fault(
        "timezone shifted",
        "content",
        DOCUMENTS,
        changed("documents", "UPDATE documents SET created_at = created_at + INTERVAL 2 HOUR"),
    ),
    _fault("precision lost", "content", READINGS, _set("amount = ROUND(amount, 2)", "id > 0")),
    _fault("last bit of a double", "content", READINGS, _set("ratio = ratio * (1 + 2.220446049250313E-16)")),
    _fault("boundary shifted", "content", READINGS, _set("note = '7c', label = 'Zürich '")),
    _fault(
        "index dropped",
        "schema",
        DOCUMENTS,
        altered(_INDEX.format("DROP"), _INDEX.format("ADD") + " (knowledge_base_id)"),
    ),
    _fault("unique no more", "schema", "imagedb.users", altered(_email("KEY"), _email("UNIQUE KEY"))),
    _fault(
        "collation changed",
        "schema",
        READINGS,
        _column("MODIFY label VARCHAR(40) COLLATE utf8mb4_bin NULL", "MODIFY label VARCHAR(40) NULL"),
    ),
    _fault(
        "column renamed",
        "schema",
        READINGS,
        _column("RENAME COLUMN note TO remark", "RENAME COLUMN remark TO note"),
    ),
    _fault(
        "integer became text",
        "schema",
        READINGS,
        _column("MODIFY number VARCHAR(20) NOT NULL", "MODIFY number INT NOT NULL"),
    ),
    _fault("column added", "schema", READINGS, _column("ADD locale VARCHAR(5) NULL", "DROP locale")),
    _fault("trigger left", "schema left", "", altered(_TRIGGER, "DROP TRIGGER faults_trigger")),
    _fault(
        "table left",
        "collection left",
        "",
        altered("CREATE TABLE faults_left (number INT)", "DROP TABLE faults_left"),
    ),
    _fault(
        "table renamed",
        "count",
        "imagedb.alembic_version",
        altered(
            "RENAME TABLE alembic_version TO faults_version", "RENAME TABLE faults_version TO alembic_version"
        ),
    ),
    _fault(
        "row names no file",
        "references",
        "files_of_documents",
        changed("documents", "UPDATE documents SET file_id = 'nowhere' ORDER BY file_id LIMIT 1"),
    ),
)
