"""The picture of an incident, its timeline, as SVG in its folder `pictures`.

Matplotlib, which takes a second to import, is imported when something is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from reports.incident.events import Timeline
from rollproof.home import install_hint
from rollproof.record_names import PICTURES
from rollproof.redaction.redactor import Redactor
from rollproof.system.files import write_whole

TIMELINE = f"{PICTURES}/timeline.svg"
"""The picture, in the folder of its incident."""


def draw_timeline(folder: Path, timeline: Timeline, redactor: Redactor) -> Iterator[str]:
    """Draw the picture of the incident in `folder`, without what `redactor` knows; yield why it cannot be.

    The rest of a record does not depend on it: an error of any kind is a note. An earlier picture is removed:
    it is out of date.
    """
    remove_timeline(folder)
    if find_spec("matplotlib") is None:
        yield f"the timeline was not drawn: the package matplotlib is missing; {install_hint()}"
        return
    from reports.pictures.timeline import draw, settings  # noqa: PLC0415 - see above

    try:
        with settings():
            picture = draw(timeline)
        if picture is not None:
            (folder / PICTURES).mkdir(exist_ok=True)
            write_whole(folder / TIMELINE, redactor.data(picture))
    except Exception as error:  # noqa: BLE001 - see above
        yield f"the timeline was not drawn: {redactor.text(f'{type(error).__name__}: {error}')}"


def remove_timeline(folder: Path) -> bool:
    """Remove the picture of the incident in `folder`; return True if there was one."""
    there = (folder / TIMELINE).exists()
    (folder / TIMELINE).unlink(missing_ok=True)
    return there
