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

_UNKNOWN_YET = f"""
# NOT READY: where it says {UNANSWERED}, put what you put into the profile."""

_NOT_RUN = "not run, but remarks in this file, to read: "
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
"""
_TAIL = """
if [ $# -eq 0 ]; then
  set -- {names}{note}
fi
failed=
for store in "$@"; do
  case "$store" in{cases}
    *) echo "store: expected one of {every}, observed $store" >&2
       exit 4 ;;
  esac
done
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
    head = _HEAD.format(project=shlex.quote(project), file=shlex.quote(file))
    if any(UNANSWERED in one.model_dump_json() for one in profiles.values()):
        head += _UNKNOWN_YET
    parts, cases, runnable = [head], "", list[str]()
    for name, found in stores.items():
        text, runs = _store(name, found, profiles[name], holders[name])
        parts.append(text)
        then = f'{_function(name)} || failed="$failed {name}" ;;'
        cases += f"\n    {shlex.quote(name)}) "
        cases += then if runs else f"echo {shlex.quote(_NOT_RUN + name)} >&2; exit 4 ;;"
        runnable += [name] if runs else []
    remarks = ", ".join(name for name in stores if name not in runnable)
    tail = _TAIL.format(
        names=" ".join(shlex.quote(name) for name in runnable),
        note=f"\n  echo {shlex.quote(_NOT_RUN + remarks)} >&2" if remarks else "",
        cases=cases,
        every=" ".join(stores),
        file=shlex.quote(file),
    )
    return "\n\n".join([*parts, tail.removeprefix("\n")])


def _function(name: str) -> str:
    return f"create_{re.sub('[^A-Za-z0-9_]', '_', name)}"


def _store(name: str, found: Found, profile: StoreProfile, holders: Mapping[str, Holder]) -> tuple[str, bool]:
    """Return the part of a store, and whether the script can run it: else it is a remark."""
    about = [f"# --- {name} ({found.kind}), service {found.clues.service}"]
    about += comment(found.sign.statements.fresh)
    # One account for everybody is the application's too: two new ones are to take its place.
    if found.sign.common and len({one.user for one in holders.values()}) == 1:
        holders = {role: Holder(f"rollproof_{role}", {}) for role in holders}
    new = {role: one for role, one in holders.items() if one.is_new}
    # Where every account is there already, the statements are a remark.
    lines = _lines(found, profile, new or holders)
    variables = {role: one.place.get("env", "") for role, one in new.items()}
    if not lines or not holders:
        return "\n".join(about), False
    if not new:
        about += comment(_THERE)
    if found.sign.statements.client and all(variables.values()) and new:
        # In a here-document, only the variables of the passwords are expanded.
        plain = re.sub(r"([\\`$])", r"\\\1", lines)
        command = shlex.join(["inside", found.clues.service, found.sign.statements.client])
        body = [
            f"{_function(name)}() {{",
            *(f"  need {variable}" for variable in variables.values()),
            f"  {command} <<END_OF_LINES || return 1",
            _MARK.sub(lambda mark: f"${{{variables[mark[1]]}}}", plain),
            "END_OF_LINES",
            f'  echo "{name}: {", ".join(sorted(one.user for one in new.values()))}"',
            "}",
        ]
        return "\n".join([*about, *body]), True
    shown = _MARK.sub(lambda mark: f"PASSWORD_OF_{mark[1].upper()}", lines)
    return "\n".join([*about, *(f"#   {line}" for line in shown.split("\n"))]), False


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
