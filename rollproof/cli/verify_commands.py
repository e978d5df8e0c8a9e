"""The command `verify`, which is pytest from any folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from rollproof.errors import UsageProblem
from rollproof.home import HOME, INSTALLED, named_target, typed

EXAMPLES = {
    "verify": (
        "verify --target prod.toml",
        "verify phase1 --target prod.toml",
        "verify phase1 -n 2 --target prod.toml --junitxml out.xml",
        "verify premigration --migration HEAD --target prod.toml",
    ),
}
# pytest takes a loose word for a path, in which it looks for its root, until it knows the option before it.
_WITH_A_WORD = frozenset({"--target", "--incident", "--baseline", "--migration"})


def verify(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PHASE]… [PYTEST OPTIONS]…",
            help="verification (the default), phase1 to phase4, severity, premigration, step1 to step5; then "
            "options of pytest, and of the suite: --target, --incident, --baseline, --migration, --no-gate.",
        ),
    ] = None,
) -> None:
    """Verify the target: run the checks of the phases, in order, with pytest's options and exit codes.

    The profile is the one of --target, else of ROLLPROOF_TARGET. All options: verify -- --help.
    """
    command = [sys.executable, "-P", "-m", "pytest", *pytest_words(words or [])]
    # The suite's own modules come first, whatever else is installed.
    paths = os.pathsep.join(filter(None, (str(HOME), os.environ.get("PYTHONPATH"))))
    sys.stdout.flush()
    # pytest takes the place of this process.
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": paths})  # noqa: S606


def pytest_words(words: Sequence[str]) -> list[str]:
    """Return pytest's arguments for `words`, as they are typed after `verify`.

    Raises:
        UsageProblem: a word is neither a phase nor a path.
    """
    rest = list(words)
    every, phases = _every(), []
    while rest and not rest[0].startswith("-") and (rest[0] in every or not _is_path(rest[0])):
        phases.append(_phase(rest.pop(0), every))
    rest = _joined(rest)
    marked = any(word == "-m" or (word.startswith("-m") and not word.startswith("--")) for word in rest)
    markers = " or ".join(phases) or ("" if marked else "verification")
    return [
        f"--rootdir={HOME}",
        f"--config-file={HOME / 'pyproject.toml'}",
        *("-p", "rollproof.plugin"),
        *(("-p", "no:cacheprovider") if INSTALLED else ()),
        *(("-m", markers) if markers else ()),
        *rest,
    ]


def _every() -> tuple[str, ...]:
    """Return all that can be verified, by its marker."""
    from rollproof.runbook import STAGES

    return ("verification", "premigration", *STAGES)


def _is_path(word: str) -> bool:
    return Path(word.partition("::")[0]).exists()


def _phase(word: str, every: Sequence[str]) -> str:
    if word in every:
        return word
    near = get_close_matches(word, every, n=1)
    target = "" if named_target() or os.environ.get("ROLLPROOF_TARGET") else " --target PROFILE"
    raise UsageProblem(
        what="verify",
        expected=f"one of {', '.join(every)}, a path, or an option",
        observed=repr(word),
        source="the command line",
        hint=typed(f"verify {near[0] if near else 'phase1'}{target}"),
    )


def _joined(words: Sequence[str]) -> list[str]:
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in _WITH_A_WORD:
            joined[-1] = f"{joined[-1]}={word}"
        else:
            joined.append(word)
    return joined
