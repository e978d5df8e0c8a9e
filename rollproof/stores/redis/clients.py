"""The clients that are connected to Redis."""

from __future__ import annotations

import redis

from rollproof.stores.keeper import Client
from rollproof.stores.redis.client import Redis
from rollproof.stores.redis.descriptor import RedisProfile
from rollproof.stores.strangers import blind, host_of, strangers
from rollproof.stores.writable import Operated

# The flags of a replica, and of the server that this one replicates.
_SERVERS = frozenset("SM")
# The last command of a connection that only greets: ours has no name yet, and none of them has written.
_GREETING = frozenset({"NULL", "hello", "auth", "select", "client", "client|setinfo", "client|setname"})


class Clients:
    """The clients of a Redis server. See `StoreClients`."""

    def __init__(self, operated: Operated[RedisProfile]) -> None:
        """Remember how to connect; the first question connects."""
        self._operated = operated
        self._reach = operated.reach
        self._server = Redis(self._reach, operated.profile.databases[0])

    def others(self) -> list[Client]:
        """Return the connections of others."""
        with self._server.asked("its clients") as client:
            try:
                found: list[dict[str, str]] = client.client_list()
            except redis.exceptions.NoPermissionError:
                raise blind(self._reach, "the right to CLIENT LIST", "an account without it") from None
        return strangers(
            self._operated,
            [
                Client(one.get("user", "default"), host_of(one["addr"]), one.get("name", ""))
                for one in found
                if not _SERVERS & set(one["flags"]) and (one.get("name") or one["cmd"] not in _GREETING)
            ],
        )

    def close(self) -> None:
        """Close the client."""
        self._server.close()
