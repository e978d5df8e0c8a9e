"""The clients that are connected to MongoDB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.errors import OperationFailure

from rollproof.stores.keeper import Client
from rollproof.stores.mongodb.client import UNAUTHORIZED, Mongodb, lets_in_anybody
from rollproof.stores.mongodb.descriptor import MongodbProfile
from rollproof.stores.strangers import blind, host_of, strangers
from rollproof.stores.writable import Operated

# The account that the members of a replica set use among themselves.
_SYSTEM = "__system"
# What a client is called that has not logged in, at a server where nobody has to.
_NOBODY = "nobody"
# The drivers that servers use among themselves.
_SERVERS = ("NetworkInterfaceTL", "MongoDB Internal Client")
_PIPELINE = (
    {"$currentOp": {"allUsers": True, "idleConnections": True}},
    {"$match": {"client": {"$exists": True}}},
    {"$project": {"client": 1, "effectiveUsers": 1, "appName": 1, "clientMetadata.driver.name": 1}},
)


class Clients:
    """The clients of one MongoDB server. See `StoreClients`."""

    def __init__(self, operated: Operated[MongodbProfile]) -> None:
        """Remember how to connect; the first question connects."""
        self._operated = operated
        self._client = Mongodb(operated.reach, operated.profile.authentication_database)
        self._open: bool | None = None

    def others(self) -> list[Client]:
        """Return the connections of others, idle ones included."""
        reach = self._client.reach
        if self._open is None:
            self._open = lets_in_anybody(reach)
        with self._client.asked() as client:
            try:
                found = list(client.admin.aggregate(list(_PIPELINE)))
            except OperationFailure as error:
                if error.code != UNAUTHORIZED:
                    raise
                raise blind(reach, "the action inprog (role clusterMonitor)", "not authorised") from None
        return strangers(
            self._operated, [client for one in found for client in _clients(one, everybody=self._open)]
        )

    def close(self) -> None:
        """Close the client."""
        self._client.close()


def _clients(operation: Mapping[str, Any], *, everybody: bool) -> list[Client]:
    """Return a connection's clients; one without a log-in has none, unless `everybody` may write.

    Where they must log in, drivers keep such a connection beside the others, to watch the server.
    """
    host = host_of(str(operation["client"]))
    users = [str(user["user"]) for user in operation.get("effectiveUsers") or ()]
    driver = str(((operation.get("clientMetadata") or {}).get("driver") or {}).get("name", ""))
    if everybody and not users and not driver.startswith(_SERVERS):
        users = [_NOBODY]
    name = str(operation.get("appName", ""))
    return [Client(user, host, name) for user in users if user != _SYSTEM]
