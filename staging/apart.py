"""Commands of the actions on the staging target whose folders are not the user's, and their environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from fixtures.errors import ActionFailed, ExitCode
from fixtures.target import PREFIX

PROFILE = Path("targets/staging.toml")
ACTION_SECONDS = 300


def apart(folder: Path, **settings: str) -> dict[str, str]:
    """Return this process's environment with the staging profile, and its folders below `folder`.

    `settings` override single keys of the profile; what this environment overrides does not count.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    folders = {
        f"FOLDERS__{name.upper()}": str(folder / name) for name in ("baselines", "incidents", "backups")
    }
    ours = {**folders, **settings, "TARGET": str(PROFILE)}
    return {**kept, **{f"{PREFIX}{name}": value for name, value in ours.items()}}


def run_action(
    root: Path, environment: Mapping[str, str], *arguments: str, seconds: float = ACTION_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run a command of the actions to its end, within `seconds`; what it says is kept."""
    return subprocess.run(
        [sys.executable, "-m", "rollback_actions", *arguments],
        cwd=root,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
    )


def require_action(root: Path, environment: Mapping[str, str], *arguments: str, hint: str) -> None:
    """Run a command of the actions, which must end well.

    Raises:
        ActionFailed: it did not.
    """
    done = run_action(root, environment, *arguments)
    if done.returncode != ExitCode.VERIFIED:
        raise ActionFailed(
            what=" ".join(arguments),
            expected=f"exit code {ExitCode.VERIFIED:d}",
            observed=f"{done.returncode}: {done.stderr[-500:]}",
            source="rollback_actions",
            hint=hint,
        )
