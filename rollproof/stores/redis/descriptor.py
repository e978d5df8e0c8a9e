"""The profile and descriptor of Redis."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rollproof.errors import ProfileMistake
from rollproof.profile.recognition import Recognition, Statements
from rollproof.profile.sections import NamePlace, WatchedProfile
from rollproof.profile.store_descriptor import Descriptor, Grants, Means


class RedisProfile(WatchedProfile):
    """Redis."""

    kind: Literal["redis"]
    databases: tuple[Annotated[int, Field(ge=0)], ...] = (0,)
    """Databases of the target."""
    patterns: tuple[str, ...] = ()
    """Patterns `DATABASE:KEY` that group keys into collections, such as `0:token:*`."""
    restore: Literal["dump", "flush"] = "dump"
    """`dump` restores each key; `flush` empties the store, without a backup."""

    @model_validator(mode="after")
    def _patterns_of_databases(self) -> Self:
        for pattern in self.patterns:
            number, colon, glob = pattern.partition(":")
            if not colon or number not in map(str, self.databases) or "\\" in glob:
                raise ProfileMistake(
                    'patterns such as "0:token:*", of its databases and without \\', repr(pattern)
                )
        return self

    @property
    def emptied(self) -> bool:
        """Whether a restore flushes it, without a backup."""
        return self.restore == "flush"


def _means(profile: RedisProfile) -> Means:
    return Means.NOTHING if profile.emptied else Means.KEYS


def _keeps_less(profile: RedisProfile) -> str:
    return "restore = 'flush', which keeps no backup" if profile.emptied else ""


def _wrong_place(place: NamePlace) -> ProfileMistake | None:
    if place.fields != ("key",) or place.collection.count("*") != 1:
        expected = "field key of a pattern with one *"
        return ProfileMistake(expected, f"{', '.join(place.fields)} of {place.collection}")
    return None


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
    wrong_place=_wrong_place,
    records_expire=True,
    has_format_marks=True,
    reader="rollproof.stores.redis.reader:RedisReader",
    grants=_grants,
    recognition=Recognition(
        name="redis",
        images=("redis", "redis-stack", "redis-stack-server", "valkey", "keydb"),
        ports=(6379,),
        # Keys expire by themselves: their number is reported, not compared.
        settings={"policy": {"*": "volatile"}},
        common="default",
        logins=(
            ("default", "REDIS_PASSWORD"),
            ("default", "VALKEY_PASSWORD"),
            ("default", "--requirepass"),
        ),
        statements=Statements(
            account="ACL SETUSER {user} on resetpass >{password}\n{grants}",
            tail="ACL SETUSER rollproof_canary on resetpass >{password of canary} ~token:* ~user:canary"
            " resetchannels +unlink +exists +select +ping +hello +auth",
            fresh="Redis forgets accounts at a restart unless it has an ACL file. Start the server with "
            "--aclfile FILE, which takes the place of --requirepass, with a line for the application's "
            "own user. Run these, then ACL SAVE, and name the accounts in the profile. Until then the "
            "profile has the one account that the application has too.",
        ),
    ),
    keeper="rollproof.stores.redis.keeper:RedisKeeper",
    clients="rollproof.stores.redis.keeper:RedisClients",
    sweep="rollproof.stores.redis.client:sweep",
)
