"""Room for the copy of what stores hold, which is taken before they are overwritten.

A backup set is not asked for its room: a full disk ends the backup, and the unfinished folder is removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from rollproof.backups.sets import BackupSet
from rollproof.errors import UsageProblem

# A safety copy may be larger than the backup: the stores have grown since, and the growth is exported too.
_ROOM_FACTOR = 1.5


def no_room(folder: Path, backup: BackupSet, stores: Iterable[str]) -> UsageProblem | None:
    """Return the problem if `folder` has no room for a safety copy of `stores`, of which `backup` tells."""
    needed = _ROOM_FACTOR * sum(backup.stores[name].size for name in stores)
    free = shutil.disk_usage(existing(folder)).free
    if free >= needed:
        return None
    return UsageProblem(
        what="room for what the stores hold now",
        expected=f"{needed / 1e6:,.0f} MB",
        observed=f"{free / 1e6:,.0f} MB",
        source=str(folder),
        hint="make room there, or name another folder in the profile: nothing is overwritten unkept",
    )


def existing(folder: Path) -> Path:
    """Return `folder`, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())
