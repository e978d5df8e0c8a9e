"""A MySQL or MariaDB server's accounts, grants and global variables: no dump of a database holds them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing

import pymysql
from pymysql.cursors import DictCursor

from rollproof.collection import Json
from rollproof.stores.contract import Beside
from rollproof.stores.mysql.connection import OF_THE_SERVER, Session, databases_seen, quoted, rows

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


def read_beside(connection: Session, databases: Sequence[str]) -> Beside:
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
