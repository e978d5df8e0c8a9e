"""The application's git repository: two releases, built from `staging/application`.

Commits have fixed names and dates, so their ids are the same on every machine and change only with the files.
The second release is the first one with new files and a patch, which a reviewer would have seen.
To change the patch: create the repository, check out release-2, edit, and write
`git diff release-1 -- . ':!app/migrations/consolidation.py'` over `release2/changes.patch`.

The stranger's releases are `release1` with the files and the patch of `stranger1`, and that with the patch of
`stranger2`. Those of `notebook` are in its folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import Problem
from staging.processes import finish
from staging.stack.shape import Shape

SOURCE = Path(__file__).parents[1] / "application"
MARKER = "rollproof-staging"
GIT_SECONDS = 30
_HINT = "install git; if the patch does not apply, rewrite staging/application/release2/changes.patch"
_AUTHOR = "Release Manager"
_ADDRESS = "releases@example.org"
_PATCH = "changes.patch"
# The folders that are laid over each other, for each release.
_LAYERS = {
    Shape.USUAL: (("release1",), ("release2",)),
    Shape.STRANGER: (("release1", "stranger1"), ("stranger2",)),
    Shape.NOTEBOOK: (("notebook/release1",), ("notebook/release2",)),
}
_MESSAGES = {
    Shape.USUAL: "Release 2: consolidate records in every store",
    Shape.STRANGER: "Release 2: the language of each user, a least score for sources",
    Shape.NOTEBOOK: "Release 2: short titles, each once in a notebook",
}
_DATES = ("2025-03-03T09:00:00+00:00", "2025-03-17T09:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Releases:
    """The full commit ids of the two releases."""

    release1: str
    release2: str


def create_repository(destination: Path, shape: Shape = Shape.USUAL) -> Releases:
    """Create the repository at `destination`, and leave its work tree at release 1.

    A repository from an earlier call is replaced.

    Raises:
        Problem: `destination` holds something else, or git fails; the message ends with git's error.
    """
    marker = destination / ".git" / MARKER
    if destination.exists() and any(destination.iterdir()) and not marker.exists():
        raise Problem(
            what="application repository",
            expected="a folder that is empty, missing or made by an earlier run",
            observed="files of another origin",
            source=str(destination),
            hint="name another folder, or move these files away",
        )
    shutil.rmtree(destination, ignore_errors=True)
    first, second = _LAYERS[shape.built_as]
    destination.mkdir(parents=True)
    _git(destination, "init", "--quiet", "--initial-branch=main")
    marker.touch()
    _lay_all(first, destination)
    release1 = _commit(destination, "Release 1", _DATES[0])
    _lay_all(second, destination)
    release2 = _commit(destination, _MESSAGES[shape.built_as], _DATES[1])
    _git(destination, "tag", "release-1", release1)
    _git(destination, "tag", "release-2", release2)
    _git(destination, "checkout", "--quiet", "--detach", release1)
    return Releases(release1, release2)


def _lay_all(layers: Sequence[str], destination: Path) -> None:
    """Lay folders over what is there, one after the other, and apply the patch of each that has one."""
    for layer in layers:
        _lay(SOURCE / layer, destination)
        patch = destination / _PATCH
        if patch.exists():
            _git(destination, "apply", "--whitespace=nowarn", patch.name)
            patch.unlink()


def _lay(source: Path, destination: Path) -> None:
    """Copy a tree with git's own permissions: a checkout's umask must not change commit ids."""
    for path in sorted(source.rglob("*")):
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        target = destination / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o644)


def _commit(repository: Path, message: str, date: str) -> str:
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--no-verify", "--message", message, date=date)
    return _git(repository, "rev-parse", "HEAD")


def _git(repository: Path, *arguments: str, date: str = _DATES[0]) -> str:
    """Run git without the user's settings, and return its output."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = inherited | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": _AUTHOR,
        "GIT_AUTHOR_EMAIL": _ADDRESS,
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_NAME": _AUTHOR,
        "GIT_COMMITTER_EMAIL": _ADDRESS,
        "GIT_COMMITTER_DATE": date,
    }
    done = finish(
        ["git", *arguments], seconds=GIT_SECONDS, hint=_HINT, folder=repository, environment=environment
    )
    if done.returncode != 0:
        raise Problem(
            what="application repository",
            expected=f"git {arguments[0]} to succeed",
            observed=f"exit {done.returncode}: {done.stderr.strip()}",
            source=str(repository),
            hint=_HINT,
        )
    return done.stdout.strip()
