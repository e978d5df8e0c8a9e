"""The state that is recorded before a migration: the commit that the working copy is on."""

from __future__ import annotations

from pathlib import Path

from fixtures.errors import ActionFailed, reason_of
from fixtures.git.repository import head
from fixtures.git.saved_commit import file_of
from fixtures.system.files import write_whole
from fixtures.system.state import made_state_folder
from fixtures.target.profile import Target


def save_state(target: Target) -> tuple[str, Path]:
    """Write the working copy's commit into its file; return both.

    Raises:
        UsageProblem: the repository has no commit. `ActionFailed`: the file cannot be written.
    """
    commit = head(target.application.repository)
    named = target.premigration.state.commit_file
    file = file_of(named, target.name)
    if named is None:
        made_state_folder(target.name)
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
