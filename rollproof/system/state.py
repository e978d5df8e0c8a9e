"""Small files of this machine that outlive a command: in the user's state folder, as XDG has it.

``$XDG_STATE_HOME/rollproof``, else ``~/.local/state/rollproof``. It is the user's alone: `/tmp` is
everybody's, and a name there can be taken by anybody.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from rollproof.errors import UsageProblem

_VARIABLE = "XDG_STATE_HOME"


def state_folder(target: str = "") -> Path:
    """Return the folder of the state of `target`, or of what is of no target; it may not exist yet."""
    # A relative path is invalid there, and is to be ignored: it would be another folder at each place.
    named = os.environ.get(_VARIABLE, "")
    base = Path(named) if named.startswith("/") else Path("~/.local/state").expanduser()
    return base / "rollproof" / target


def made_state_folder(target: str = "") -> Path:
    """Return the folder of the state of `target`, which exists and can be written to."""
    folder = state_folder(target)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise UsageProblem.of_file(
            folder,
            error,
            what="state folder",
            expected="a folder that can be written",
            hint=f"export {_VARIABLE}=/a/folder/of/yours",
        ) from error
