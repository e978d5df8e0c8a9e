"""Commits of the application's repository, checked out; changes that would be lost go to git's stash."""

from __future__ import annotations

import os
from pathlib import Path

from rollproof.git.repository import GIT_SECONDS, git, top_of
from rollproof.system.command import Deadline


def check_out(repository: Path, commit: str, *, seconds: float = GIT_SECONDS) -> str:
    """Put the working copy on `commit` within `seconds`; return, in words, where uncommitted changes went.

    Changes to tracked files are stashed. So are untracked and ignored files that stand where the commit has a
    file; others stay, since services may read them. Submodules stay as they are.
    """
    limit = Deadline(seconds)
    top = top_of(repository, limit)
    kept = [_stash(top, limit, "changes")]
    added = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=A", "HEAD", commit)
    names = git(top, *added, deadline=limit).split("\0")
    in_the_way = [f":(literal){name}" for name in names if name and os.path.lexists(top / name)]
    if in_the_way:
        kept.append(_stash(top, limit, "files in the way", "--all", "--", *in_the_way))
    # What git ignores it would overwrite without a word.
    careful = ("--quiet", "--no-recurse-submodules", "--no-overwrite-ignore", "--detach")
    git(top, "checkout", *careful, commit, "--", deadline=limit)
    return "; ".join(filter(None, kept)) or "working copy was clean"


def _stash(top: Path, limit: Deadline, what: str, *options: str) -> str:
    """Stash changes; return the command that shows them, or "" if there are none."""

    def newest() -> str:
        return git(top, "for-each-ref", "--format=%(objectname)", "refs/stash", deadline=limit)

    before = newest()
    git(top, "stash", "push", "--quiet", f"--message=rollproof: {what}", *options, deadline=limit)
    stash = newest()
    return "" if stash == before else f"{what} kept: git -C {top} stash show -p -u {stash[:12]}"
