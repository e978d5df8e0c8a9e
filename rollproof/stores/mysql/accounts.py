"""A MySQL or MariaDB server's accounts, grants and global variables: no dump of a database holds them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor, DictCursor

from rollproof.collection import Json
from rollproof.stores.contract import Beside
from rollproof.stores.mysql.connection import OF_THE_SERVER, Flavour, databases_seen, rows

# Of an account neither its rights, which the tables of grants tell, nor its password, nor when that was
# changed: some servers set it anew at each start, with another salt.
_ACCOUNTS: Mapping[Flavour, str] = {
    "mysql": (
        "SELECT CONCAT(user, '@', host) AS name, plugin, account_locked, password_expired,"
        " ssl_type FROM mysql.user"
    ),
    "mariadb": (
        "SELECT CONCAT(user, '@', host) AS name, plugin, is_role, password_expired, ssl_type FROM mysql.user"
    ),
}
# Their limits, and how they may log in: NULL for all that nobody has set, which is not recorded.
_LIMITS = ", ".join(
    [
        *(
            f"NULLIF({name}, 0) AS {name}"
            for name in ("max_questions", "max_updates", "max_connections", "max_user_connections")
        ),
        *(
            f"NULLIF(CONVERT({name} USING utf8mb4), '') AS {name}"
            for name in ("ssl_cipher", "x509_issuer", "x509_subject")
        ),
    ]
)
# Attributes and alternatives of a log-in hold hashes of passwords: those never leave the server. Nor does a
# comment on an account, which may tell of a person and binds nobody.
_ATTRIBUTES: Mapping[Flavour, str] = {
    "mysql": (
        "SELECT CONCAT(user, '@', host) AS name, {limits}, password_lifetime, password_reuse_history,"
        " password_reuse_time, password_require_current,"
        " JSON_EXTRACT(user_attributes, '$.multi_factor_authentication[*].plugin') AS factors,"
        " NULLIF(JSON_CONTAINS_PATH(user_attributes, 'one', '$.additional_password'), 0) AS second_password,"
        " NULLIF(CAST(JSON_REMOVE(user_attributes, '$.additional_password', '$.multi_factor_authentication',"
        " '$.metadata') AS CHAR), '{{}}') AS attributes FROM mysql.user"
    ),
    "mariadb": (
        "SELECT CONCAT(user, '@', host) AS name, {limits}, NULLIF(default_role, '') AS default_role,"
        " NULLIF(max_statement_time, 0) AS max_statement_time,"
        " NULLIF(JSON_VALUE(priv, '$.account_locked'), '0') AS account_locked,"
        " NULLIF(JSON_VALUE(priv, '$.password_lifetime'), '-1') AS password_lifetime,"
        " JSON_EXTRACT(priv, '$.auth_or[*].plugin') AS alternatives"
        " FROM mysql.user JOIN mysql.global_priv USING (user, host)"
    ),
}
_ROLES: Mapping[Flavour, str] = {
    "mysql": (
        "SELECT CONCAT(to_user, '@', to_host), CONCAT(from_user, '@', from_host), with_admin_option"
        " FROM mysql.role_edges"
    ),
    "mariadb": "SELECT CONCAT(user, '@', host), role, admin_option FROM mysql.roles_mapping",
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
    (
        "SELECT CONCAT('''', user, '''@''', host, ''''), CONCAT(db, '.', routine_name, '()'), proc_priv, 'NO'"
        " FROM mysql.procs_priv"
    ),
    # Every installation lets root be anybody.
    (
        "SELECT CONCAT('''', user, '''@''', host, ''''), CONCAT(proxied_user, '@', proxied_host), 'PROXY',"
        " IF(with_grant, 'YES', 'NO') FROM mysql.proxies_priv WHERE user <> 'root' OR proxied_user <> ''"
    ),
)
_GRANTS_OF: Mapping[Flavour, tuple[str, ...]] = {
    "mysql": (
        (
            "SELECT CONCAT('''', user, '''@''', host, ''''), 'by default',"
            " CONCAT(default_role_user, '@', default_role_host), 'NO' FROM mysql.default_roles"
        ),
    ),
    "mariadb": (),
}
_PERSISTED = "SELECT variable_name, variable_value FROM performance_schema.persisted_variables"
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


def read_beside(connection: Connection[Cursor], flavour: Flavour, databases: Sequence[str]) -> Beside:
    """Return accounts, grants and global variables, as far as the account may read them."""
    compared: dict[str, Json] = dict(_variables(connection))
    unread = []
    try:
        compared |= _accounts(connection, flavour)
    except pymysql.err.OperationalError as error:
        if error.args[0] not in _DENIED:
            raise
        unread.append("accounts and grants: SELECT on mysql.*")
    if flavour == "mysql":
        try:
            persisted = rows(connection, _PERSISTED)
            compared |= {f"persisted {name}": str(value) for name, value in persisted}
        except pymysql.err.OperationalError as error:
            if error.args[0] not in _DENIED:
                raise
            unread.append("persisted variables: SELECT on performance_schema.persisted_variables")
    outside = sorted(databases_seen(connection) - {*databases, *OF_THE_SERVER})
    return Beside(
        dict(sorted(compared.items())), tuple(f"database {name}" for name in outside), tuple(unread)
    )


def _variables(connection: Connection[Cursor]) -> Iterator[tuple[str, Json]]:
    """Yield the global variables, except those that move by themselves or name this host."""
    found = {str(name): str(value) for name, value in rows(connection, "SHOW GLOBAL VARIABLES")}
    host = found.get("hostname", "")
    # The host itself, or a file that is called after it; a server may be called "mysql", as much else is.
    named = re.compile(rf"(.*/)?{re.escape(host)}([.-][^/]*)?")
    for name, value in found.items():
        if name not in _MOVING and not (host and named.fullmatch(value)):
            yield f"variable {name}", value


def _accounts(connection: Connection[Cursor], flavour: Flavour) -> dict[str, Json]:
    found: dict[str, dict[str, Any]] = {}
    with closing(connection.cursor(DictCursor)) as cursor:
        cursor.execute(_ACCOUNTS[flavour])
        for row in cursor.fetchall():
            account = {key.lower(): value for key, value in row.items()}
            name = account.pop("name")
            shown = {key: value if value is None else str(value) for key, value in account.items()}
            found[_quoted(str(name))] = {**shown, "grants": {}, "roles": []}
        cursor.execute(_ATTRIBUTES[flavour].format(limits=_LIMITS))
        for row in cursor.fetchall():
            one = found.setdefault(_quoted(str(row.pop("name"))), {"grants": {}, "roles": []})
            one |= {key.lower(): str(value) for key, value in row.items() if value is not None}
    for query in (*_GRANTS, *_GRANTS_OF[flavour]):
        for grantee, on, privileges, passed_on in rows(connection, query):
            for privilege in str(privileges).split(","):
                grants = found.setdefault(str(grantee), {"grants": {}, "roles": []})["grants"]
                held = grants.setdefault(str(on), [])
                held.append(f"{privilege}{' WITH GRANT OPTION' if passed_on == 'YES' else ''}")
    for account, role, passed_on in rows(connection, _ROLES[flavour]):
        roles = found.setdefault(_quoted(str(account)), {"grants": {}, "roles": []})["roles"]
        roles.append(f"{role}{' WITH ADMIN OPTION' if passed_on == 'Y' else ''}")
    for one in found.values():
        one["roles"].sort()
        for held in one["grants"].values():
            held.sort()
    return {f"account {name}": one for name, one in found.items()}


def _quoted(account: str) -> str:
    """Return ``'user'@'host'``, as the tables of grants spell it; a host has no ``@``."""
    user, _, host = account.rpartition("@")
    return f"'{user}'@'{host}'"
