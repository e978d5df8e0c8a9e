"""The signs of a kind of store in a compose project, and how its accounts are made. Data for `init`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

IN_VOLUME = (
    "Accounts are in the server's own volume, which is empty on a fresh server. Mount a file of these"
    " statements, with the passwords in it, at /docker-entrypoint-initdb.d/"
)
"""What to do so that a fresh server has the accounts, up to the name of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """The template of a script that makes accounts.

    `account` is repeated for each of them, with its `{user}`, `{password}` and `{grants}`. Everywhere
    `{port}` is the server's, and ``{password of canary}`` the canary's password.
    """

    head: str = ""
    account: str = ""
    tail: str = ""
    images: tuple[str, ...] = ()
    """The images whose servers take these statements, where others of the kind make accounts another way."""
    client: str = ""
    """A shell command in the service's container that reads the script; "" where people run it themselves."""
    fresh: str
    """Where the accounts are kept, and where they must be stated so that a fresh server has them too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """The signs of one kind of store: images, ports, variables of its container's environment."""

    name: str
    """The usual name of such a store in a profile."""
    images: tuple[str, ...]
    """Shell-style patterns of the last part of its image's name, without a tag."""
    ports: tuple[int, ...]
    """Its usual ports inside a container, the one for clients first."""
    variables: tuple[str, ...] = ()
    """Prefixes of the variables that only its images read."""
    several_are_one: bool = False
    """Whether several such services of a project are one store, such as the brokers of a cluster."""
    parts: tuple[str, ...] = ()
    """Variables with the addresses of other services that hold a part of its data."""
    advertised: tuple[str, ...] = ()
    """Variables with the addresses to which it sends its clients on."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Keys of its section that are the same in every project."""
    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Keys of its section, each with the variables that name its entries, such as MYSQL_DATABASE."""
    guards: Mapping[str, str] = field(default_factory=dict)
    """Variables, each with a word in the value that shows that the server has accounts; {}: it always has."""
    operator: str = "rollproof_operator"
    """The user of the operator where no secret of compose names one."""
    common: str | None = None
    """The user whom all clients share where compose names no other; "" for a server of keys, not users."""
    logins: tuple[tuple[str, str], ...] = ()
    """Users, each with the variable or ``--option`` of its password; ``$NAME`` is the user in a variable."""
    statements: Statements
