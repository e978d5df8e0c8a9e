"""The privileges of the connected account, what the server hides from it, and what is in no database.

A server leaves out, without a word, the objects that an account may not see: without TRIGGER it has no
triggers. Only the grants tell "none" from "hidden".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import pymysql
from pymysql.cursors import DictCursor

from rollproof.collection import Json
from rollproof.stores.contract import Rights, Unlisted
from rollproof.stores.mysql.connection import (
    OF_THE_SERVER,
    Flavour,
    MysqlSession,
    databases_seen,
    quoted,
    rows,
)
from rollproof.stores.mysql.schema import BODIES

ALL = "ALL PRIVILEGES"
NEEDED = frozenset(
    {
        *("SELECT", "INSERT", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "LOCK TABLES", "CREATE VIEW"),
        *("SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE", "EVENT", "TRIGGER"),
    }
)
"""What it takes to dump, drop and create again all of a database."""
# TRIGGER and EVENT are not among them: without these a reader does not see what it must.
_WRITING = frozenset(
    {
        *(ALL, "INSERT", "UPDATE", "DELETE", "DELETE HISTORY", "CREATE", "DROP", "ALTER", "INDEX"),
        *("CREATE VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "CREATE USER", "GRANT OPTION", "SUPER", "FILE"),
    }
)
# The privileges that show all such objects; of routines, any one of the last three shows them without bodies,
# and then a body's absence shows.
_SHOWING = {"tables": "SELECT", "views": "SHOW VIEW", "triggers": "TRIGGER", "events": "EVENT"}
_SHOWING_ROUTINES: Mapping[Flavour, str] = {"mysql": "SHOW_ROUTINE", "mariadb": "SHOW CREATE ROUTINE"}
_SHOWING_NAMES = frozenset({"EXECUTE", "ALTER ROUTINE", "CREATE ROUTINE"})
_GRANT = re.compile(r"GRANT (?P<privileges>.+) ON (?P<database>\*|`(?:[^`]|``)+`)\.\* TO ")


@dataclass(frozen=True, slots=True)
class Privileges:
    """An account's privileges by pattern of databases, ``*`` for all."""

    granted: Sequence[tuple[str, frozenset[str]]]

    def on(self, database: str) -> frozenset[str]:
        """Return the privileges on the whole of `database`, global ones included."""
        held = (privileges for pattern, privileges in self.granted if _covers(pattern, database))
        return frozenset().union(*held)

    def everywhere(self, any_of: frozenset[str]) -> bool:
        """Return True if one of these privileges is held on everything."""
        return any(pattern == "*" and any_of & privileges for pattern, privileges in self.granted)

    def missing(self, databases: Iterable[str]) -> list[str]:
        """Return the privileges in `NEEDED` that it lacks, each as ``TRIGGER on imagedb``."""
        held = {name: self.on(name) for name in databases}
        return [
            f"{one} on {name}"
            for name, every in held.items()
            if ALL not in every
            for one in sorted(NEEDED - every)
        ]


def privileges_of(connection: MysqlSession) -> Privileges:
    """Return the account's privileges, those of its active roles included."""
    query = "SHOW GRANTS"
    if connection.flavour == "mysql":
        ((roles,),) = rows(connection, "SELECT CURRENT_ROLE()")
        if roles != "NONE":
            query = f"SHOW GRANTS FOR CURRENT_USER() USING {roles}"
    return parsed(str(text) for (text,) in rows(connection, query))


def parsed(grants: Iterable[str]) -> Privileges:
    """Return the privileges on whole databases in the lines of SHOW GRANTS."""
    found = []
    for text in grants:
        if match := _GRANT.match(text):
            name = match["database"].strip("`").replace("``", "`")
            found.append((name, frozenset(re.split(r",\s*", match["privileges"]))))
    return Privileges(found)


def rights(held: Privileges, databases: Sequence[str]) -> Rights:
    """Return the rights on whole `databases`, as `Rights` has them."""
    writes = [f"{one} on {name}" for name in databases for one in sorted(held.on(name) & _WRITING)]
    return Rights(tuple(writes), tuple(held.missing(databases)))


def shows(held: Privileges, database: str) -> bool:
    """Return whether the server shows the account a `database` with its tables, if it is there."""
    return not held.on(database).isdisjoint({ALL, "SELECT"})


def sight(
    held: Privileges, flavour: Flavour, databases: Sequence[str], found: Mapping[str, Json]
) -> dict[str, str]:
    """Return what the account sees, as ``triggers of imagedb``, with the privilege it lacks, or "".

    `found` are the schemas read with the account: one without its body is hidden as well.
    """
    first = {**_SHOWING, "routines": _SHOWING_ROUTINES[flavour]}
    # MySQL shows routines to an account that may read everything, with their bodies.
    reads_all = flavour == "mysql" and held.everywhere(frozenset({"SELECT"}))
    seen = {}
    for database in databases:
        privileges = held.on(database)
        for objects, privilege in first.items():
            enough = {ALL, privilege, *(_SHOWING_NAMES if objects == "routines" else ())}
            shown = not privileges.isdisjoint(enough) or (objects == "routines" and reads_all)
            seen[f"{objects} of {database}"] = "" if shown else _needed(privilege, database)
    for name, schema in found.items():
        texts = isinstance(schema, dict) and [schema[key] for key in BODIES if key in schema]
        if texts and not any(texts):
            kind, _, of = name.partition(" ")
            privilege = first.get(f"{kind}s", first["routines"])
            seen[f"the body of {name}"] = _needed(privilege, of.partition(".")[0])
    return seen


def _needed(privilege: str, database: str) -> str:
    # That one is granted on everything or not at all.
    return f"{privilege} on {'*' if privilege == 'SHOW_ROUTINE' else database}.*"


def _covers(pattern: str, database: str) -> bool:
    """Return True if a grant on `pattern` holds for `database`: % and _ are wildcards unless escaped."""
    if pattern == "*":
        return True
    expression = "".join(
        re.escape(piece[-1]) if piece.startswith("\\") else {"%": ".*", "_": "."}.get(piece, re.escape(piece))
        for piece in re.findall(r"\\.|.", pattern, re.DOTALL)
    )
    return re.fullmatch(expression, database, re.DOTALL) is not None


# Of an account neither its password, nor when that was changed: some servers set it again at each start, with
# another salt.
_COMPARED = frozenset({"plugin", "account_locked", "password_expired", "ssl_type", "is_role"})
# In a grant on everything, MariaDB includes the password's hash.
_PASSWORD = re.compile(r" IDENTIFIED (?:BY|VIA) .*?(?= REQUIRE | WITH |$)")
# Variables that no person sets: where the server is in its logs, and what it is writing there. MariaDB makes
# the last two of the port and the network card's address, which is another one in each new container.
_MOVING = frozenset(
    {
        *("gtid_executed", "gtid_purged", "gtid_owned"),
        *("gtid_binlog_pos", "gtid_current_pos", "gtid_binlog_state", "gtid_slave_pos"),
        *("server_uid", "feedback_server_uid"),
    }
)
# The server's codes for a table, a column or a database that the account may not read.
_DENIED = frozenset({1044, 1142, 1143, 1227})


def read_unlisted(connection: MysqlSession, databases: Sequence[str]) -> Unlisted:
    """Return accounts, grants and global variables, as far as the account may read them."""
    compared: dict[str, Json] = dict(_variables(connection))
    unread = []
    try:
        compared.update(_accounts(connection))
    except pymysql.err.OperationalError as error:
        if error.args[0] not in _DENIED:
            raise
        unread.append("accounts and grants: SELECT on mysql.*")
    outside = sorted(databases_seen(connection) - {*databases, *OF_THE_SERVER})
    return Unlisted(
        dict(sorted(compared.items())), tuple(f"database {name}" for name in outside), tuple(unread)
    )


def _variables(connection: MysqlSession) -> Iterator[tuple[str, Json]]:
    """Yield the global variables, except those that move by themselves or name this host."""
    found = {str(name): str(value) for name, value in rows(connection, "SHOW GLOBAL VARIABLES")}
    host = found.get("hostname", "")
    # The host itself, or a file that is called after it; a server may be called "mysql", as much else is.
    named = re.compile(rf"(.*/)?{re.escape(host)}([.-][^/]*)?")
    for name, value in found.items():
        if name not in _MOVING and not (host and named.fullmatch(value)):
            yield f"variable {name}", value


def _accounts(connection: MysqlSession) -> dict[str, Json]:
    """Return the accounts and roles, each with the lines of its SHOW GRANTS."""
    with closing(connection.cursor(DictCursor)) as cursor:
        cursor.execute("SELECT * FROM mysql.user")
        found = [{key.lower(): str(value) for key, value in row.items()} for row in cursor.fetchall()]
    accounts: dict[str, Json] = {}
    for row in found:
        # A role of MariaDB has no host.
        is_role = row.get("is_role") == "Y"
        account = quoted(row["user"]) + ("" if is_role else f"@{quoted(row['host'])}")
        grants = sorted(_PASSWORD.sub("", text) for (text,) in rows(connection, f"SHOW GRANTS FOR {account}"))
        accounts[f"account '{row['user']}'@'{row['host']}'"] = {
            **{name: row[name] for name in sorted(_COMPARED & row.keys())},
            "grants": list[Json](grants),
        }
    return accounts
