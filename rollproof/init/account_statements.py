"""The file beside a proposed profile: a shell script that creates the accounts that it names. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping

from rollproof.init.parts import Found
from rollproof.init.profile_text import comment
from rollproof.init.proposal import is_new
from rollproof.profile.mistakes import UNANSWERED
from rollproof.profile.sections import StoreProfile
from rollproof.stores.recognising import Creation, Holder

_MARK = re.compile(r"\0(\w+)\0")

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
# It may be run again: it sets passwords and rights anew, and drops nothing.
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


def accounts_text(
    project: str,
    file: str,
    stores: Mapping[str, Found],
    profiles: Mapping[str, StoreProfile],
    holders: Mapping[str, Mapping[str, Holder]],
) -> str:
    """Return the script for the accounts of `stores`."""
    lines = [_HEAD.format(project=shlex.quote(project), file=shlex.quote(file))]
    runnable = []
    for name, found in stores.items():
        own = {role: one for role, one in holders[name].items() if is_new(one)}
        # Where every account is there already, the statements remain as a remark.
        creation = found.recognition.create(profiles[name], own or holders[name])
        text, runs = _store(name, found, creation, own)
        runnable += [name] if runs else []
        lines += ["", *text]
    names = " ".join(shlex.quote(name) for name in runnable)
    remarks = [name for name in stores if name not in runnable]
    if any(UNANSWERED in one.model_dump_json() for one in profiles.values()):
        lines.insert(1, _UNKNOWN_YET)
    lines += [
        "",
        "if [ $# -eq 0 ]; then",
        f"  set -- {names}",
        *([f"  echo {shlex.quote(_NOT_RUN + ', '.join(remarks))} >&2"] if remarks else []),
        "fi",
        "failed=",
        'for store in "$@"; do',
        '  case "$store" in',
        *(f'    {shlex.quote(name)}) {_function(name)} || failed="$failed {name}" ;;' for name in runnable),
        *(f"    {shlex.quote(name)}) echo {shlex.quote(_NOT_RUN + name)} >&2; exit 4 ;;" for name in remarks),
        f'    *) echo "store: expected one of {" ".join(stores)}, observed $store" >&2',
        "       exit 4 ;;",
        "  esac",
        "done",
        'if [ -n "$failed" ]; then',
        '  echo "accounts: expected every statement to succeed, observed a failure (from$failed)" >&2',
        f'  echo "HINT: mend what stands above, then: sh {shlex.quote(file)}$failed" >&2',
        "  exit 1",
        "fi",
    ]
    return "\n".join(lines) + "\n"


def _function(name: str) -> str:
    return f"create_{re.sub('[^A-Za-z0-9_]', '_', name)}"


def _store(name: str, found: Found, creation: Creation, own: Mapping[str, Holder]) -> tuple[list[str], bool]:
    about = [
        f"# --- {name} ({found.kind}), service {found.clues.service}",
        *comment(creation.fresh),
    ]
    if not creation.lines:
        return about, False
    if not own:
        about += comment(_THERE)
    variables = {role: one.place.get("env", "") for role, one in own.items()}
    if creation.client and own and all(variables.values()):
        needed = [f"  need {variable}" for variable in variables.values()]
        body = [
            f"{_function(name)}() {{",
            *needed,
            f"  {shlex.join(['inside', found.clues.service, creation.client])} <<END_OF_LINES || return 1",
            *_expanded(creation.lines, variables),
            "END_OF_LINES",
            f'  echo "{name}: {", ".join(sorted(one.user for one in own.values()))}"',
            "}",
        ]
        return [*about, *body], True
    shown = "\n".join(
        _MARK.sub(lambda found: f"PASSWORD_OF_{found[1].upper()}", one) for one in creation.lines
    )
    return [*about, *(f"#   {line}" for line in shown.split("\n"))], False


def _expanded(lines: Iterable[str], variables: Mapping[str, str]) -> Iterator[str]:
    """Yield statements as a here-document has them: only the variables of the passwords are expanded."""
    for line in lines:
        plain = re.sub(r"([\\`$])", r"\\\1", line)
        yield _MARK.sub(lambda found: f"${{{variables[found[1]]}}}", plain)
