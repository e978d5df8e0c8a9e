"""The file next to a proposed profile: a shell script that creates the accounts in it. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from pydantic import SecretStr

from rollproof.init.accounts import CANARY, READER, Holder
from rollproof.init.parts import Found
from rollproof.init.profile_text import comment
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.sections import Account, StoreProfile
from rollproof.profile.store_descriptor import Grants

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
    holders: Mapping[str, Mapping[str, Holder]],
) -> str:
    """Return the script for the accounts of `stores`; what it cannot run is a remark in it."""
    made = {name: _store(project, name, one, profiles[name], holders[name]) for name, one in stores.items()}
    head = _HEAD.format(project=project, file=shlex.quote(file))
    if remarks := ", ".join(name for name, (_, runs) in made.items() if not runs):
        head += f"echo 'not run, but remarks in this file, to read: {remarks}' >&2\n"
    return "\n".join([head, *(f"{text}\n" for text, _ in made.values())])


def _store(
    project: str, name: str, found: Found, profile: StoreProfile, holders: Mapping[str, Holder]
) -> tuple[str, bool]:
    """Return the part of a store, and whether the script can run it: else it is a remark."""
    statements = found.sign.statements
    about = [f"# --- {name} ({found.kind}), service {found.service.name}"]
    if statements.images and found.service.short_image not in statements.images:
        return "\n".join([*about, *comment(_OTHER_SERVER), *_rights(profile, holders)]), False
    about += comment(statements.fresh)
    # One account for everybody is the application's too: two new ones are to take its place.
    if found.sign.common and len({one.user for one in holders.values()}) == 1:
        holders = {role: Holder(f"rollproof_{role}", {}) for role in holders}
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


def _granted(profile: StoreProfile, holders: Mapping[str, Holder]) -> Grants:
    accounts = {role: Account(user=one.user, password=SecretStr("")) for role, one in holders.items()}
    return descriptor_of(profile).grants(profile.model_copy(update=accounts))


def _rights(profile: StoreProfile, holders: Mapping[str, Holder]) -> list[str]:
    """Return the rights of each account as remarks."""
    granted = _granted(profile, holders)
    return [f"#   {line.removeprefix('# ')}" for line in (*granted.reader, *granted.operator)]


def _lines(found: Found, profile: StoreProfile, holders: Mapping[str, Holder]) -> str:
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
