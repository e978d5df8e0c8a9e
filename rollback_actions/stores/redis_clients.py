"""Who is connected to Redis."""

from __future__ import annotations

import redis

from fixtures.engines.engine import Endpoint
from fixtures.stores.profiles import RedisProfile
from fixtures.stores.reach import Reach
from fixtures.stores.redis import connect, translated
from rollback_actions.stores.clients import Client, blind, host_of, strangers

# The flags of a replica and of the server that this one replicates.
_SERVERS = frozenset("SM")
# What a connection has asked that has asked nothing yet.
_NOTHING = "NULL"


class Clients:
    """The clients of a Redis server. See `StoreClients`."""

    def __init__(self, name: str, profile: RedisProfile, endpoint: Endpoint) -> None:
        """Remember how to connect; the first question connects."""
        self._profile = profile
        self._reach = Reach(name, endpoint, profile.operator, profile.deadline_seconds)
        self._client = connect(self._reach, profile.databases[0])

    def others(self) -> list[str]:
        """Return the connections of other accounts."""
        with translated(self._reach):
            try:
                found: list[dict[str, str]] = self._client.client_list()
            except redis.exceptions.NoPermissionError:
                raise blind(self._reach, "the right to CLIENT LIST", "an account without it") from None
        return strangers(
            (
                Client(one.get("user", "default"), host_of(one["addr"]))
                for one in found
                if not _SERVERS & set(one["flags"]) and one["cmd"] != _NOTHING
            ),
            self._profile,
        )

    def close(self) -> None:
        """Close the client."""
        self._client.close()
