"""The files of a migration that change data, read from commits, not from the working copy."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from rollproof.git.repository import git
from rollproof.reading import read_regular


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
