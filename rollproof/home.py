"""Where this suite lies, and what a person types to use it: the one place that knows a checkout from a wheel.

A checkout has the rooms at its top. A wheel has them as they are in one folder, `rollproof/suite`. So no name
of theirs (`checks`, `reports`) is a top-level one in somebody's environment.
"""

from __future__ import annotations

import os
import shlex
import shutil
import string
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from rollproof import SUITE
from rollproof.errors import UsageProblem

HOME = SUITE
"""The folder with the rooms, `conftest.py` and `pyproject.toml`: the root of every run of the checks."""
INSTALLED = HOME.name == "suite" and HOME.parent.name == "rollproof"
"""Whether it was installed from a wheel: nothing is written there, and there are no scripts and tests."""
_TARGET = "--target"
_PLAIN = frozenset(f"{string.ascii_letters}{string.digits}/._-+@:,=")
# The profile of a run of checks, told once it is known; else it is the command line's.
_named: list[str] = []
_WITHOUT_TARGET = frozenset({"init", "verify-bundle", "completion"})


def typed(command: str) -> str:
    """Return `command`, such as ``capture``, as a person types it: ``rollproof capture``.

    Where this command line names a profile, the text names it too: in the environment there may be none, or
    another one.
    """
    return f"{shlex.join(started())} {command}{_target_of(command)}"


@cache
def started() -> tuple[str, ...]:
    """Return the words before a command: ``rollproof``, or its path where a shell does not find this one."""
    beside = Path(sys.executable).with_name("rollproof")
    found = shutil.which("rollproof")
    if not beside.exists() or (found and Path(found).parent.resolve() == beside.parent.resolve()):
        return ("rollproof",)
    return (str(beside),)


def _here() -> Path:
    """Return the working folder; the root if it was removed."""
    try:
        return Path.cwd()
    except OSError:
        return Path("/")


def name_target(profile: str) -> None:
    """Let hints name that profile; "" is none, so that they are for the environment's."""
    _named[:] = [profile]


def named_target() -> str:
    """Return the path of the profile that this process was told of, or that its command line names, or ""."""
    if _named:
        return _named[0]
    last = ""
    for word, following in pairwise((*sys.argv, "")):
        if word == _TARGET:
            last = following
        elif word.startswith(f"{_TARGET}="):
            last = word.partition("=")[2]
    return last


def _target_of(command: str) -> str:
    """Return the option that `command` lacks to be for the named target, or ""."""
    name = command.partition(" ")[0]
    if name in _WITHOUT_TARGET or f" {_TARGET}" in command or command.endswith(" --help"):
        return ""
    if not (named := named_target()):
        return ""
    return f" {_TARGET}={_quoted(os.path.normpath(_here() / named))}"


def _quoted(path: str) -> str:
    """Return `path` as a shell reads it, however a page of text treats its blanks and other characters."""
    if path.isprintable() and "  " not in path:
        return shlex.quote(path)
    told = (chr(byte) if chr(byte) in _PLAIN else f"\\x{byte:02x}" for byte in os.fsencode(path))
    return f"$'{''.join(told)}'"


def install_hint() -> str:
    """Return what to do without a package that an extra brings: a driver, or the library of pictures."""
    if INSTALLED:
        wheel = f"./rollproof-{version()}-py3-none-any.whl[{','.join(_project()['optional-dependencies'])}]"
        return f"install its wheel again, with all extras: uv tool install --force '{wheel}'"
    words = f"--python={_quoted(sys.executable)} --requirement={_quoted(str(HOME / 'operators.lock'))}"
    return f"install all that operators.lock names: uv pip install {words}"


def also_staging(whose: str) -> str:
    """Return the end of a hint, what makes those files of `whose`; "" where there is no staging stack."""
    return "" if INSTALLED else f"; {whose}: ./run up"


def no_target() -> UsageProblem:
    """Return the error for a command, or a run of checks, that names no target."""
    return UsageProblem(
        what="target",
        expected="the path of a profile in --target or ROLLPROOF_TARGET",
        observed="none",
        source="the command line and the environment",
        hint=f"name it; where there is none yet, this writes one: {typed('init --project NAME')}",
    )


def program() -> tuple[str, ...]:
    """Return the words that start this suite's command line from any folder, for a process."""
    return sys.executable, "-P", "-m", "rollproof"


def incidents() -> Path:
    """Return the folder of incidents where no profile names one: the checkout's, else one here."""
    return Path("incidents") if INSTALLED else HOME / "incidents"


def version() -> str:
    """Return the version of this suite."""
    return str(_project()["version"])


def _project() -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - every command starts with this module, and few ask for the project

    settings = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))
    project: dict[str, Any] = settings["project"]
    return project
