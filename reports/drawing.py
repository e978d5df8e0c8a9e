"""Has the pictures of an incident drawn, by a process of their own, and keeps secrets out of them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from fixtures.files import read_regular, write_whole
from fixtures.redaction import Redactor
from reports.processes import NoReport, run

FOLDER = "pictures"
"""Where the pictures are, in the folder of their incident."""
TIMELINE, PHASES, MONITOR, RECORDS = "timeline.svg", "phases.svg", "monitor.svg", "records.svg"
EVERY = (TIMELINE, PHASES, MONITOR, RECORDS)
"""The pictures in the order that they are shown in."""
DRAW_SECONDS = 60.0
_ROOT = Path(__file__).resolve().parent.parent
_HINT = "the rest of the record does not depend on it; this draws them: python -m reports FOLDER"


def draw(folder: Path, redactor: Redactor, *, seconds: float = DRAW_SECONDS) -> list[str]:
    """Draw the pictures of the incident in `folder`; return what is wrong with those that could not be drawn.

    Nothing that `redactor` knows is in them.

    Raises:
        NoReport: they cannot be drawn or written, or that takes longer than `seconds`.
    """
    output = run(
        [sys.executable, "-m", "reports.pictures", str(folder.resolve())],
        what="pictures of the incident",
        hint=_HINT,
        seconds=seconds,
        folder=_ROOT,
        # It names what shows windows; Matplotlib does not start with a name that it does not know.
        environment={name: value for name, value in os.environ.items() if name != "MPLBACKEND"},
    )
    try:
        for picture in pictures_of(folder):
            drawn = read_regular(picture)
            clean = redactor.data(drawn)
            if clean != drawn:
                write_whole(picture, clean)
    except OSError as error:
        raise _out_of_reach(folder, "read and written", error) from None
    # Before it Matplotlib may have said something, such as that it looks for fonts the first time.
    wrong: list[str] = json.loads(output.splitlines()[-1])
    return [redactor.text(text) for text in wrong]


def pictures_of(folder: Path) -> list[Path]:
    """Return the pictures that there are of the incident in `folder`."""
    return [folder / FOLDER / name for name in EVERY if (folder / FOLDER / name).exists()]


def remove_pictures(folder: Path) -> bool:
    """Remove the pictures of an earlier time, which show what is not so any more; tell if there were any.

    Raises:
        NoReport: one cannot be removed.
    """
    earlier = pictures_of(folder)
    try:
        for picture in earlier:
            picture.unlink()
    except OSError as error:
        raise _out_of_reach(folder, "removed", error) from None
    return bool(earlier)


def _out_of_reach(folder: Path, done: str, error: OSError) -> NoReport:
    return NoReport(
        what="pictures of the incident",
        expected=f"files that can be {done}",
        observed=error.strerror or type(error).__name__,
        source=str(folder / FOLDER),
        hint=_HINT,
    )
