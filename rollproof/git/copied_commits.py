"""Commits copied under another id, by cherry-pick or rebase, recognised by their patch ids.

Copies with resolved conflicts, and squashes, are not recognised.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import ActionFailed, Unverifiable
from rollproof.git.repository import git


@dataclass(frozen=True, slots=True)
class Copy:
    """The newest repeated commit and the newest copy; with several, they need not be a pair."""

    original: str
    copy: str


def copy_of(repository: Path, original: str, before: str, candidate: str) -> Copy | None:
    """Return a commit of `original`'s history that `candidate`'s repeats under another id, or None.

    All arguments are full ids. Commits in the history of `before`, or in both histories, are not compared.
    """
    try:
        originals = _marked(repository, "--left-only", original, before, candidate)
        copies = _marked(repository, "--right-only", original, before, candidate) if originals else []
    except ActionFailed as error:
        raise Unverifiable(
            what=f"changes of commit {candidate[:12]}",
            expected=f"a repository that can compare them with those of {original[:12]}",
            observed=error.observed,
            source=str(repository),
            hint="fetch both commits with their histories into that repository",
        ) from None
    return Copy(originals[0], copies[0]) if originals and copies else None


def _marked(repository: Path, side: str, original: str, before: str, candidate: str) -> list[str]:
    """Return the commits of one side that have the same change on the other, newest first."""
    options = ("--cherry-mark", "--no-merges", "--full-history", side)
    # The path ":/" leaves out commits that change nothing: their patches would all be equal.
    found = git(repository, "rev-list", *options, f"{original}...{candidate}", f"^{before}", "--", ":/")
    return [line[1:] for line in found.splitlines() if line.startswith("=")]
