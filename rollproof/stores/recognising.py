"""How a store is recognised in a compose project that has no profile yet, and what its section needs.

Each kind states its own signs in a module `recognition` of its package, which its descriptor names. Data and
pure functions: no driver is imported there.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from rollproof.stores.reach import Reach

READING, WRITING = frozenset({"reader", "readonly", "ro"}), frozenset({"operator", "admin", "root"})
"""Words in the names of compose secrets that tell whose account they are."""


@dataclass(frozen=True, slots=True)
class Clues:
    """One store in a compose project: its service, environment, command and secrets.

    `secrets` are the files of compose's secrets, by name; `variable` begins the names of variables that the
    profile invents for it: ``SHOP_MYSQL``.
    """

    service: str
    variable: str
    environment: Mapping[str, SecretStr] = field(default_factory=dict)
    command: Sequence[SecretStr] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)

    def says(self, *names: str) -> str:
        """Return the value of the first of these variables that is set, or ""."""
        values = (self.environment[name].get_secret_value() for name in names if name in self.environment)
        return next((value for value in values if value), "")

    def secret_of(self, words: frozenset[str]) -> tuple[str, str] | None:
        """Return the user and the file of a compose secret whose name ends in one of `words`."""
        for name, file in sorted(self.secrets.items()):
            if (user := _last_word(name)) in words:
                return user, file
        return None


@dataclass(frozen=True, slots=True)
class Login:
    """An account to look with, as the compose project itself names it; its secret is never written."""

    user: str
    secret: SecretStr


@dataclass(frozen=True, slots=True)
class Holder:
    """An account as a profile names it; `user` is "" for a key alone. `place` is {env = …} or {file = …}."""

    user: str
    place: Mapping[str, str]

    def section(self) -> dict[str, Any]:
        """Return it as a profile has it."""
        return {"user": self.user, "password": dict(self.place)} if self.user else {"key": dict(self.place)}


@dataclass(frozen=True, slots=True)
class Creation:
    """The statements that create a store's accounts, with `password` in the place of each password.

    `client` is a shell command in the service's container that reads them; without one they are for people
    alone. `fresh` says where they must be so that a fresh server has the accounts too.
    """

    lines: Sequence[str]
    fresh: str
    client: str = ""


def password(role: str) -> str:
    """Return the mark that stands for the password of `role` in a statement."""
    return f"\0{role}\0"


READER, OPERATOR, CANARY = "reader", "operator", "canary"


def two_accounts(clues: Clues) -> dict[str, Holder]:
    """Return a reader and an operator: those that compose's secrets are named for, or new ones."""
    found = {}
    for role, words in ((READER, READING), (OPERATOR, WRITING)):
        if there := clues.secret_of(words):
            user, file = there
            found[role] = Holder(user, {"file": file})
        else:
            variable = f"{clues.variable}_{role.upper()}_PASSWORD"
            found[role] = Holder(f"rollproof_{role}", {"env": variable})
    return found


def nothing(_: Clues) -> dict[str, Any]:
    """Return no key of the profile: compose says nothing of it."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """The signs of one kind of store. A text field is a place, ``module:name``, as in a descriptor."""

    name: str
    """What such a store is usually called in a profile."""
    images: tuple[str, ...]
    """Shell-style patterns of the last part of its image's name, without a tag."""
    ports: tuple[int, ...]
    """Its usual ports inside a container, the one for clients first."""
    variables: tuple[str, ...] = ()
    """Beginnings of the variables that only its images read."""
    one_of_many: bool = False
    """Whether several such services of a project are one store, as brokers of a cluster are."""
    parts: Callable[[Clues], Sequence[str]] = lambda _: ()
    """Addresses, ``host:port`` or URLs, of other services that hold a part of its data."""
    settings: Callable[[Clues], dict[str, Any]] = nothing
    """Keys of its section that compose tells."""
    guarded: Callable[[Clues], bool] = lambda _: True
    """Whether the server asks who its clients are."""
    accounts: Callable[[Clues], dict[str, Holder]] = two_accounts
    """Its reader and its operator, for a guarded one."""
    logins: tuple[tuple[str, str], ...] = ()
    """Users and variables with their passwords; a user ``$NAME`` is the variable's value."""
    more_logins: Callable[[Clues], Sequence[Login]] = lambda _: ()
    """Accounts that are named in another way."""
    greet: Callable[[Reach], str] | None = None
    """What a server says of itself before any log-in, "" if it is no such server."""
    holdings: str = ""
    """Function of a `Readable`: keys of the section, by the server's own word."""
    advertised: Callable[[Clues], Sequence[str]] = lambda _: ()
    """``host:port`` of each address to which it sends its clients on."""
    create: Callable[[Any, Mapping[str, Holder]], Creation]
    """The statements for a section of the profile, and its holders by role."""


def _last_word(name: str) -> str:
    return name.lower().replace("-", "_").rpartition("_")[2]


def exchanged(reach: Reach, ask: bytes = b"", most: int = 512) -> bytes:
    """Return the first bytes that a server answers to `ask`, or says by itself; empty without an answer."""
    address = reach.endpoint.host, reach.endpoint.port
    with suppress(OSError), socket.create_connection(address, reach.deadline) as connection:
        connection.settimeout(reach.deadline)
        if ask:
            connection.sendall(ask)
        return connection.recv(most)
    return b""
