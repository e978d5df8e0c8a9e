"""The state that is recorded before a migration: the commit that the working copy is on."""

from __future__ import annotations

from fixtures.errors import ActionFailed, reason_of
from fixtures.git.repository import head
from fixtures.system.files import write_whole
from fixtures.target.profile import Target


def save_state(target: Target) -> str:
    """Write the working copy's commit into the file that the profile names; return the commit.

    Raises:
        UsageProblem: the repository has no commit. `ActionFailed`: the file cannot be written.
    """
    commit = head(target.application.repository)
    file = target.premigration.state.commit_file
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
    return commit
