"""The clients that are connected to MySQL or MariaDB."""

from __future__ import annotations

from dataclasses import replace

import pymysql

from rollproof.stores.client_name import NAME
from rollproof.stores.keeper import Client
from rollproof.stores.mysql.connection import Mysql, Session, rows
from rollproof.stores.mysql.descriptor import MysqlProfile
from rollproof.stores.mysql.privileges import ALL, privileges_of
from rollproof.stores.strangers import blind, host_of, strangers
from rollproof.stores.writable import Operated

# Threads of the server itself, and connections whose account is not known yet.
_NOBODY = frozenset({"system user", "event_scheduler", "unauthenticated user"})
# Replicas: they only read.
_READING = frozenset({"Binlog Dump", "Binlog Dump GTID"})
_PROGRAMS = (
    "SELECT PROCESSLIST_ID, ATTR_VALUE FROM performance_schema.session_connect_attrs"
    " WHERE ATTR_NAME = 'program_name'"
)
# Any one of these shows an account the connections of others.
_SEEING_OTHERS = frozenset({ALL, "PROCESS"})


class Clients:
    """The clients of a MySQL or MariaDB server. See `StoreClients`."""

    def __init__(self, operated: Operated[MysqlProfile]) -> None:
        """Remember how to connect; the first question connects."""
        self._operated = operated
        self._client = Mysql(operated.reach)

    def others(self) -> list[Client]:
        """Return the connections of others."""
        with self._client.asked() as connection:
            # Without it the server shows the account its own connections alone.
            if not privileges_of(connection).everywhere(_SEEING_OTHERS):
                # Once it is granted, it holds for connections that open later.
                self._client.close()
                raise blind(self._client.reach, "the privilege PROCESS", "an account without it")
            found = rows(connection, "SHOW PROCESSLIST")
            names = _names(connection)
            ((own,),) = rows(connection, "SELECT CONNECTION_ID()")
        clients = {
            number: Client(str(user), host_of(str(host)), names.get(number, ""))
            for number, user, host, _, command, *_ in found
            if user not in _NOBODY and command not in _READING
        }
        user = self._client.reach.account.user
        for number, one in clients.items():
            # A program of ours in the container has no name; nor has a connection, where the server keeps
            # none: whoever has our account, at our host, passes for ours then.
            if one.account == user and (one.inside or (own not in names and one == clients.get(own))):
                clients[number] = replace(one, name=NAME)
        return strangers(self._operated, [*clients.values()])

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._client.close()


def _names(connection: Session) -> dict[int, str]:
    """Return the names of the clients' programs, by number; none where the server keeps none."""
    try:
        return {int(number): str(name) for number, name in rows(connection, _PROGRAMS)}
    except pymysql.err.MySQLError:  # not this account's to see
        return {}
