"""The profile and descriptor of Redis."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rollproof.profile.sections import WatchedProfile
from rollproof.profile.store_descriptor import Descriptor, Grants, Initial, Means, Trait
from rollproof.stores.redis.formats import judge


class RedisProfile(WatchedProfile):
    """Redis."""

    kind: Literal["redis"]
    databases: tuple[Annotated[int, Field(ge=0)], ...] = (0,)
    """Databases of the target."""
    patterns: tuple[str, ...] = ()
    """Patterns `DATABASE:KEY` that group keys into collections, such as `0:token:*`."""
    restore: Literal["dump", "flush"] = "dump"
    """`dump` restores each key; `flush` empties the store, without a backup."""

    @property
    def emptied(self) -> bool:
        """Whether a restore flushes it, without a backup."""
        return self.restore == "flush"


def _means(profile: RedisProfile) -> Means:
    return Means.NOTHING if profile.emptied else Means.KEYS


def _keeps_less(profile: RedisProfile) -> str:
    return "restore = 'flush', which keeps no backup" if profile.emptied else ""


def _grants(profile: RedisProfile) -> Grants:
    reading = (
        "~* resetchannels +@read +@connection -@admin -@dangerous"
        " +info +keys +config|get +lastsave +slowlog|get +acl|whoami +function|list"
    )
    return Grants(
        reader=(f"ACL SETUSER {profile.reader.user} on {reading}",),
        operator=(f"ACL SETUSER {profile.operator.user} on ~* &* +@all",),
    )


DESCRIPTOR = Descriptor(
    profile=RedisProfile,
    least_risk="low",
    means=_means,
    keeps_less=_keeps_less,
    keys=("key",),
    traits=frozenset({Trait.CONNECTIONS, Trait.EXPIRING}),
    view="rollproof.stores.redis.view:View",
    content="rollproof.stores.redis.content:Content",
    export="rollproof.stores.redis.export:Export",
    grants=_grants,
    rights="rollproof.stores.redis.rights:rights",
    initial=Initial(
        users=("default",), places=("/usr/local/etc/redis", "/etc/redis", "/etc/valkey"), forgets=True
    ),
    recognition="rollproof.stores.redis.recognition:RECOGNITION",
    keeper="rollproof.stores.redis.keeper:Keeper",
    judge=judge,
    marks="rollproof.stores.redis.view:marks",
    clients="rollproof.stores.redis.clients:Clients",
    sweep="rollproof.stores.redis.view:sweep",
)
