"""The clients that are connected to a PostgreSQL database."""

from __future__ import annotations

from rollproof.stores.keeper import Client
from rollproof.stores.postgresql.client import Postgresql, maintenance_of, rows
from rollproof.stores.postgresql.descriptor import PostgresqlProfile
from rollproof.stores.strangers import strangers
from rollproof.stores.writable import Operated

# Clients of the database, whatever they do, and this session itself; no replicas, which only read.
_CLIENTS = """
SELECT usename, coalesce(host(client_addr), ''), application_name FROM pg_stat_activity
WHERE backend_type = 'client backend' AND (datname = %s OR pid = pg_backend_pid())
"""


class Clients:
    """The clients of one database of a server. See `StoreClients`."""

    def __init__(self, operated: Operated[PostgresqlProfile]) -> None:
        """Remember how to connect; the first question connects, and outlives a restore of the database."""
        self._operated = operated
        (database,) = operated.profile.databases
        self._client = Postgresql(operated.reach, maintenance_of(database))

    def others(self) -> list[Client]:
        """Return the connections of others, which the operator sees: a restore needs a superuser."""
        with self._client.asked() as session:
            found = rows(session, _CLIENTS, self._operated.profile.databases)
        return strangers(self._operated, [Client(*map(str, one)) for one in found])

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._client.close()
