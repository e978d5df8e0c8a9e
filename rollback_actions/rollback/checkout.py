"""Commits of the application's repository, checked out."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rollproof.errors import ActionFailed, reason_of
from rollproof.git.repository import GIT_SECONDS, git, head, top_of
from rollproof.reading import open_regular
from rollproof.record_names import UNTRACKED, WORKING_COPY
from rollproof.system.command import Deadline
from rollproof.system.files import sync_folder, sync_tree

_BLOCK = 1024 * 1024
# The git of a killed rollback keeps working for a moment.
_UNLOCKED_SECONDS, _POLL_SECONDS = 10.0, 0.1
_MOST_ARGUMENTS = 200


def check_out(repository: Path, commit: str, kept: Path, *, seconds: float = GIT_SECONDS) -> str:
    """Put the working copy on `commit` within `seconds`; return, in words, where uncommitted changes went.

    First, changes to tracked files are kept as a patch in `kept`. Untracked files that stand where the
    commit has a file or a folder are moved there. Other untracked files stay.
    """
    limit = Deadline(seconds)
    _require_unlocked(repository, limit)
    kept.mkdir(parents=True, exist_ok=True)
    top = top_of(repository, limit)
    unhidden = _unhide(top, kept, limit)
    patch = _unused(kept, WORKING_COPY, ".patch")
    # As git itself would apply it, whatever diff tools the user has configured.
    plain = ("--no-ext-diff", "--no-textconv", "--no-color")
    # At the top: within a part, the user's settings may show that part alone.
    git(top, "diff", "--binary", *plain, "HEAD", stdout=patch, deadline=limit)
    notes = [f"changes of {unhidden} files that git was told not to see are seen again"] if unhidden else []
    if patch.stat().st_size:
        notes.append(f"uncommitted changes kept in {patch}")
    else:
        patch.unlink()
    moved = _move_aside(repository, top, commit, kept, limit)
    if moved:
        notes.append(f"{moved} untracked files in the way of the commit moved to {kept}")
    # The patch lacks changes within submodules: they stay, where the user's settings would discard them.
    forced = ("--quiet", "--force", "--no-recurse-submodules", "--detach")
    git(repository, "checkout", *forced, commit, "--", deadline=limit)
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


def _unhide(top: Path, kept: Path, limit: Deadline) -> int:
    """Let git see the files whose changes it was told to ignore; return their number.

    Otherwise git would not keep those changes, and would refuse the checkout over them. Hidden files that
    do not exist stay hidden: they are left out of a sparse working copy.
    """
    listed = (name.split(" ", 1) for name in _names(top, kept, limit, "ls-files", "-v", "-z"))
    hidden = [name for tag, name in listed if (tag.islower() or tag == "S") and os.path.lexists(top / name)]
    for begin in range(0, len(hidden), _MOST_ARGUMENTS):
        some = hidden[begin : begin + _MOST_ARGUMENTS]
        # Two commands: given both options, git obeys only the last.
        for seen in ("--no-assume-unchanged", "--no-skip-worktree"):
            git(top, "update-index", seen, "--", *some, deadline=limit)
    return len(hidden)


def _require_unlocked(repository: Path, limit: Deadline) -> None:
    """Wait until no other git writes to the working copy's index."""
    lock = repository / git(repository, "rev-parse", "--git-path", "index.lock", deadline=limit)
    end = Deadline(min(_UNLOCKED_SECONDS, limit.remaining))
    while lock.exists():
        if end.passed:
            raise ActionFailed(
                what="index of the working copy",
                expected="unlocked",
                observed=f"locked for longer than {end.seconds:g} s",
                source=str(lock),
                hint=f"if no git runs there any more, one was cut off: rm {shlex.quote(str(lock))}",
            )
        time.sleep(_POLL_SECONDS)


def _unused(folder: Path, stem: str, suffix: str) -> Path:
    """Return an unused path: a second run keeps its files next to the first run's."""
    number = 1
    while (path := folder / f"{stem}-{number}{suffix}").exists():
        number += 1
    return path


def _move_aside(repository: Path, top: Path, commit: str, kept: Path, limit: Deadline) -> int:
    """Move untracked files that the checkout would overwrite or remove into `kept`; return their number."""
    held = set(_names(top, kept, limit, "ls-tree", "-r", "-z", "--full-tree", "--name-only", commit))
    above = {parent for name in held for parent in _parents(name)}
    in_the_way = set()
    count = 0
    for name in _names(top, kept, limit, "ls-files", "--others", "-z"):
        # Where the commit has a file, git removes a whole folder, and the other way about.
        over = next((parent for parent in _parents(name) if parent in held), None)
        if over is not None or name in held or name in above:
            in_the_way.add(over or name)
            count += 1
    folder = _unused(kept, UNTRACKED, "")
    try:
        for name in sorted(in_the_way):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(top / name, target)
        if in_the_way:
            with suppress(PermissionError):  # a file that we may not read
                sync_tree(folder)
            sync_folder(kept)
    except OSError as error:
        raise ActionFailed(
            what="untracked files that the commit would overwrite",
            expected=f"moved to {folder}",
            observed=reason_of(error),
            source=str(repository),
            hint="make room there, or correct the permissions; nothing was checked out yet",
        ) from None
    return count


def _names(top: Path, kept: Path, limit: Deadline, *arguments: str) -> Iterator[str]:
    """Yield the names that git lists, as the file system has them, whatever their bytes and number."""
    with tempfile.TemporaryDirectory(dir=kept) as folder:
        names = Path(folder) / "names"
        git(top, *arguments, stdout=names, deadline=limit)
        rest = b""
        with open_regular(names) as file:
            while block := file.read(_BLOCK):
                *whole, rest = (rest + block).split(b"\0")
                # A repository within this one is listed as a folder, with a slash at its end.
                yield from (os.fsdecode(name.rstrip(b"/")) for name in whole)


def _parents(name: str) -> Iterator[str]:
    """Yield the folders that `name` is in, the outermost first."""
    parts = name.split("/")
    return ("/".join(parts[:number]) for number in range(1, len(parts)))
