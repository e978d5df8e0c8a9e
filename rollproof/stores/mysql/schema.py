"""The definitions of a MySQL or MariaDB database's objects, as far as a restore gives them back.

They are the rows of `information_schema`, whole except what moves by itself. The text of SHOW CREATE
TABLE is not compared: MySQL words the same table differently after a restore.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Any, NamedTuple

from pymysql.cursors import DictCursor
from pymysql.err import MySQLError

from rollproof.collection import Json
from rollproof.stores.mysql.connection import Flavour, MysqlSession, quoted_table, rows, tables
from rollproof.stores.reach import Reach
from rollproof.stores.tables import Schemas, first_difference

# Statistics, times, what depends on the account that asks or on the host, what another part tells, and which
# unique index a foreign key uses.
_MOVING = frozenset(
    {
        *("table_rows", "avg_row_length", "data_length", "max_data_length", "index_length", "data_free"),
        *("max_index_length", "cardinality", "column_key", "checksum", "version", "temporary", "privileges"),
        *("create_time", "update_time", "check_time", "created", "last_altered", "last_executed"),
        *("originator", "unique_constraint_name"),
    }
)
BODIES = ("view_definition", "action_statement", "event_definition", "routine_definition")
"""The fields with an object's text, which a server leaves empty for an account that may not read it."""
# Errors of the connection, not of the query.
_OF_THE_CLIENT = range(2000, 3000)


class _Source(NamedTuple):
    """A query of `information_schema`, the columns with a part's path there, and those with a name in it."""

    query: str
    path: tuple[str, ...] = ()
    database: str = "table_schema"
    name: str = "table_name"


_TABLES = _Source("tables WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')")
_PARTS: Mapping[str, _Source] = {
    "columns": _Source("columns WHERE TRUE", ("column_name",)),
    "indexes": _Source("statistics WHERE TRUE", ("index_name", "seq_in_index")),
    "foreign_keys": _Source("referential_constraints WHERE TRUE", ("constraint_name",), "constraint_schema"),
    "foreign_key_columns": _Source(
        "key_column_usage WHERE referenced_table_name IS NOT NULL", ("constraint_name", "ordinal_position")
    ),
    "partitions": _Source(
        "partitions WHERE partition_name IS NOT NULL", ("partition_name", "subpartition_name")
    ),
}
_CHECKS: Mapping[Flavour, _Source] = {
    "mysql": _Source(
        "table_constraints JOIN information_schema.check_constraints"
        " USING (constraint_schema, constraint_name) WHERE constraint_type = 'CHECK'",
        ("constraint_name",),
    ),
    "mariadb": _Source("check_constraints WHERE TRUE", ("constraint_name",), "constraint_schema"),
}
_OBJECTS: Mapping[str, _Source] = {
    "database": _Source("schemata WHERE TRUE", database="schema_name", name=""),
    # MariaDB's; of MySQL's tables none has this type.
    "sequence": _Source("tables WHERE table_type = 'SEQUENCE'"),
    "view": _Source("views WHERE TRUE"),
    "trigger": _Source("triggers WHERE TRUE", database="trigger_schema", name="trigger_name"),
    "event": _Source("events WHERE TRUE", database="event_schema", name="event_name"),
}
_ROUTINES = _Source("routines WHERE TRUE", database="routine_schema", name="routine_name")
# Position 0 is a function's return value.
_PARAMETERS = _Source("parameters WHERE TRUE", ("ordinal_position",), "specific_schema", "specific_name")
# How the server orders the texts of these tables: an index made by another order is wrong.
_COLLATIONS = (
    "SELECT collations.* FROM information_schema.collations WHERE collation_name IN"
    " (SELECT collation_name FROM information_schema.columns WHERE table_schema IN %s)"
)


def read_schemas(connection: MysqlSession, databases: Sequence[str], reach: Reach) -> Schemas:
    """Return every table by ``database.table``, and every other object by its kind and name, sorted.

    Raises:
        Unverifiable: a database is missing, or hidden from the account.
    """
    if not databases:
        return {}
    tables(connection, databases, reach)
    found: Schemas = {name: row for name, _, row in _read(connection, _TABLES, databases)}
    for kind, source in {**_PARTS, "checks": _CHECKS[connection.flavour]}.items():
        for name, path, row in _read(connection, source, databases):
            if name in found:  # a view has columns too
                _put(found[name], (kind, *path), row)
    for kind, source in _OBJECTS.items():
        found |= {f"{kind} {name}": row for name, _, row in _read(connection, source, databases)}
    for name, _, row in _read(connection, _ROUTINES, databases):
        found[f"{str(row['routine_type']).lower()} {name}"] = row
    for name, path, row in _read(connection, _PARAMETERS, databases):
        if routine := found.get(f"{str(row['routine_type']).lower()} {name}"):
            _put(routine, ("parameters", *path), row)
    for row in _rows(connection, _COLLATIONS, databases):
        found[f"collation {row['collation_name']}"] = row
    return dict(sorted(found.items()))


def _read(
    connection: MysqlSession, source: _Source, databases: Sequence[str]
) -> Iterator[tuple[str, tuple[str, ...], dict[str, Json]]]:
    """Yield the name, the path and the definition in each row of `source`."""
    query = f"SELECT * FROM information_schema.{source.query} AND {source.database} IN %s"  # noqa: S608 - constants
    for row in _rows(connection, query, databases):
        names = [row.pop(source.database), *([row.pop(source.name)] if source.name else [])]
        path = tuple(str(name) for key in source.path if (name := row.pop(key)) is not None)
        yield ".".join(map(str, names)), path, row


def _rows(connection: MysqlSession, query: str, databases: Sequence[str]) -> Iterator[dict[str, Json]]:
    with closing(connection.cursor(DictCursor)) as cursor:
        cursor.execute(query, [tuple(databases)])
        for row in cursor.fetchall():
            # MySQL may return its own tables' spelling of a column's name, such as in upper case.
            small = {key.lower(): value for key, value in row.items()}
            yield {
                key: _json(value, stripped=key != "column_default")
                for key, value in small.items()
                if key not in _MOVING
            }


def _put(parent: dict[str, Any], path: Sequence[str], row: Mapping[str, Json]) -> None:
    for name in path:
        parent = parent.setdefault(name, {})
    parent.update(row)


def _json(value: Any, *, stripped: bool) -> Json:  # noqa: ANN401 - whatever the driver makes of a value
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    if isinstance(value, Decimal):
        return int(value)
    if isinstance(value, str):
        # A dump may add spaces at the end of a body. MySQL tells a column's default without quotation marks.
        return value.strip() if stripped else value
    return value if isinstance(value, int | None) else str(value)


def difference(kept: Schemas, observed: Schemas) -> str | None:
    """Return the first object that differs, in words, or None; a table's counter moves with each insert."""
    both = ({name: {**one, "auto_increment": None} for name, one in of.items()} for of in (kept, observed))
    return first_difference(*both)


def definers(schemas: Schemas) -> list[str]:
    """Return the accounts, as ``user@host``, in whose name views, triggers, routines and events run."""
    return sorted({str(one["definer"]) for one in schemas.values() if "definer" in one})


def broken_views(connection: MysqlSession, databases: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return the views that the server cannot describe, by database and name, with its error for each."""
    broken = {}
    query = "SELECT table_schema, table_name FROM information_schema.views WHERE table_schema IN %s"
    for database, view in sorted(rows(connection, query, [tuple(databases)])):
        try:
            rows(connection, f"SHOW FIELDS FROM {quoted_table(f'{database}.{view}')}")
        except MySQLError as error:
            if error.args[0] in _OF_THE_CLIENT:
                raise
            broken[str(database), str(view)] = str(error.args[-1])
    return broken


def tables_of(schemas: Schemas) -> dict[str, dict[str, Json]]:
    """Return the tables alone, by ``database.table``."""
    return {name: one for name, one in schemas.items() if "columns" in one}


def without_transactions(connection: MysqlSession, schemas: Schemas) -> list[str]:
    """Return the tables whose engine has no transactions: a dump of them is not of one moment."""
    query = "SELECT engine FROM information_schema.engines WHERE transactions = 'YES'"
    engines = {engine for (engine,) in rows(connection, query)}
    return [name for name, one in tables_of(schemas).items() if one["engine"] not in engines]
