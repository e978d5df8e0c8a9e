"""A store's section of the profile, with its accounts: those that compose names, and those to be made."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from rollproof.init.parts import Found
from rollproof.init.profile_text import comment
from rollproof.profile.kinds import descriptor_of, kinds
from rollproof.profile.mistakes import UNANSWERED
from rollproof.profile.sections import Account, ApiKey, StoreProfile
from rollproof.profile.store_descriptor import Grants
from rollproof.reading import read_regular
from rollproof.redaction.secret import LARGEST_SECRET

READER, OPERATOR, CANARY = "reader", "operator", "canary"
# Words at the end of a compose secret's name that show whose account it is of.
_ROLES = {
    READER: frozenset({"reader", "readonly", "ro"}),
    OPERATOR: frozenset({"operator", "admin", "root"}),
    CANARY: frozenset({CANARY}),
}
_FILE = re.compile(r"\${1,2}\(cat /run/secrets/(?P<name>[\w.-]+)\)")


@dataclass(frozen=True, slots=True)
class AccountHolder:
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


def is_guarded(found: Found) -> bool:
    """Return whether the server asks who its clients are, by its environment, or by secrets for accounts."""
    guards, secrets = found.sign.guards, (_secret_of(found, READER), _secret_of(found, OPERATOR))
    shown = any(
        word.lower() in value.get_secret_value().lower()
        for name, word in guards.items()
        if (value := found.service.environment.get(name))
    )
    return not guards or shown or any(secrets)


def accounts_of(found: Found, *, guarded: bool) -> dict[str, AccountHolder]:
    """Return the reader and the operator of a store; none for a server that asks nobody.

    They are those of compose's secrets, else new ones, or one for everybody where the server knows no other.
    """
    fields, sign = kinds()[found.kind].profile.model_fields, found.sign
    if not guarded and not any(fields[role].is_required() for role in (READER, OPERATOR)):
        return {}
    own = {role: one for role in (READER, OPERATOR) if (one := _secret_of(found, role))}
    if sign.common is None:
        users = {READER: "rollproof_reader", OPERATOR: sign.operator}
        return {
            role: own.get(role) or AccountHolder(user, {"env": f"{found.variable}_{role.upper()}_PASSWORD"})
            for role, user in users.items()
        }
    if sign.common == "":
        own = {role: AccountHolder("", one.place) for role, one in own.items()}
    option = next((name for _, name in sign.logins if name.startswith("--")), "")
    in_command = _FILE.search(found.service.value(option)) if option else None
    if len(own) == len((READER, OPERATOR)) and not in_command:
        return own
    place: Mapping[str, str] = {"env": f"{found.variable}_{'PASSWORD' if sign.common else 'KEY'}"}
    if in_command and in_command["name"] in found.service.secrets:
        place = {"file": found.service.secrets[in_command["name"]]}
    elif not sign.common and own:
        place = next(iter(own.values())).place
    return dict.fromkeys((READER, OPERATOR), AccountHolder(sign.common, place))


def canary_of(found: Found) -> AccountHolder:
    """Return the account that removes the traces of the canary's log-ins."""
    place = {"env": f"{found.variable}_CANARY_PASSWORD"}
    return _secret_of(found, CANARY) or AccountHolder("rollproof_canary", place)


def logins_of(found: Found) -> Iterator[tuple[str, SecretStr]]:
    """Yield the users and secrets that compose names for a store, those for reading first; never written."""
    users = {holder.user for holder in accounts_of(found, guarded=True).values()}
    rank = {word: at for at, words in enumerate(_ROLES.values()) for word in words}
    for name in sorted(found.service.secrets, key=lambda one: (rank.get(_last_word(one), len(rank)), one)):
        if secret := _secret_in(found.service.secrets[name]):
            for user in (_last_word(name), *sorted(users - {_last_word(name)})):
                yield user, secret
    for user, variable in found.sign.logins:
        named = found.service.value(user[1:]) if user.startswith("$") else user
        if named and (value := found.service.value(variable)):
            yield named, SecretStr(value)
        inside = Path(found.service.value(f"{variable}_FILE")).name
        if named and (secret := _secret_in(found.service.secrets.get(inside, ""))):
            yield named, secret


def _secret_of(found: Found, role: str) -> AccountHolder | None:
    """Return the account of the compose secret whose name ends in a word for `role`."""
    secrets = sorted(found.service.secrets.items())
    named = ((_last_word(name), file) for name, file in secrets if _last_word(name) in _ROLES[role])
    return next((AccountHolder(user, {"file": file}) for user, file in named), None)


def _last_word(name: str) -> str:
    return name.lower().replace("-", "_").rpartition("_")[2]


def _secret_in(file: str) -> SecretStr | None:
    with suppress(OSError, UnicodeDecodeError):
        if file and (text := read_regular(Path(file), LARGEST_SECRET).decode().strip()):
            return SecretStr(text)
    return None


def section_of(found: Found, holdings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section of a store without accounts, with `UNANSWERED` for what it needs and nobody knows.

    `holdings` are keys as the server lists them, which win over compose's.
    """
    descriptor, sign = kinds()[found.kind], found.sign
    listed = {
        name: [one.partition(":")[0].strip() for one in found.service.value(*variables).split(",")]
        for name, variables in sign.listed.items()
        if found.service.value(*variables) not in {"", "admin"}
    }
    section: dict[str, Any] = {
        "kind": found.kind,
        "address": {"service": found.service.name, "port": found.port},
        "services": list(found.services),
        "risk": descriptor.least_risk,
        **sign.settings,
        **listed,
        **{name: one for name, one in holdings.items() if one},
    }
    for name, about in descriptor.profile.model_fields.items():
        if about.is_required() and name not in section and name not in {READER, OPERATOR}:
            section[name] = [UNANSWERED]
    return section


def profile_of(section: Mapping[str, Any], found: Found, *, guarded: bool) -> StoreProfile:
    """Return the section as the suite reads it, without any secret."""
    nothing = SecretStr("")
    accounts = {
        role: Account(user=one.user, password=nothing) if one.user else ApiKey(key=nothing)
        for role, one in accounts_of(found, guarded=guarded).items()
    }
    profile: StoreProfile = kinds()[found.kind].profile(**section, **accounts)
    return profile


_MARK = re.compile(r"\0(\w+)\0")  # stands for the password of a role

_HEAD = """\
#!/bin/sh
# Accounts for {project}: statements for reader, operator and canary of each store, least rights.
# Passwords are read from the environment; none is in this file. A password is of letters and digits.
#   sh {file}         every store
#   sh {file} STORE   one of them
# It may be run again: it sets passwords and rights again, and drops nothing.
set -eu
"""
_OTHER_SERVER = (
    "Its server makes accounts in a way of its own, and keeps them in its volume or its settings. Give each"
    " user the rights that stand below its name."
)
_STORE = """\
if [ "${{1:-{name}}}" = {name} ]; then
{needed}
  docker compose --project-name {project} exec -T {service} sh -c {client} <<END_OF_LINES
{lines}
END_OF_LINES
  echo "{name}: {users}"
fi"""


def accounts_text(
    project: str,
    file: str,
    stores: Mapping[str, Found],
    profiles: Mapping[str, StoreProfile],
    holders: Mapping[str, Mapping[str, AccountHolder]],
) -> str:
    """Return the script for the accounts of `stores`; what it cannot run is a remark in it."""
    made = {name: _store(project, name, one, profiles[name], holders[name]) for name, one in stores.items()}
    head = _HEAD.format(project=project, file=shlex.quote(file))
    if remarks := ", ".join(name for name, (_, runs) in made.items() if not runs):
        head += f"echo 'not run, but remarks in this file, to read: {remarks}' >&2\n"
    return "\n".join([head, *(f"{text}\n" for text, _ in made.values())])


def _store(
    project: str, name: str, found: Found, profile: StoreProfile, holders: Mapping[str, AccountHolder]
) -> tuple[str, bool]:
    """Return the part of a store, and whether the script can run it: else it is a remark."""
    statements = found.sign.statements
    about = [f"# --- {name} ({found.kind}), service {found.service.name}"]
    if statements.images and found.service.short_image not in statements.images:
        return "\n".join([*about, *comment(_OTHER_SERVER), *_rights(profile, holders)]), False
    about += comment(statements.fresh)
    # One account for everybody is the application's too: two new ones are to take its place.
    if found.sign.common and len({one.user for one in holders.values()}) == 1:
        holders = {role: AccountHolder(f"rollproof_{role}", {}) for role in holders}
    new = {role: one for role, one in holders.items() if one.is_new}
    if not (lines := _lines(found, profile, new)):
        about += [] if new or not holders else comment("The project's own secrets name its accounts.")
        return "\n".join(about), False
    variables = {role: one.place.get("env", "") for role, one in new.items()}
    if not statements.client or not all(variables.values()):
        shown = _MARK.sub(lambda mark: f"PASSWORD_OF_{mark[1].upper()}", lines)
        return "\n".join([*about, *(f"#   {line}" for line in shown.split("\n"))]), False
    # In a here-document, only the variables of the passwords are expanded.
    plain = re.sub(r"([\\`$])", r"\\\1", lines)
    body = _STORE.format(
        project=shlex.quote(project),
        name=name,
        needed="\n".join(f'  : "${{{variable}:?export it}}"' for variable in variables.values()),
        service=shlex.quote(found.service.name),
        client=shlex.quote(statements.client),
        lines=_MARK.sub(lambda mark: f"${{{variables[mark[1]]}}}", plain),
        users=", ".join(sorted(one.user for one in new.values())),
    )
    return "\n".join([*about, body]), True


def _granted(profile: StoreProfile, holders: Mapping[str, AccountHolder]) -> Grants:
    accounts = {role: Account(user=one.user, password=SecretStr("")) for role, one in holders.items()}
    return descriptor_of(profile).grants(profile.model_copy(update=accounts))


def _rights(profile: StoreProfile, holders: Mapping[str, AccountHolder]) -> list[str]:
    """Return the rights of each account as remarks."""
    granted = _granted(profile, holders)
    return [f"#   {line.removeprefix('# ')}" for line in (*granted.reader, *granted.operator)]


def _lines(found: Found, profile: StoreProfile, holders: Mapping[str, AccountHolder]) -> str:
    """Return the statements for `holders`, with a mark in the place of each password, or ""."""
    statements = found.sign.statements
    if not statements.account or not holders:
        return ""
    granted = _granted(profile, holders)
    each = []
    for role, holder in holders.items():
        grants = granted.reader if role == READER else granted.operator
        shown = "\n".join(line for line in grants if not line.startswith(("#", "--")))
        if shown:  # else the account is the server's own
            one = statements.account.replace("{user}", holder.user).replace("{grants}", shown)
            each.append(one.replace("{password}", f"\0{role}\0"))
    lines = "\n".join(filter(None, (statements.head, *each, statements.tail)))
    port = str(profile.address.port if profile.address else "")
    return lines.replace("{port}", port).replace("{password of canary}", f"\0{CANARY}\0")
