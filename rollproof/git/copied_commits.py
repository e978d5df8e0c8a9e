"""Commits that recur under another id, picked or rebased: git knows them by the lines that they change.

A copy with a resolved conflict changes other lines, and so does a squash of several commits: they are no
copies here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import ActionFailed, Unverifiable
from rollproof.git.repository import git


@dataclass(frozen=True, slots=True)
class Copy:
    """`original` recurs as `copy`; of several, the newest."""

    original: str
    copy: str


def copy_of(repository: Path, original: str, before: str, candidate: str) -> Copy | None:
    """Return a change of `original` that `candidate` repeats in another commit, or None.

    All arguments are full ids. Only commits after `before` are compared, without those that both have.

    Raises:
        Unverifiable: the repository cannot tell, or not in time.
    """
    try:
        originals = _marked(repository, "--left-only", original, before, candidate)
        copies = _marked(repository, "--right-only", original, before, candidate) if originals else []
    except ActionFailed as error:
        raise Unverifiable(
            what=f"changes of commit {candidate[:12]}",
            expected=f"a repository that can tell whether those of {original[:12]} are among them",
            observed=error.observed,
            source=str(repository),
            hint="fetch both commits into that repository, whole",
        ) from None
    return Copy(originals[0], copies[0]) if originals and copies else None


def _marked(repository: Path, side: str, original: str, before: str, candidate: str) -> list[str]:
    """Return the commits of one side that have the same change on the other, newest first."""
    options = ("--cherry-mark", "--no-merges", "--full-history", side)
    # Named by its top, a history has no commits that change nothing: they would all be alike.
    found = git(repository, "rev-list", *options, f"{original}...{candidate}", f"^{before}", "--", ":/")
    return [line[1:] for line in found.splitlines() if line.startswith("=")]
