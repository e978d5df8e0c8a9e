"""Commits copied under another id, by cherry-pick or rebase, recognised by their patch ids.

Copies with resolved conflicts, and squashes, are not recognised.
"""

from __future__ import annotations

from pathlib import Path

from rollproof.errors import ActionFailed, Unverifiable
from rollproof.git.repository import git


def copied(repository: Path, original: str, before: str, candidate: str) -> str:
    """Return the newest commit of `original`'s history that `candidate`'s repeats under another id, or "".

    All arguments are full ids. Commits in the history of `before`, or in both histories, are not compared.
    """
    options = ("--cherry-mark", "--no-merges", "--full-history", "--left-only")
    try:
        # The path ":/" leaves out commits that change nothing: their patches would all be equal.
        found = git(repository, "rev-list", *options, f"{original}...{candidate}", f"^{before}", "--", ":/")
    except ActionFailed as error:
        raise Unverifiable(
            what=f"changes of commit {candidate[:12]}",
            expected=f"a repository that can compare them with those of {original[:12]}",
            observed=error.observed,
            source=str(repository),
            hint="fetch both commits with their histories into that repository",
        ) from None
    return next((line[1:] for line in found.splitlines() if line.startswith("=")), "")
