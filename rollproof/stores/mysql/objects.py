"""The objects of a MySQL or MariaDB database, apart from rows: their fingerprints and definers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from pymysql.connections import Connection
from pymysql.cursors import Cursor
from pymysql.err import MySQLError

from rollproof.stores.mysql.connection import databases_seen, quoted, rows

# Object -> SHA-256 of its definition. An object is named as in "table imagedb.users".
Schema = dict[str, str]

# The counter moves with every insert. And MySQL names a collation's character set only if the statement did,
# so the same table reads differently after it comes from a dump.
_NOT_OF_THE_TABLE = re.compile(r" AUTO_INCREMENT=\d+| CHARACTER SET \w+(?= COLLATE \w)")
# Errors of the connection, not of the query.
_OF_THE_CLIENT = range(2000, 3000)
_ROUTINES = (
    "SELECT routine_schema, routine_name, routine_type, dtd_identifier, routine_definition, is_deterministic,"
    " sql_data_access, security_type, sql_mode, routine_comment, definer FROM information_schema.routines"
)
_OBJECTS = {
    "database": "SELECT schema_name, schema_name, default_character_set_name, default_collation_name"
    " FROM information_schema.schemata WHERE schema_name IN %s",
    "view": "SELECT table_schema, table_name, view_definition, check_option, definer, security_type"
    " FROM information_schema.views WHERE table_schema IN %s",
    "trigger": "SELECT trigger_schema, trigger_name, event_manipulation, event_object_table, action_order,"
    " action_timing, action_statement, sql_mode, definer"
    " FROM information_schema.triggers WHERE trigger_schema IN %s",
    "function": f"{_ROUTINES} WHERE routine_type = 'FUNCTION' AND routine_schema IN %s",
    # MariaDB also has packages.
    "procedure": f"{_ROUTINES} WHERE routine_type <> 'FUNCTION' AND routine_schema IN %s",
    "parameter": "SELECT specific_schema, CONCAT(routine_type, ' ', specific_name, ' ', ordinal_position),"
    " parameter_mode, parameter_name, dtd_identifier"
    " FROM information_schema.parameters WHERE specific_schema IN %s",
    "event": "SELECT event_schema, event_name, event_definition, event_type, execute_at, interval_value,"
    " interval_field, sql_mode, starts, ends, status, on_completion, event_comment, definer"
    " FROM information_schema.events WHERE event_schema IN %s",
}
_DEFINERS = (
    "SELECT definer FROM information_schema.views WHERE table_schema IN %s"
    " UNION SELECT definer FROM information_schema.triggers WHERE trigger_schema IN %s"
    " UNION SELECT definer FROM information_schema.routines WHERE routine_schema IN %s"
    " UNION SELECT definer FROM information_schema.events WHERE event_schema IN %s"
)
_TABLES = (
    "SELECT table_schema, table_name FROM information_schema.tables"
    " WHERE table_type <> 'VIEW' AND table_schema IN %s"
)


def read_schema(connection: Connection[Cursor], databases: Sequence[str]) -> Schema:
    """Return the fingerprint of every object of `databases` that the account can see."""
    names = tuple(databases)
    schema: Schema = {}
    for kind, query in _OBJECTS.items():
        for database, name, *definition in rows(connection, query, [names]):
            schema[f"{kind} {database}.{name}"] = _fingerprint(definition)
    for database, table in rows(connection, _TABLES, [names]):
        ((_, definition, *_),) = rows(connection, f"SHOW CREATE TABLE {quoted(database)}.{quoted(table)}")
        schema[f"table {database}.{table}"] = _fingerprint([_NOT_OF_THE_TABLE.sub("", definition)])
    return dict(sorted(schema.items()))


def absent(connection: Connection[Cursor], databases: Sequence[str]) -> list[str]:
    """Return the names in `databases` that do not exist, or are invisible to the account."""
    seen = databases_seen(connection)
    return [name for name in databases if name not in seen]


def broken_views(connection: Connection[Cursor], databases: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return the views that the server cannot describe, by database and name, with its error for each."""
    broken = {}
    query = "SELECT table_schema, table_name FROM information_schema.views WHERE table_schema IN %s"
    for database, view in sorted(rows(connection, query, [tuple(databases)])):
        try:
            rows(connection, f"SHOW FIELDS FROM {quoted(database)}.{quoted(view)}")
        except MySQLError as error:
            if error.args[0] in _OF_THE_CLIENT:
                raise
            broken[str(database), str(view)] = str(error.args[-1])
    return broken


def definers(connection: Connection[Cursor], databases: Sequence[str]) -> set[str]:
    """Return the accounts, as ``user@host``, in whose name views, triggers, routines and events run."""
    names = tuple(databases)
    return {str(definer) for (definer,) in rows(connection, _DEFINERS, [names] * 4)}


def without_versions(connection: Connection[Cursor], databases: Sequence[str]) -> list[str]:
    """Return the system-versioned tables, whose history a dump does not hold."""
    query = (
        "SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables"
        " WHERE table_type = 'SYSTEM VERSIONED' AND table_schema IN %s ORDER BY 1"
    )
    return [str(name) for (name,) in rows(connection, query, [tuple(databases)])]


def without_transactions(connection: Connection[Cursor], databases: Sequence[str]) -> list[str]:
    """Return the tables whose engine has no transactions: a dump of them is not of one moment."""
    query = (
        "SELECT CONCAT(table_schema, '.', table_name)"
        " FROM information_schema.tables JOIN information_schema.engines USING (engine)"
        " WHERE transactions <> 'YES' AND table_type = 'BASE TABLE' AND table_schema IN %s ORDER BY 1"
    )
    return [str(name) for (name,) in rows(connection, query, [tuple(databases)])]


def difference(kept: Schema, observed: Schema) -> str | None:
    """Return the first object that differs, in words, or None."""
    for name in sorted(kept.keys() | observed.keys()):
        if name not in observed:
            return f"no {name}"
        if name not in kept:
            return f"{name}, which was not there"
        if kept[name] != observed[name]:
            return f"another definition of {name}"
    return None


def _fingerprint(definition: Sequence[Any]) -> str:
    # A dump may add space at the end of a body.
    parts = [part.strip() if isinstance(part, str) else part for part in definition]
    return hashlib.sha256(repr(parts).encode()).hexdigest()
