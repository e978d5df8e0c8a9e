"""Where this suite lies, and what a person types to use it: the one place that knows a checkout from a wheel.

A checkout has the rooms at its top. A wheel has them as they are in one folder, `rollproof/suite`. So no name
of theirs (`checks`, `reports`) is a top-level one in somebody's environment.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from shlex import quote
from typing import Any

from rollproof import SUITE
from rollproof.errors import UsageProblem

HOME = SUITE
"""The folder with the rooms, `conftest.py` and `pyproject.toml`: the root of every run of the checks."""
INSTALLED = HOME.name == "suite" and HOME.parent.name == "rollproof"
"""Whether it was installed from a wheel: nothing is written there, and there are no scripts and tests."""
COMMAND = "rollproof"
_TARGET = "--target"
# The profile of a run of checks, once it is known; else it is the command line's.
_named: list[str] = []
_WITHOUT_TARGET = frozenset({"init", "verify-bundle"})


def typed(command: str) -> str:
    """Return `command`, such as ``capture``, as a person types it: ``rollproof capture --target=/shop.toml``.

    Where this command line names a profile, the text names it too: in the environment there may be none, or
    another one.
    """
    needs_none = command.partition(" ")[0] in _WITHOUT_TARGET or command.endswith(" --help")
    named = "" if needs_none or f" {_TARGET}" in command else named_target()
    return f"{COMMAND} {command}" + (named and f" {_TARGET}={quote(str(Path(named).absolute()))}")


def name_target(profile: str) -> None:
    """Let hints name that profile; "" is none, so that they are for the environment's."""
    _named[:] = [profile]


def named_target() -> str:
    """Return the path of the profile that this process was given, or that its command line names, or ""."""
    if _named:
        return _named[0]
    last = ""
    for word, following in pairwise((*sys.argv, "")):
        if word == _TARGET:
            last = following
        elif word.startswith(f"{_TARGET}="):
            last = word.partition("=")[2]
    return last


def install_hint() -> str:
    """Return what to do without a package that an extra brings: a driver, or the library of pictures."""
    if INSTALLED:
        wheel = f"./rollproof-{version()}-py3-none-any.whl[{','.join(_project()['optional-dependencies'])}]"
        return f"install its wheel again, with all extras: uv tool install --force '{wheel}'"
    words = f"--python={quote(sys.executable)} --requirement={quote(str(HOME / 'operators.lock'))}"
    return f"install all that operators.lock names: uv pip install {words}"


def no_target() -> UsageProblem:
    """Return the error for a command, or a run of checks, that names no target."""
    return UsageProblem(
        what="target",
        expected="the path of a profile in --target or ROLLPROOF_TARGET",
        observed="none",
        source="the command line and the environment",
        hint=f"name it; where there is none yet, this writes one: {typed('init --project NAME')}",
    )


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
