"""Git's view of the application's working copy and its changes. Reads only; refreshes no index."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from shlex import quote

from pydantic import SecretStr

from rollproof.errors import ActionFailed, Unverifiable, UsageProblem, reason_of, shown
from rollproof.reading import open_regular, read_regular
from rollproof.system.command import Deadline, run_command
from rollproof.system.files import write_whole
from rollproof.system.state import made_state_folder, state_folder

GIT_SECONDS = 60.0
# Caches, packages, settings of a machine.
_LEFT_OUT = (
    *("__pycache__", "*.py[cod]", ".venv", "venv", "node_modules", ".*_cache", ".cache", ".tox"),
    *(".env", ".env.*", ".DS_Store", ".idea", ".vscode", "*.egg-info", "*.log", "*.pid"),
)
_ORDINARY, _UNMERGED, _UNTRACKED = "1", "u", "?"
# Number of fields in a line before the path.
_FIELDS = {_ORDINARY: 8, _UNMERGED: 10, _UNTRACKED: 1}


def command(repository: Path, *arguments: str) -> list[str]:
    """Return the words that run git in `repository`, but no hook of it.

    A hook could deploy in the middle of a rollback, or fail it each time.
    """
    return ["git", "-C", str(repository), "-c", "core.hooksPath=/dev/null", *arguments]


def git(
    repository: Path,
    *arguments: str,
    stdin: Path | None = None,
    stdout: Path | None = None,
    deadline: Deadline | None = None,
) -> str:
    """Run git in `repository` and return its output, or "" when `stdout` takes it.

    It reads `stdin` if given, and its deadline is `GIT_SECONDS` from now unless `deadline` is given.

    Raises:
        ActionFailed: it ended with an exit code other than 0. `Unverifiable`: it did not end in time.
    """
    return run_command(
        command(repository, *arguments),
        what=f"git {arguments[0]} in {repository}",
        deadline=deadline or Deadline(GIT_SECONDS),
        stdin=stdin,
        stdout=stdout,
    ).strip()


def top_of(repository: Path, deadline: Deadline | None = None) -> Path:
    """Return the top of the working copy that `repository` is, or is a part of: a checkout changes all of it.

    `deadline` and errors are those of `git`.
    """
    return repository / git(repository, "rev-parse", "--show-cdup", deadline=deadline)


def head(repository: Path) -> str:
    """Return the full id of the working copy's commit."""
    try:
        return git(repository, "rev-parse", "--verify", "HEAD^{commit}")
    except ActionFailed as error:
        raise UsageProblem(
            what="commit of the working copy",
            expected="a commit",
            observed=error.observed,
            source=str(repository),
            hint="application.repository in the profile must be a git working copy",
        ) from None


def resolve_commit(repository: Path, name: str) -> str:
    """Return the full id of the commit that `name` means: a hash, HEAD, a tag, or a branch as it is now."""
    try:
        full = git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except (ActionFailed, ValueError):  # a name that no program can be given
        full = ""
    if not full:
        raise UsageProblem(
            what=f"commit {shown(name)}",
            expected="one of the repository: a hash, HEAD, a tag or a branch",
            observed="none",
            source=str(repository),
            hint=f"git -C {quote(str(repository))} log --oneline -10",
        )
    return full


def contains(repository: Path, commit: str, other: str) -> bool:
    """Return whether `commit` is the commit `other` or has it in its history; both are full ids."""
    try:
        # `rev-list other ^commit` is empty exactly when `commit` has `other` in its history.
        return not git(repository, "rev-list", "--max-count=1", other, f"^{commit}", "--")
    except ActionFailed as error:
        raise Unverifiable(
            what=f"history of commit {commit[:12]}",
            expected=f"a repository that can tell whether {other[:12]} is in it",
            observed=error.observed,
            source=str(repository),
            hint="fetch both commits into that repository",
        ) from None


@dataclass(frozen=True, slots=True)
class WorkingCopy:
    """The working copy's differences from the commit `head`; names of files are below `top`.

    `changed` are tracked files and submodules, `untracked` files that git neither tracks nor ignores.
    """

    repository: Path
    top: Path
    head: str
    changed: tuple[str, ...]
    untracked: tuple[str, ...]

    @property
    def differences(self) -> tuple[str, ...]:
        """All differences in words, the gravest first."""
        return (*self.of_tracked, *(f"untracked {name}" for name in self.untracked))

    @property
    def of_tracked(self) -> tuple[str, ...]:
        """The differences other than untracked files, in words."""
        return tuple(f"changed {name}" for name in self.changed)


def read_working_copy(repository: Path) -> WorkingCopy:
    """Return the state of the working copy in `repository`."""
    commit = head(repository)
    top = top_of(repository)
    status = git(
        repository,
        "--no-optional-locks",
        # Both sides of a renamed file are listed, each as a file.
        *("status", "--porcelain=v2", "-z", "--no-renames"),
        *("--untracked-files=all", "--ignore-submodules=none"),
    )
    lines = list(_lines(status))
    return WorkingCopy(
        repository=repository,
        top=top,
        head=commit,
        changed=tuple(name for kind, name in lines if kind != _UNTRACKED),
        untracked=tuple(name for kind, name in lines if kind == _UNTRACKED),
    )


def _lines(status: str) -> Iterator[tuple[str, str]]:
    """Yield kind and path of each entry that git lists."""
    for entry in filter(None, status.split("\0")):
        kind, *fields = entry.split(" ", _FIELDS[entry[0]])
        yield kind, fields[-1]


def unknown_to_git(repository: Path, place: Path) -> tuple[str, ...]:
    """Return what is at `place` or below it and git does not track, ignored or not, by its path.

    What tools and people leave in a repository is left out, such as caches. A folder without anything tracked
    is one name, with a slash at its end. `place` may be absent.
    """
    listing = ("ls-files", "--others", "--directory", "-z", "--", str(place))
    return tuple(
        name
        for name in git(repository, *listing).split("\0")
        if name
        and not any(fnmatchcase(part, left) for part in PurePosixPath(name).parts for left in _LEFT_OUT)
    )


@contextmanager
def checked_out(repository: Path, commit: str) -> Iterator[Path]:
    """Give a folder with the files of `commit`; neither the working copy nor the repository is changed.

    A submodule is an empty folder there.
    """
    top = top_of(repository)
    with tempfile.TemporaryDirectory(prefix="rollproof-") as folder:
        # Without symbolic links: compose and links in the tree name the real path.
        index, tree = Path(folder).resolve() / "index", Path(folder).resolve() / "tree"
        tree.mkdir()
        for arguments in (("read-tree", commit), ("checkout-index", "--all", "--quiet", f"--prefix={tree}/")):
            run_command(
                command(top, *arguments),
                what=f"git {arguments[0]} of {commit[:12]} into a folder of its own",
                deadline=Deadline(GIT_SECONDS),
                environment={"GIT_INDEX_FILE": SecretStr(str(index))},
            )
        yield tree


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


def changed_names(
    repository: Path, migration: str, patterns: tuple[str, ...], before: str = "HEAD"
) -> Iterator[tuple[str, str]]:
    """Yield status (A, M, D or T) and path of each file that differs between `before` and `migration`."""
    options = ("--no-ext-diff", "--no-renames", "--relative", "--name-status", "-z")
    listed = git(repository, "diff", *options, before, migration, "--")
    fields = [field for field in listed.split("\0") if field]
    for status, name in zip(fields[::2], fields[1::2], strict=True):
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            yield status, name


def content_at(repository: Path, commit: str, name: str) -> bytes:
    """Return the bytes of a file in `commit`."""
    with tempfile.TemporaryDirectory(prefix="rollproof-") as folder:
        copy = Path(folder) / "file"
        git(repository, "cat-file", "blob", f"{commit}:./{name}", stdout=copy)
        return read_regular(copy)


# A commit is 40 or 64 characters long; this much of any other content is shown.
_READ_BYTES = 400
# The runbook's own name of it.
_FILE = "pre_migration_commit.txt"


@dataclass(frozen=True, slots=True)
class SavedCommit:
    """The text in the saved commit's file, or None without a file, and the working copy's commit."""

    file: Path
    text: str | None
    head: str

    @property
    def observed(self) -> str:
        """The file's content, in words."""
        if self.text is None:
            return "no such file"
        lines = self.text.splitlines()
        return lines[0] if len(lines) == 1 and lines[0].isalnum() else repr(self.text[:80])


def file_of(named: Path | None, target: str) -> Path:
    """Return the file of the saved commit of `target`: the one that its profile has `named`, if any."""
    return named or state_folder(target) / _FILE


def save_commit(named: Path | None, target: str, repository: Path) -> tuple[str, Path]:
    """Write the commit of the working copy in `repository` into the file of `target`; return both."""
    commit = head(repository)
    file = file_of(named, target)
    if named is None:
        made_state_folder(target)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # As a shell would have left it: whoever is on call may read it.
        write_whole(file, f"{commit}\n".encode(), mode=0o644)
    except OSError as error:
        raise ActionFailed(
            what="saved commit",
            expected=f"written: {commit}",
            observed=reason_of(error),
            source=str(file),
            hint="correct its permissions, or name another file: premigration.state.commit_file",
        ) from None
    return commit, file


def read_saved_commit(file: Path, repository: Path) -> SavedCommit:
    """Return the commit saved in `file`, and the working copy's commit in `repository`."""
    commit = head(repository)
    try:
        with open_regular(file) as stream:
            text = stream.read(_READ_BYTES).decode("utf-8", "backslashreplace")
    except FileNotFoundError:
        return SavedCommit(file, None, commit)
    except OSError as error:
        raise Unverifiable(
            what="saved commit",
            expected=f"a file that holds {commit}",
            observed=reason_of(error),
            source=str(file),
            hint="see who owns it: whoever checks must be able to read what was saved",
        ) from None
    return SavedCommit(file, text, commit)
