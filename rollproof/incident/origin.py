"""The origin of a rollback: the commits that were deployed when it began."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from rollproof.system.record_files import Must

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def is_commit_id(text: str) -> bool:
    """Return whether `text` is the full id of a commit, as git writes it."""
    return _COMMIT.fullmatch(text) is not None


CommitId = Annotated[str, Must("the full id of a commit", is_commit_id)]


@dataclass(frozen=True, slots=True)
class Origin:
    """The commit of the working copy, `head`, and those that the application's containers were labelled with.

    All are full ids. A label that is none names no commit, and is not among `revisions`.
    """

    head: CommitId
    revisions: tuple[CommitId, ...] = ()

    @property
    def commits(self) -> tuple[str, ...]:
        """All commits, each once."""
        return tuple(dict.fromkeys((self.head, *self.revisions)))
