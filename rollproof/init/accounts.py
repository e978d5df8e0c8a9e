"""The accounts of a store: those that its compose project names, and those that have to be made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from rollproof.profile.recognition import Recognition
from rollproof.reading import read_regular
from rollproof.redaction.secret_command import LARGEST_SECRET

READER, OPERATOR, CANARY = "reader", "operator", "canary"
# Words at the end of a compose secret's name that show whose account it is of.
_READING, _WRITING = frozenset({"reader", "readonly", "ro"}), frozenset({"operator", "admin", "root"})
_ROLES = {READER: _READING, OPERATOR: _WRITING}
_FILE = re.compile(r"\${1,2}\(cat /run/secrets/(?P<name>[\w.-]+)\)")


@dataclass(frozen=True, slots=True)
class Clues:
    """What a compose project says of one store: its service, environment, command and secrets.

    `secrets` are the files of compose's secrets, by name; `variable` begins the names of variables that the
    profile invents for it: ``SHOP_MYSQL``.
    """

    service: str
    variable: str
    environment: Mapping[str, SecretStr] = field(default_factory=dict)
    command: Sequence[SecretStr] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)

    def value(self, *names: str) -> str:
        """Return the value of the first of these variables, or ``--options`` of the command, that is set."""
        words = " ".join(word.get_secret_value() for word in self.command)
        for name in names:
            if name.startswith("--"):
                if found := re.search(rf"{name}[ =]+[\"']?(\$+\([^)]*\)|[^\"'\s]+)", words):
                    return found[1]
            elif (secret := self.environment.get(name)) and secret.get_secret_value():
                return secret.get_secret_value()
        return ""

    def secret_of(self, words: frozenset[str]) -> tuple[str, str] | None:
        """Return the user and the file of a compose secret whose name ends in one of `words`."""
        for name, file in sorted(self.secrets.items()):
            if (user := _last_word(name)) in words:
                return user, file
        return None


@dataclass(frozen=True, slots=True)
class Holder:
    """An account as a profile names it; `user` is "" for a key alone. `place` is {env = …} or {file = …}."""

    user: str
    place: Mapping[str, str]

    @property
    def is_new(self) -> bool:
        """Whether it is one of ours, which has to be made."""
        return self.user.startswith("rollproof_")

    def section(self) -> dict[str, Any]:
        """Return it as a profile has it."""
        return {"user": self.user, "password": dict(self.place)} if self.user else {"key": dict(self.place)}


@dataclass(frozen=True, slots=True)
class Login:
    """An account to look with, as the compose project itself names it; its secret is never written."""

    user: str
    secret: SecretStr


def is_guarded(sign: Recognition, clues: Clues) -> bool:
    """Return whether the server asks who its clients are, by its environment, or by secrets for accounts."""
    shown = any(
        word in value.get_secret_value().lower()
        for name, word in ((name, word.lower()) for name, word in sign.guards.items())
        if (value := clues.environment.get(name))
    )
    return not sign.guards or shown or bool(clues.secret_of(_READING) or clues.secret_of(_WRITING))


def holders_of(sign: Recognition, clues: Clues) -> dict[str, Holder]:
    """Return the reader and the operator: those of compose's secrets, else new or common ones."""
    named = {role: found for role, words in _ROLES.items() if (found := clues.secret_of(words))}
    own = {
        role: Holder("" if sign.common == "" else user, {"file": file})
        for role, (user, file) in named.items()
    }
    if sign.common is None:
        users = {READER: "rollproof_reader", OPERATOR: sign.operator}
        return {
            role: own.get(role) or Holder(user, {"env": f"{clues.variable}_{role.upper()}_PASSWORD"})
            for role, user in users.items()
        }
    option = next((name for _, name in sign.logins if name.startswith("--")), "")
    in_command = _FILE.search(clues.value(option)) if option else None
    if len(own) == len(_ROLES) and not in_command:
        return own
    place = {"env": f"{clues.variable}_{'PASSWORD' if sign.common else 'KEY'}"}
    if in_command and in_command["name"] in clues.secrets:
        place = {"file": clues.secrets[in_command["name"]]}
    elif not sign.common and own:
        place = dict(next(iter(own.values())).place)
    return dict.fromkeys(_ROLES, Holder(sign.common, place))


def canary_of(clues: Clues) -> Holder:
    """Return the account that removes the traces of the canary's log-ins."""
    if found := clues.secret_of(frozenset({CANARY})):
        return Holder(found[0], {"file": found[1]})
    return Holder("rollproof_canary", {"env": f"{clues.variable}_CANARY_PASSWORD"})


def logins_of(sign: Recognition, clues: Clues) -> Iterator[Login]:
    """Yield the accounts that compose names for a store, those for reading first."""
    users = {holder.user for holder in holders_of(sign, clues).values()}
    secrets = sorted(
        clues.secrets, key=lambda one: (_last_word(one) not in _READING, _last_word(one) not in _WRITING, one)
    )
    for name in secrets:
        if secret := _secret_in(clues.secrets[name]):
            for user in (_last_word(name), *sorted(users - {_last_word(name)})):
                yield Login(user, secret)
    for user, variable in sign.logins:
        named = clues.value(user[1:]) if user.startswith("$") else user
        if named and (value := clues.value(variable)):
            yield Login(named, SecretStr(value))
        inside = Path(clues.value(f"{variable}_FILE")).name
        if named and (secret := _secret_in(clues.secrets.get(inside, ""))):
            yield Login(named, secret)


def _last_word(name: str) -> str:
    return name.lower().replace("-", "_").rpartition("_")[2]


def _secret_in(file: str) -> SecretStr | None:
    with suppress(OSError, UnicodeDecodeError):
        if file and (text := read_regular(Path(file), LARGEST_SECRET).decode().strip()):
            return SecretStr(text)
    return None
