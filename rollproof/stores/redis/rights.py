"""The rights of an account in Redis: it is asked for writes that change nothing, of keys that nobody has."""

from __future__ import annotations

import uuid
from contextlib import closing

import redis

from rollproof.stores.contract import Rights
from rollproof.stores.reach import Readable
from rollproof.stores.redis.descriptor import RedisProfile
from rollproof.stores.redis.view import connect, translated


def rights(readable: Readable[RedisProfile]) -> Rights:
    """Return what the account may do to keys of the profile's databases. See `Descriptor.rights`.

    An account may not see its own list of rights, but the server checks them before it looks for a key. XX
    sets only what is there, and an absent key cannot be removed.
    """
    reach, profile = readable.reach, readable.profile
    held: dict[str, bool] = {}
    with translated(reach):
        for database in profile.databases:
            patterns = [one.partition(":")[2] for one in profile.patterns if one.startswith(f"{database}:")]
            with closing(connect(reach, database)) as client:
                for pattern in ("*", *patterns):
                    key = pattern.replace("*", f"rollproof-{uuid.uuid4()}")
                    # A pattern without a wildcard may name a key that is there.
                    if key != pattern:
                        name = f"{database}:{pattern}"
                        held[f"SET on {name}"] = _may(client, "SET", key, "", "XX")
                        held[f"UNLINK on {name}"] = _may(client, "UNLINK", key)
    return Rights(
        tuple(name for name, may in held.items() if may),
        tuple(name for name, may in held.items() if not may),
    )


def _may(client: redis.Redis, *command: str) -> bool:
    try:
        client.execute_command(*command)  # type: ignore[no-untyped-call]
    except redis.exceptions.NoPermissionError:
        return False
    return True
