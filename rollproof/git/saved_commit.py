"""The commit that the working copy is on before a migration: its file, written and read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import ActionFailed, Unverifiable, reason_of
from rollproof.git.repository import head
from rollproof.reading import open_regular
from rollproof.system.files import write_whole
from rollproof.system.state import made_state_folder, state_folder

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
