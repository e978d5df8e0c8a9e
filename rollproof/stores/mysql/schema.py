"""The definitions of a MySQL or MariaDB database's objects, as far as a restore gives them back.

The text of SHOW CREATE TABLE is not compared: MySQL words the same table differently after a restore.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Any

from pymysql.connections import Connection
from pymysql.cursors import Cursor, DictCursor

from rollproof.collection import Json
from rollproof.stores.mysql.connection import Flavour, tables
from rollproof.stores.reach import Reach

# In each query the first column is the object's name, a column `part` names its part, the others define it.
_TABLES = (
    "SELECT CONCAT(table_schema, '.', table_name) AS name, engine, row_format, table_collation AS collation,"
    " create_options AS options, table_comment AS comment, auto_increment, table_type AS type"
    " FROM information_schema.tables"
    " WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND table_schema IN %s"
)
_COLUMNS = (
    "SELECT CONCAT(table_schema, '.', table_name) AS name, column_name AS part,"
    " ordinal_position AS position, column_type AS type, is_nullable AS nullable,"
    " column_default AS `default`, character_set_name AS charset, collation_name AS collation, extra,"
    " generation_expression AS generation, column_comment AS comment{more}"
    " FROM information_schema.columns WHERE table_schema IN %s"
)
_INDEXES = (
    "SELECT CONCAT(table_schema, '.', table_name) AS name, index_name AS part,"
    " non_unique = 0 AS `unique`, index_type AS type, index_comment AS comment, {visible} AS visible,"
    " column_name AS `column`, sub_part AS prefix, collation AS direction, {expression} AS expression"
    " FROM information_schema.statistics WHERE table_schema IN %s"
    " ORDER BY table_schema, table_name, index_name, seq_in_index"
)
_FOREIGN_KEYS = (
    "SELECT CONCAT(u.constraint_schema, '.', u.table_name) AS name, u.constraint_name AS part,"
    " u.column_name AS `column`,"
    " CONCAT(u.referenced_table_schema, '.', u.referenced_table_name) AS `references`,"
    " u.referenced_column_name AS referenced, r.update_rule AS on_update, r.delete_rule AS on_delete"
    " FROM information_schema.key_column_usage u JOIN information_schema.referential_constraints r"
    " ON r.constraint_schema = u.constraint_schema AND r.constraint_name = u.constraint_name"
    " AND r.table_name = u.table_name"
    " WHERE u.referenced_table_name IS NOT NULL AND u.constraint_schema IN %s"
    " ORDER BY 1, 2, u.ordinal_position"
)
_CHECKS: Mapping[Flavour, str] = {
    "mysql": (
        "SELECT CONCAT(t.table_schema, '.', t.table_name) AS name, t.constraint_name AS part,"
        " c.check_clause AS clause, t.enforced FROM information_schema.table_constraints t"
        " JOIN information_schema.check_constraints c USING (constraint_schema, constraint_name)"
        " WHERE t.constraint_type = 'CHECK' AND t.table_schema IN %s"
    ),
    "mariadb": (
        "SELECT CONCAT(constraint_schema, '.', table_name) AS name, constraint_name AS part,"
        " check_clause AS clause, level FROM information_schema.check_constraints"
        " WHERE constraint_schema IN %s"
    ),
}
_PARTITIONS = (
    "SELECT CONCAT(table_schema, '.', table_name) AS name,"
    " CONCAT(partition_name, COALESCE(CONCAT('/', subpartition_name), '')) AS part,"
    " partition_ordinal_position AS position, subpartition_ordinal_position AS subposition,"
    " partition_method AS method, partition_expression AS expression,"
    " partition_description AS description, subpartition_method AS submethod,"
    " subpartition_expression AS subexpression, partition_comment AS comment"
    " FROM information_schema.partitions WHERE partition_name IS NOT NULL AND table_schema IN %s"
)
_OBJECTS: Mapping[str, str] = {
    "database": (
        "SELECT schema_name AS name, default_character_set_name AS charset,"
        " default_collation_name AS collation"
        " FROM information_schema.schemata WHERE schema_name IN %s"
    ),
    # MariaDB's; of MySQL's tables none has this type.
    "sequence": (
        "SELECT CONCAT(table_schema, '.', table_name) AS name, engine, table_comment AS comment"
        " FROM information_schema.tables WHERE table_type = 'SEQUENCE' AND table_schema IN %s"
    ),
    "view": (
        "SELECT CONCAT(table_schema, '.', table_name) AS name, view_definition AS definition, check_option,"
        " definer, security_type AS security,"
        " character_set_client, collation_connection"
        " FROM information_schema.views WHERE table_schema IN %s"
    ),
    "trigger": (
        "SELECT CONCAT(trigger_schema, '.', trigger_name) AS name, event_object_table AS `table`,"
        " action_timing AS timing, event_manipulation AS event, action_order AS position,"
        " action_statement AS body, definer, sql_mode,"
        " character_set_client, collation_connection, database_collation"
        " FROM information_schema.triggers WHERE trigger_schema IN %s"
    ),
    "routine": (
        "SELECT CONCAT(LOWER(routine_type), ' ', routine_schema, '.', routine_name) AS name,"
        " dtd_identifier AS returns, routine_definition AS body, is_deterministic AS determinism,"
        " sql_data_access AS access, security_type AS security, routine_comment AS comment, definer,"
        " sql_mode,"
        " character_set_client, collation_connection, database_collation"
        " FROM information_schema.routines WHERE routine_schema IN %s"
    ),
    "event": (
        "SELECT CONCAT(event_schema, '.', event_name) AS name, event_definition AS body, event_type AS type,"
        " execute_at, CONCAT(interval_value, ' ', interval_field) AS `interval`, starts, ends, time_zone,"
        " status, on_completion, event_comment AS comment, definer, sql_mode,"
        " character_set_client, collation_connection, database_collation"
        " FROM information_schema.events WHERE event_schema IN %s"
    ),
}
_PARAMETERS = (
    "SELECT CONCAT(LOWER(routine_type), ' ', specific_schema, '.', specific_name) AS name,"
    " ordinal_position AS position, parameter_mode AS mode, parameter_name AS parameter,"
    " dtd_identifier AS type, character_set_name AS charset, collation_name AS collation"
    " FROM information_schema.parameters WHERE specific_schema IN %s ORDER BY 1, 2"
)


def read_schemas(
    connection: Connection[Cursor], flavour: Flavour, databases: Sequence[str], reach: Reach
) -> dict[str, Json]:
    """Return every table by ``database.table``, and every other object by its kind and name, sorted.

    Raises:
        Unverifiable: a database is missing, or hidden from the account.
    """
    tables(connection, databases, reach)
    found: dict[str, dict[str, Json]] = {}
    for name, table in _objects(connection, _TABLES, databases):
        found[name] = {
            **table, "columns": {}, "indexes": {}, "foreign_keys": {}, "checks": {}, "partitions": {},
        }  # fmt: skip
    _add_parts(connection, found, flavour, databases)
    for kind, query in _OBJECTS.items():
        for name, definition in _objects(connection, query, databases):
            found[name if kind == "routine" else f"{kind} {name}"] = definition
    for name, parameter in _objects(connection, _PARAMETERS, databases):
        # Position 0 is a function's return value.
        if name in found:
            _list(found[name], "parameters").append(parameter)
    return dict(sorted(found.items()))


def _add_parts(
    connection: Connection[Cursor],
    found: dict[str, dict[str, Json]],
    flavour: Flavour,
    databases: Sequence[str],
) -> None:
    """Add columns, checks, partitions, indexes and foreign keys to each table of `found`."""
    mysql = flavour == "mysql"
    columns = _COLUMNS.format(more=", srs_id AS reference_system" if mysql else "")
    indexes = _INDEXES.format(
        visible="is_visible" if mysql else "IF(ignored = 'NO', 'YES', 'NO')",
        expression="expression" if mysql else "NULL",
    )
    for kind, query in (("columns", columns), ("checks", _CHECKS[flavour]), ("partitions", _PARTITIONS)):
        for name, part in _objects(connection, query, databases):
            if name in found:  # views are not in it
                _dict(found[name], kind)[str(part.pop("part"))] = part
    for kind, query, members in (
        ("indexes", indexes, ("column", "prefix", "direction", "expression")),
        ("foreign_keys", _FOREIGN_KEYS, ("column", "referenced")),
    ):
        for name, part in _objects(connection, query, databases):
            member: dict[str, Json] = {key: part.pop(key) for key in members}
            whole = _dict(found[name], kind).setdefault(str(part.pop("part")), part)
            if isinstance(whole, dict):
                _list(whole, "columns").append(member)


def _objects(
    connection: Connection[Cursor], query: str, databases: Sequence[str]
) -> Iterator[tuple[str, dict[str, Json]]]:
    """Yield each row of `query` as name and definition."""
    with closing(connection.cursor(DictCursor)) as cursor:
        cursor.execute(query, [tuple(databases)])
        for row in cursor.fetchall():
            # MySQL may return its own tables' spelling of a column's name, such as in upper case.
            small = {key.lower(): value for key, value in row.items()}
            definition = {key: _json(value, stripped=key != "default") for key, value in small.items()}
            yield str(definition.pop("name")), definition


def _json(value: Any, *, stripped: bool) -> Json:  # noqa: ANN401 - whatever the driver makes of a value
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    if isinstance(value, Decimal):
        return int(value)
    if isinstance(value, str):
        # A dump may add spaces at the end of a body. MySQL tells a column's default without quotation marks.
        return value.strip() if stripped else value
    return value if isinstance(value, int | None) else str(value)


def _dict(parent: dict[str, Json], key: str) -> dict[str, Json]:
    child = parent.setdefault(key, {})
    assert isinstance(child, dict)  # noqa: S101 - made here
    return child


def _list(parent: dict[str, Json], key: str) -> list[Json]:
    child = parent.setdefault(key, [])
    assert isinstance(child, list)  # noqa: S101 - made here
    return child
