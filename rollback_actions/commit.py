"""Commits of the application's repository: named, found, checked out. The name never meets a shell."""

from __future__ import annotations

import re
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
        return git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except ActionFailed:
        raise UsageProblem(
            what=f"commit {name}",
            expected="one commit of the repository",
            observed="none, or more than one",
            source=str(repository),
            hint=f"git -C {repository} log --oneline -10",
        ) from None


def check_out(repository: Path, commit: str, kept: Path) -> str:
    """Put the working copy on `commit`; return what was done about changes that were not committed.

    Changes to tracked files are first kept as a patch in `kept`; untracked files are left where they are.
    """
    patch = kept / "working-copy.patch"
    kept.mkdir(parents=True, exist_ok=True)
    git(repository, "diff", "--binary", "HEAD", stdout=patch)
    note = f"uncommitted changes kept in {patch}"
    if not patch.stat().st_size:
        patch.unlink()
        note = "working copy was clean"
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
    return note
