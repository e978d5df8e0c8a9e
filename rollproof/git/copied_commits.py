"""Commits that recur under another id: picked, rebased, or squashed into one. Reads only.

Two commits are one change when `git patch-id --stable` says so: they change the same lines. Their place in
the file, spaces, message and history may differ. A copy with a resolved conflict changes other lines.

Git keeps some facts when it picks, rebases or amends a commit. By these such a copy is recognized: author,
subject, and the second of writing. It is also recognized by its message, if `git cherry-pick -x` has named
the original there. A squash of some of the commits, or with a resolved conflict, is not recognized without
that line: it keeps no fact of the originals.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rollproof.errors import ActionFailed, Unverifiable
from rollproof.git.repository import GIT_SECONDS, git
from rollproof.system.command import Deadline

# Maximum number of commits compared on each side; with more files than the second, a history is not narrowed.
MOST_COMMITS, MOST_FILES = 2000, 1000
_DIFF = ("-r", "--root", "--no-renames", "--no-relative")
_PATCH = ("-p", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color")


# The line that `git cherry-pick -x` writes.
_PICKED = re.compile(r"^\(cherry picked from commit ([0-9a-f]{40,64})\)\s*$", re.MULTILINE)
# No field can contain NUL.
_SIGNATURE = "%x00%H%x00%an%x00%ae%x00%aI%x00%s%x00%B%x00"
_FIELDS = 6
_SAME_LINES = "it changes the same lines"


@dataclass(frozen=True, slots=True)
class Copy:
    """`original` recurs as `copy`; for several commits that are one change, each names the last.

    `known_by` gives the evidence for a person.
    """

    original: str
    copy: str
    known_by: str = _SAME_LINES


@dataclass(frozen=True, slots=True)
class _Signed:
    """The facts that a picked commit keeps; `picked` are the originals that its message names."""

    commit: str = field(compare=False)
    name: str
    email: str
    written: str
    subject: str
    picked: tuple[str, ...] = field(compare=False)


def copy_of(repository: Path, original: str, before: str, candidate: str) -> Copy | None:
    """Return a change of `original` that `candidate` repeats in another commit, or None.

    All arguments are full ids. Only commits after `before` are compared, without those that both histories
    have. Each commit of `original` is compared with each of `candidate`; on either side, all of them as one
    also count. A commit that changes nothing is no copy.

    Raises:
        Unverifiable: the repository cannot tell, or not in time, or the commits are too many.
    """
    found = _Comparison(repository, Deadline(GIT_SECONDS))
    try:
        return found.by_lines(original, before, candidate) or found.by_signature(original, before, candidate)
    except ActionFailed as error:
        raise Unverifiable(
            what=f"changes of commit {candidate[:12]}",
            expected=f"a repository that can tell whether those of {original[:12]} are among them",
            observed=error.observed,
            source=str(repository),
            hint="fetch both commits into that repository, whole",
        ) from None


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The questions to git, all within one deadline."""

    repository: Path
    deadline: Deadline

    def by_lines(self, original: str, before: str, candidate: str) -> Copy | None:
        """Return a commit of `candidate`, or all of them as one, with the same lines as one of `original`."""
        ours = self.commits(original, (before, candidate))
        theirs = self.commits(candidate, (before, original), self.files(ours)) if ours else []
        if not theirs:
            return None
        common = self.common(original, candidate)
        bases = (*self.common(before, original), *common)
        originals = self.changes(ours) | self.whole(original, bases)
        bases = (*self.common(before, candidate), *common)
        copies = self.changes(theirs) | self.whole(candidate, bases)
        same = next((change for change in copies if change in originals), None)
        return None if same is None else Copy(originals[same], copies[same])

    def by_signature(self, original: str, before: str, candidate: str) -> Copy | None:
        """Return a commit of `candidate` that itself names its original in `original`, even if edited.

        Histories are not narrowed by files: a copy may have followed a file that was moved.
        """
        ours = {one: one.commit for one in self.signed(original, (before, candidate))}
        ids = set(ours.values())
        for one in self.signed(candidate, (before, original), "--no-merges") if ours else []:
            named = next((commit for commit in one.picked if commit in ids), None)
            if named is None and one not in ours:
                continue
            if not self.files([one.commit]):
                continue
            if named is not None:
                return Copy(named, one.commit, "its message says that it was picked from it")
            same = f"same author, same subject, written in the same second, {one.written}"
            return Copy(ours[one], one.commit, same)
        return None

    def signed(self, commit: str, without: Sequence[str], *options: str) -> Iterator[_Signed]:
        """Yield signatures of the commits in the history of `commit`, without the histories of `without`."""
        excluded = [f"^{other}" for other in without]
        wanted = ("rev-list", *options, "--encoding=UTF-8", f"--format={_SIGNATURE}", commit, *excluded, "--")
        # A header stands before the first NUL, and between two commits.
        parts = self._git(*wanted).split("\0")[1:]
        for start in range(0, len(parts) - _FIELDS, _FIELDS + 1):
            found, name, email, written, subject, body = parts[start : start + _FIELDS]
            yield _Signed(found, name, email, written, subject, tuple(_PICKED.findall(body)))

    def commits(self, commit: str, without: Sequence[str], files: Sequence[str] = ()) -> list[str]:
        """Return the commits in the history of `commit`, without merges and the histories of `without`.

        If `files` are named, only commits that change one of them.
        """
        found = self._git(
            *("rev-list", "--no-merges", f"--max-count={MOST_COMMITS + 1}", commit),
            *(f"^{other}" for other in without),
            *("--", *(f":(top,literal){name}" for name in files)),
        ).split()
        if len(found) > MOST_COMMITS:
            raise Unverifiable(
                what=f"changes of commit {commit[:12]}",
                expected=f"at most {MOST_COMMITS} commits since {without[0][:12]} to compare",
                observed="more",
                source=str(self.repository),
                hint="compare them yourself (git cherry), and waive the item of the gate that asks for it",
            )
        return found

    def common(self, one: str, other: str) -> tuple[str, ...]:
        """Return the newest commit that both histories have, or () if they have none."""
        try:
            return (self._git("merge-base", one, other),)
        except ActionFailed:
            return ()  # both commits exist, so they have nothing in common

    def files(self, commits: Sequence[str]) -> list[str]:
        """Return the files that `commits` change, or [] when they are too many to narrow a history."""
        # Each commit's id comes first, then its files.
        listed = self._of_each(commits, "--name-only", "-z").split("\0")
        names = sorted({name for name in listed if name}.difference(commits))
        return names if len(names) <= MOST_FILES else []

    def changes(self, commits: Sequence[str]) -> dict[str, str]:
        """Return `commits` by the ids of their changes; a commit that changes nothing is left out."""
        with _folder() as folder:
            patches = folder / "patches"
            self._of_each(commits, *_PATCH, stdout=patches)
            return self._ids(patches)

    def whole(self, commit: str, bases: Sequence[str]) -> dict[str, str]:
        """Return `commit` by the id of all its changes as one, for each of `bases`."""
        found: dict[str, str] = {}
        for base in dict.fromkeys(bases):
            with _folder() as folder:
                patches = folder / "patches"
                self._git("diff-tree", *_DIFF, *_PATCH, base, commit, stdout=patches)
                found |= dict.fromkeys(self._ids(patches), commit)
        return found

    def _of_each(self, commits: Sequence[str], *options: str, stdout: Path | None = None) -> str:
        """Return git's difference between each of `commits` and its parent."""
        with _folder() as folder:
            asked = folder / "commits"
            asked.write_text("".join(f"{commit}\n" for commit in commits), encoding="ascii")
            return self._git("diff-tree", "--stdin", *_DIFF, *options, stdin=asked, stdout=stdout)

    def _ids(self, patches: Path) -> dict[str, str]:
        """Return the commits of `patches`, by patch id."""
        words = self._git("patch-id", "--stable", stdin=patches).split()
        return dict(zip(words[::2], words[1::2], strict=True))

    def _git(self, *arguments: str, stdin: Path | None = None, stdout: Path | None = None) -> str:
        return git(self.repository, *arguments, stdin=stdin, stdout=stdout, deadline=self.deadline)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rollproof-") as folder:
        yield Path(folder)
