"""The environment of commands on the staging target whose folders are not the user's."""

from __future__ import annotations

import os
from pathlib import Path

from fixtures.target import PREFIX

PROFILE = Path("targets/staging.toml")


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
