"""The clients that are connected to MongoDB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.errors import OperationFailure

from fixtures.stores.mongodb.descriptor import MongodbProfile
from fixtures.stores.mongodb.view import UNAUTHORIZED, connect, within
from fixtures.stores.own_connections import NAME
from rollback_actions.stores.contract import Client
from rollback_actions.stores.strangers import Strangers, blind, host_of
from rollback_actions.stores.writable import Operated

# The account that the members of a replica set use among themselves.
_SYSTEM = "__system"
# A connection without a login has no users: drivers keep one in addition to the others, to watch the server.
_PIPELINE = (
    {"$currentOp": {"allUsers": True, "idleConnections": True}},
    {"$match": {"client": {"$exists": True}, "effectiveUsers.user": {"$exists": True}}},
    {"$project": {"client": 1, "effectiveUsers": 1, "appName": 1, "connectionId": 1}},
)


class Clients:
    """The clients of one MongoDB server. See `StoreClients`."""

    def __init__(self, operated: Operated[MongodbProfile]) -> None:
        """Remember how to connect; the first question connects."""
        self._strangers = Strangers(operated)
        self._reach = operated.reach
        self._client = connect(self._reach, operated.profile.authentication_database)

    def others(self) -> list[Client]:
        """Return the connections of others, idle ones included."""
        with within(self._reach):
            try:
                found = list(self._client.admin.aggregate(list(_PIPELINE)))
            except OperationFailure as error:
                if error.code != UNAUTHORIZED:
                    raise
                raise blind(
                    self._reach, "the action inprog (role clusterMonitor)", "not authorised"
                ) from None
        ours = {_number(one) for one in found if one.get("appName") == NAME}
        return self._strangers.among([client for one in found for client in _clients(one)], ours)

    def close(self) -> None:
        """Close the client."""
        self._client.close()


def _clients(operation: Mapping[str, Any]) -> list[Client]:
    host = host_of(str(operation["client"]))
    users = [str(user["user"]) for user in operation["effectiveUsers"]]
    name = str(operation.get("appName", ""))
    return [Client(user, host, _number(operation), name) for user in users if user != _SYSTEM]


def _number(operation: Mapping[str, Any]) -> int:
    return int(operation["connectionId"])
