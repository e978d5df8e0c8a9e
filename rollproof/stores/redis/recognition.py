"""The signs of Redis in a compose project, and the statements that create its accounts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from rollproof.stores.reach import Reach
from rollproof.stores.recognising import (
    CANARY,
    READING,
    WRITING,
    Clues,
    Creation,
    Holder,
    Login,
    Recognition,
    exchanged,
    password,
    two_accounts,
)
from rollproof.stores.redis.descriptor import DESCRIPTOR, RedisProfile

_OPTION = re.compile(r"--requirepass[ =]+(?P<quote>[\"']?)(?P<value>[^\"'\s]+)(?P=quote)")
_FROM_FILE = re.compile(r"--requirepass[ =]+[\"']?\${1,2}\(cat /run/secrets/(?P<name>[\w.-]+)\)")
_ANSWERS = (b"+PONG", b"-NOAUTH", b"-DENIED", b"-LOADING")


def _command(clues: Clues) -> str:
    return " ".join(word.get_secret_value() for word in clues.command)


def _common_secret(clues: Clues) -> str:
    """Return the file of the compose secret that the server takes as everybody's password, or ""."""
    found = _FROM_FILE.search(_command(clues))
    return clues.secrets.get(found["name"], "") if found else ""


def _accounts(clues: Clues) -> dict[str, Holder]:
    """Return two accounts; the one that all have, if the server knows no other by its own command."""
    if file := _common_secret(clues):
        place = {"file": file}
    elif _OPTION.search(_command(clues)) or clues.says("REDIS_PASSWORD"):
        place = {"env": f"{clues.variable}_PASSWORD"}
    elif clues.secret_of(READING) and clues.secret_of(WRITING):
        return two_accounts(clues)
    else:
        place = {"env": f"{clues.variable}_PASSWORD"}
    return dict.fromkeys(("reader", "operator"), Holder("default", place))


def _more_logins(clues: Clues) -> Sequence[Login]:
    if (found := _OPTION.search(_command(clues))) and not _FROM_FILE.search(_command(clues)):
        return (Login("default", SecretStr(found["value"])),)
    return ()


def _greet(reach: Reach) -> str:
    """Return that it answers PING as Redis does."""
    said = exchanged(reach, b"PING\r\n")
    return "Redis" if said.startswith(_ANSWERS) else ""


def _create(profile: RedisProfile, _: Mapping[str, Holder]) -> Creation:
    granted = DESCRIPTOR.grants(
        profile.model_copy(
            update={
                role: getattr(profile, role).model_copy(update={"user": f"rollproof_{role}"})
                for role in ("reader", "operator")
            }
        )
    )
    lines = [
        line.replace(" on ", f" on resetpass >{password(role)} ", 1)
        for role, these in (("reader", granted.reader), ("operator", granted.operator))
        for line in these
    ]
    lines.append(
        f"ACL SETUSER rollproof_canary on resetpass >{password(CANARY)} ~token:* ~user:canary resetchannels"
        " +unlink +exists +select +ping +hello +auth"
    )
    return Creation(
        lines=lines,
        fresh=(
            "Redis forgets accounts that ACL SETUSER has made when it restarts, unless it was "
            "started with an ACL file. So they have to be in one, each line as `user NAME on …` "
            "without ACL SETUSER. Start the server with --aclfile FILE, which takes the place of "
            "--requirepass. Add a line for the application's own user, and name these accounts in "
            "the profile. Until then the profile has the one account that the application has too."
        ),
    )


def _settings(_: Clues) -> dict[str, Any]:
    # Keys expire by themselves: their number is reported, not compared.
    return {"policy": {"*": "volatile"}}


RECOGNITION = Recognition(
    name="redis",
    images=("redis", "redis-stack", "redis-stack-server", "valkey", "keydb"),
    ports=(6379,),
    variables=("REDIS_PASSWORD", "VALKEY_PASSWORD"),
    settings=_settings,
    accounts=_accounts,
    logins=(("default", "REDIS_PASSWORD"), ("default", "VALKEY_PASSWORD")),
    more_logins=_more_logins,
    greet=_greet,
    holdings="rollproof.stores.redis.view:holdings",
    create=_create,
)
