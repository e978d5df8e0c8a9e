"""Has an incident's pictures drawn by a separate process, and keeps secrets out of them."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from reports.tools.processes import NoReport, run
from rollproof.errors import reason_of
from rollproof.home import HOME, install_hint, typed
from rollproof.reading import read_regular
from rollproof.record_names import PICTURES
from rollproof.redaction.redactor import Redactor
from rollproof.system.files import write_whole

"""The pictures' folder within their incident's folder."""
TIMELINE, PHASES, MONITOR, RECORDS = "timeline.svg", "phases.svg", "monitor.svg", "records.svg"
EVERY = (TIMELINE, PHASES, MONITOR, RECORDS)
"""The pictures in the order in which they are shown."""
DRAW_SECONDS = 60.0


def _hint() -> str:
    return f"the rest of the record does not depend on it; this draws them: {typed('report FOLDER')}"


def draw(folder: Path, redactor: Redactor, *, seconds: float = DRAW_SECONDS) -> list[str]:
    """Draw the pictures of the incident in `folder`; return the problems that kept any from being drawn.

    The pictures hold nothing that `redactor` knows.

    Raises:
        NoReport: the pictures cannot be drawn or written, or drawing takes longer than `seconds`.
    """
    if find_spec("matplotlib") is None:
        raise NoReport(
            what="pictures of the incident",
            expected="the package matplotlib",
            observed="none",
            source=f"the environment {sys.prefix}",
            hint=f"the rest of the record does not depend on it; {install_hint()}",
        )
    output = run(
        [sys.executable, "-m", "reports.pictures", str(folder.resolve())],
        what="pictures of the incident",
        hint=_hint(),
        seconds=seconds,
        folder=HOME,
        # It names a backend for windows; Matplotlib does not start with an unknown name.
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
    # Only the last line: Matplotlib may print before, for example that it searches for fonts.
    wrong: list[str] = json.loads(output.splitlines()[-1])
    return [redactor.text(text) for text in wrong]


def pictures_of(folder: Path) -> list[Path]:
    """Return the existing pictures of the incident in `folder`."""
    return [folder / PICTURES / name for name in EVERY if (folder / PICTURES / name).exists()]


def remove_pictures(folder: Path) -> bool:
    """Remove earlier pictures, which are out of date; return True if there were any.

    Raises:
        NoReport: a picture cannot be removed.
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
        observed=reason_of(error),
        source=str(folder / PICTURES),
        hint=_hint(),
    )
