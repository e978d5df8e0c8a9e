"""A MySQL or MariaDB server's accounts, grants and global variables: no dump of a database holds them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import pymysql
from pymysql.cursors import DictCursor

from rollproof.collection import Json
from rollproof.stores.contract import Beside
from rollproof.stores.mysql.connection import OF_THE_SERVER, Flavour, Session, databases_seen, rows

# As the tables of grants spell an account.
_NAME = "CONCAT('''', user, '''@''', host, '''')"
# Of an account neither its rights, which the tables of grants tell, nor its password, nor when that was
# changed: some servers set it anew at each start, with another salt.
_ACCOUNTS: Mapping[Flavour, str] = {
    "mysql": f"SELECT {_NAME} AS name, plugin, account_locked, password_expired, ssl_type FROM mysql.user",  # noqa: S608
    "mariadb": f"SELECT {_NAME} AS name, plugin, is_role, password_expired, ssl_type FROM mysql.user",  # noqa: S608
}
_ROLES: Mapping[Flavour, str] = {
    "mysql": (
        "SELECT CONCAT('''', to_user, '''@''', to_host, ''''), CONCAT(from_user, '@', from_host),"
        " with_admin_option FROM mysql.role_edges"
    ),
    "mariadb": f"SELECT {_NAME}, role, admin_option FROM mysql.roles_mapping",  # noqa: S608
}
# Each row: the grantee in quotation marks, what it is on, the privilege, and whether it may be passed on.
_PRIVILEGES = "SELECT grantee, {on}, privilege_type, is_grantable FROM information_schema.{table}"
_GRANTS = (
    _PRIVILEGES.format(on="'*.*'", table="user_privileges"),
    _PRIVILEGES.format(on="CONCAT(table_schema, '.*')", table="schema_privileges"),
    _PRIVILEGES.format(on="CONCAT(table_schema, '.', table_name)", table="table_privileges"),
    _PRIVILEGES.format(
        on="CONCAT(table_schema, '.', table_name, '(', column_name, ')')", table="column_privileges"
    ),
    f"SELECT {_NAME}, CONCAT(db, '.', routine_name, '()'), proc_priv, 'NO' FROM mysql.procs_priv",  # noqa: S608
)
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


def read_beside(connection: Session, databases: Sequence[str]) -> Beside:
    """Return accounts, grants and global variables, as far as the account may read them."""
    compared: dict[str, Json] = dict(_variables(connection))
    unread = []
    try:
        compared |= _accounts(connection)
    except pymysql.err.OperationalError as error:
        if error.args[0] not in _DENIED:
            raise
        unread.append("accounts and grants: SELECT on mysql.*")
    outside = sorted(databases_seen(connection) - {*databases, *OF_THE_SERVER})
    return Beside(
        dict(sorted(compared.items())), tuple(f"database {name}" for name in outside), tuple(unread)
    )


def _variables(connection: Session) -> Iterator[tuple[str, Json]]:
    """Yield the global variables, except those that move by themselves or name this host."""
    found = {str(name): str(value) for name, value in rows(connection, "SHOW GLOBAL VARIABLES")}
    host = found.get("hostname", "")
    # The host itself, or a file that is called after it; a server may be called "mysql", as much else is.
    named = re.compile(rf"(.*/)?{re.escape(host)}([.-][^/]*)?")
    for name, value in found.items():
        if name not in _MOVING and not (host and named.fullmatch(value)):
            yield f"variable {name}", value


def _accounts(connection: Session) -> dict[str, Json]:
    found: dict[str, dict[str, Any]] = {}

    def account(name: object) -> dict[str, Any]:
        return found.setdefault(str(name), {"grants": {}, "roles": []})

    with closing(connection.cursor(DictCursor)) as cursor:
        cursor.execute(_ACCOUNTS[connection.flavour])
        for row in cursor.fetchall():
            told = {key.lower(): value if value is None else str(value) for key, value in row.items()}
            account(told.pop("name")).update(told)
    for query in _GRANTS:
        for grantee, on, privileges, passed_on in rows(connection, query):
            option = " WITH GRANT OPTION" if passed_on == "YES" else ""
            held = account(grantee)["grants"].setdefault(str(on), [])
            held += [f"{privilege}{option}" for privilege in str(privileges).split(",")]
    for name, role, passed_on in rows(connection, _ROLES[connection.flavour]):
        account(name)["roles"].append(f"{role}{' WITH ADMIN OPTION' if passed_on == 'Y' else ''}")
    for one in found.values():
        one["roles"].sort()
        for held in one["grants"].values():
            held.sort()
    return {f"account {name}": one for name, one in found.items()}
