"""The file next to a proposed profile: a shell script that creates the accounts in it. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from pydantic import SecretStr

from rollproof.init.accounts import CANARY, Holder
from rollproof.init.parts import Found
from rollproof.init.profile_text import comment
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.mistakes import UNANSWERED
from rollproof.profile.sections import Account, StoreProfile

_MARK = re.compile(r"\0(\w+)\0")  # stands for the password of a role

_UNKNOWN_YET = f"# NOT READY: where it says {UNANSWERED}, put what you put into the profile.\n"

_THERE = (
    "The project's own secrets name these accounts, so nothing is created. Should one lack a right, or not be"
    " there, run these by hand:"
)

_HEAD = """\
#!/bin/sh
# Accounts for {project}: statements for reader, operator and canary of each store, least rights.
# Passwords are read from the environment; none is in this file. Run it against the running project:
#   sh {file}              every store
#   sh {file} STORE…       some of them
# It may be run again: it sets passwords and rights again, and drops nothing.
set -eu

# A password is put into a statement: letters, digits and _ . ~ - alone cannot end it early.
need() {{
  eval "value=\\${{$1-}}"
  case "$value" in
    '' | *[!A-Za-z0-9_.~-]*)
      echo "\\$$1: expected a password of letters, digits and _ . ~ -, observed none or another" >&2
      echo "HINT: export $1=\\"\\$(openssl rand -hex 24)\\"" >&2
      exit 4
      ;;
  esac
}}

inside() {{
  docker compose --project-name {project} exec -T "$1" sh -c "$2"
}}

for store in "$@"; do
  case " {runnable} " in
    *" $store "*) ;;
    *) echo "store: expected one of {runnable}, observed $store" >&2; exit 4 ;;
  esac
done
wanted() {{
  case " $stores " in *" $1 "*) ;; *) return 1 ;; esac
}}
stores="${{*:-{runnable}}}"
failed=
"""
_STORE = """\
if wanted {name}; then
{needed}
  if {command} <<END_OF_LINES
{lines}
END_OF_LINES
  then echo "{name}: {users}"; else failed="$failed {name}"; fi
fi"""
_TAIL = """\
if [ -n "$failed" ]; then
  echo "accounts: expected every statement to succeed, observed a failure (from$failed)" >&2
  echo "HINT: mend what stands above, then: sh {file}$failed" >&2
  exit 1
fi
"""


def accounts_text(
    project: str,
    file: str,
    stores: Mapping[str, Found],
    profiles: Mapping[str, StoreProfile],
    holders: Mapping[str, Mapping[str, Holder]],
) -> str:
    """Return the script for the accounts of `stores`."""
    made = {name: _store(name, found, profiles[name], holders[name]) for name, found in stores.items()}
    file = shlex.quote(file)
    runnable = " ".join(name for name, (_, runs) in made.items() if runs)
    head = _HEAD.format(project=shlex.quote(project), file=file, runnable=runnable)
    if any(UNANSWERED in one.model_dump_json() for one in profiles.values()):
        head += _UNKNOWN_YET
    if remarks := ", ".join(name for name, (_, runs) in made.items() if not runs):
        head += f"echo 'not run, but remarks in this file, to read: {remarks}' >&2\n"
    return "\n".join([head, *(f"{text}\n" for text, _ in made.values()), _TAIL.format(file=file)])


def _store(name: str, found: Found, profile: StoreProfile, holders: Mapping[str, Holder]) -> tuple[str, bool]:
    """Return the part of a store, and whether the script can run it: else it is a remark."""
    statements = found.sign.statements
    about = [f"# --- {name} ({found.kind}), service {found.clues.service}", *comment(statements.fresh)]
    # One account for everybody is the application's too: two new ones are to take its place.
    if found.sign.common and len({one.user for one in holders.values()}) == 1:
        holders = {role: Holder(f"rollproof_{role}", {}) for role in holders}
    new = {role: one for role, one in holders.items() if one.is_new}
    # Where every account is there already, the statements are a remark.
    lines = _lines(found, profile, new or holders)
    if not lines or not holders:
        return "\n".join(about), False
    if not new:
        about += comment(_THERE)
    variables = {role: one.place.get("env", "") for role, one in new.items()}
    if not statements.client or not new or not all(variables.values()):
        shown = _MARK.sub(lambda mark: f"PASSWORD_OF_{mark[1].upper()}", lines)
        return "\n".join([*about, *(f"#   {line}" for line in shown.split("\n"))]), False
    # In a here-document, only the variables of the passwords are expanded.
    plain = re.sub(r"([\\`$])", r"\\\1", lines)
    body = _STORE.format(
        name=name,
        needed="\n".join(f"  need {variable}" for variable in variables.values()),
        command=shlex.join(["inside", found.clues.service, statements.client]),
        lines=_MARK.sub(lambda mark: f"${{{variables[mark[1]]}}}", plain),
        users=", ".join(sorted(one.user for one in new.values())),
    )
    return "\n".join([*about, body]), True


def _lines(found: Found, profile: StoreProfile, holders: Mapping[str, Holder]) -> str:
    """Return the statements for `holders`, with a mark in the place of each password, or ""."""
    statements = found.sign.statements
    if not statements.account:
        return ""
    accounts = {role: Account(user=one.user, password=SecretStr("")) for role, one in holders.items()}
    granted = descriptor_of(profile).grants(profile.model_copy(update=accounts))
    each = []
    for role, holder in holders.items():
        grants = granted.reader if role == "reader" else granted.operator
        shown = "\n".join(line for line in grants if not line.startswith(("#", "--")))
        if shown:  # else the account is the server's own
            one = statements.account.replace("{user}", holder.user).replace("{grants}", shown)
            each.append(one.replace("{password}", f"\0{role}\0"))
    lines = "\n".join(filter(None, (statements.head, *each, statements.tail)))
    port = str(profile.address.port if profile.address else "")
    return lines.replace("{port}", port).replace("{password of canary}", f"\0{CANARY}\0")
