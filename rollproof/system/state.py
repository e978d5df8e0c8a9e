"""Small files of this machine that outlive a command: in the user's state folder, as XDG has it.

``$XDG_STATE_HOME/rollproof``, else ``~/.local/state/rollproof``. It is the user's alone: `/tmp` is
everybody's, and a name there can be taken by anybody.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

from rollproof.errors import UsageProblem, reason_of

_VARIABLE, _NAME = "XDG_STATE_HOME", "rollproof"
_PRIVATE = 0o700


def state_folder(target: str = "") -> Path:
    """Return the folder of the state of `target`, or of what is of no target; it may not exist yet.

    Raises:
        UsageProblem: this user has no home, and the environment names no folder.
    """
    # A relative path is invalid there, and is to be ignored: it would be another folder at each place.
    named = os.environ.get(_VARIABLE, "")
    if named.startswith("/"):
        return Path(named) / _NAME / target
    try:
        return Path.home() / ".local" / "state" / _NAME / target
    except RuntimeError:
        raise _unusable("this user's home", "none") from None


def made_state_folder(target: str = "") -> Path:
    """Return the folder of the state of `target`, which exists and can be written to.

    Raises:
        UsageProblem: it cannot be made, or not be written to.
    """
    folder = state_folder(target)
    try:
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(str(folder), reason_of(error)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(str(folder), "a folder that this user cannot write to")
    return folder


@contextmanager
def new_state_file(prefix: str, suffix: str) -> Iterator[TextIOWrapper]:
    """Create a file of no target, for text that may hold anything; it stays.

    Raises:
        UsageProblem: the folder cannot be used. `OSError`: the file cannot be written.
    """
    descriptor, name = tempfile.mkstemp(suffix, prefix, made_state_folder())
    with Path(name).open("w", encoding="utf-8", errors="backslashreplace") as file:
        os.close(descriptor)
        yield file


def _unusable(source: str, observed: str) -> UsageProblem:
    return UsageProblem(
        what="state folder",
        expected="a folder that can be written",
        observed=observed,
        source=source,
        hint=f"export {_VARIABLE}=/a/folder/of/yours",
    )
