"""Who is connected to MySQL or MariaDB."""

from __future__ import annotations

from contextlib import ExitStack

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from fixtures.engines.engine import Endpoint
from fixtures.stores.mysql import connect, rows, server, translated
from fixtures.stores.profiles import MysqlProfile
from fixtures.stores.reach import Reach
from rollback_actions.stores.clients import Client, blind, host_of, strangers
from rollback_actions.stores.mysql_grants import may_see_others, read_grants

# Threads of the server itself, and connections whose account is not known yet.
_NOBODY = frozenset({"system user", "event_scheduler", "unauthenticated user"})
# Replicas: they read what was written, and write nothing.
_READING = frozenset({"Binlog Dump", "Binlog Dump GTID"})


class Clients:
    """The clients of a MySQL or MariaDB server. See `StoreClients`."""

    def __init__(self, name: str, profile: MysqlProfile, endpoint: Endpoint) -> None:
        """Remember how to connect; the first question connects."""
        self._profile = profile
        self._reach = Reach(name, endpoint, profile.operator, profile.deadline_seconds)
        self._connection: Connection[Cursor] | None = None

    def others(self) -> list[str]:
        """Return the connections of other accounts."""
        with translated(self._reach):
            if self._connection is None:
                self._connection = self._open()
            found = rows(self._connection, "SHOW PROCESSLIST")
        return strangers(
            (
                Client(str(user), host_of(str(host)))
                for _, user, host, _, command, *_ in found
                if user not in _NOBODY and command not in _READING
            ),
            self._profile,
        )

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> Connection[Cursor]:
        with ExitStack() as undo:
            connection = connect(self._reach)
            undo.callback(connection.close)
            flavour, _ = server(connection)
            # Without it an account is shown its own connections, and not told that there are more.
            if not may_see_others(read_grants(connection, flavour)):
                raise blind(self._reach, "the privilege PROCESS", "an account without it")
            undo.pop_all()
        return connection
