"""Commits of the application's repository: named, found, checked out. The name never meets a shell."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fixtures.errors import ActionFailed, UsageProblem
from fixtures.git import git, head

_HASH = re.compile(r"[0-9a-fA-F]{7,64}")


def resolve_commit(repository: Path, name: str) -> str:
    """Return the full id of the commit whose hash starts with `name`.

    Raises:
        UsageProblem: `name` is no hash of 7 to 64 hexadecimal digits, or of no single commit there.
    """
    if not _HASH.fullmatch(name):
        raise UsageProblem(
            what="commit",
            expected="a hash of 7 to 64 hexadecimal digits",
            observed=repr(name[:80]),
            source="the command line",
            hint=f"git -C {repository} log --oneline -10",
        )
    try:
        full = git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except ActionFailed:
        full = ""
    # A branch or tag may be spelled like a hash, and git would take it first.
    if not full.startswith(name.lower()):
        raise UsageProblem(
            what=f"commit {name}",
            expected="one commit of the repository",
            observed="none, more than one, or a name that is spelled like one",
            source=str(repository),
            hint=f"git -C {repository} log --oneline -10",
        )
    return full


def check_out(repository: Path, commit: str, kept: Path) -> str:
    """Put the working copy on `commit`; return what was done about changes that were not committed.

    Changes to tracked files are first kept as a patch in `kept`, and untracked files that the commit holds
    are moved there; other untracked files are left where they are.
    """
    kept.mkdir(parents=True, exist_ok=True)
    patch = _unused(kept, "working-copy", ".patch")
    # As git itself would apply it, whatever diff tools the user has configured.
    plain = ("--no-ext-diff", "--no-textconv", "--no-color")
    git(repository, "diff", "--binary", *plain, "HEAD", stdout=patch)
    notes = []
    if patch.stat().st_size:
        notes.append(f"uncommitted changes kept in {patch}")
    else:
        patch.unlink()
    moved = _move_aside(repository, commit, _unused(kept, "untracked", ""))
    if moved:
        notes.append(f"{moved} untracked files that the commit holds moved to {kept}")
    git(repository, "checkout", "--quiet", "--force", "--detach", commit, "--")
    observed = head(repository)
    if observed != commit:
        raise ActionFailed(
            what="git checkout",
            expected=commit,
            observed=observed,
            source=str(repository),
            hint="look at the working copy: another process may be changing it",
        )
    return "; ".join(notes) or "working copy was clean"


@contextmanager
def files_at(repository: Path, commit: str, files: Sequence[Path]) -> Iterator[tuple[Path, ...]]:
    """Yield `files`, each that `commit` holds as it was there; the working copy is not touched."""
    with tempfile.TemporaryDirectory(prefix="rollproof-") as folder:
        yield tuple(
            _file_at(repository, commit, file, Path(folder) / f"{number}-{file.name}")
            for number, file in enumerate(files)
        )


def _file_at(repository: Path, commit: str, file: Path, copy: Path) -> Path:
    try:
        name = str(file.resolve().relative_to(repository.resolve()))
    except ValueError:
        return file  # it is not of the repository
    if not git(repository, "ls-tree", "--name-only", commit, "--", name):
        return file  # the repository ignores it
    git(repository, "cat-file", "blob", f"{commit}:./{name}", stdout=copy)
    return copy


def _unused(folder: Path, stem: str, suffix: str) -> Path:
    """Return a path that is not there yet: a second run keeps beside what the first has kept."""
    number = 1
    while (path := folder / f"{stem}-{number}{suffix}").exists():
        number += 1
    return path


def _move_aside(repository: Path, commit: str, folder: Path) -> int:
    """Move untracked files that the checkout would overwrite into `folder`; return how many."""
    untracked = set(git(repository, "ls-files", "--others", "-z").split("\0"))
    held = set(git(repository, "ls-tree", "-r", "-z", "--name-only", commit).split("\0"))
    names = sorted((untracked & held) - {""})
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(repository / name, target)
    return len(names)
