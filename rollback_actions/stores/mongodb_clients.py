"""Who is connected to MongoDB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.errors import OperationFailure

from fixtures.engines.engine import Endpoint
from fixtures.stores.mongodb import connect, within
from fixtures.stores.profiles import MongodbProfile
from fixtures.stores.reach import Reach
from rollback_actions.stores.clients import Client, blind, host_of, strangers

_UNAUTHORIZED = 13
# What the members of a replica set are to each other.
_SYSTEM = "__system"
# Who has not logged in has no users: drivers keep such a connection beside the others, to watch the server.
_PIPELINE = (
    {"$currentOp": {"allUsers": True, "idleConnections": True}},
    {"$match": {"client": {"$exists": True}, "effectiveUsers.user": {"$exists": True}}},
    {"$project": {"client": 1, "effectiveUsers": 1}},
)


class Clients:
    """The clients of one MongoDB server. See `StoreClients`."""

    def __init__(self, name: str, profile: MongodbProfile, endpoint: Endpoint) -> None:
        """Remember how to connect; the first question connects."""
        self._profile = profile
        self._reach = Reach(name, endpoint, profile.operator, profile.deadline_seconds)
        self._client = connect(self._reach, profile.authentication_database)

    def others(self) -> list[str]:
        """Return the connections of other accounts, idle ones included."""
        with within(self._reach):
            try:
                found = list(self._client.admin.aggregate(list(_PIPELINE)))
            except OperationFailure as error:
                if error.code != _UNAUTHORIZED:
                    raise
                raise blind(
                    self._reach, "the action inprog (role clusterMonitor)", "not authorised"
                ) from None
        return strangers((client for one in found for client in _clients(one)), self._profile)

    def close(self) -> None:
        """Close the client."""
        self._client.close()


def _clients(operation: Mapping[str, Any]) -> list[Client]:
    host = host_of(str(operation["client"]))
    users = [str(user["user"]) for user in operation["effectiveUsers"]]
    return [Client(user, host) for user in users if user != _SYSTEM]
