"""The pictures of an incident, as SVG in its folder `pictures`: timeline and monitor.

Matplotlib, which takes a second to import, is imported when something is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from reports.incident.events import Timeline
from reports.incident.record import IncidentRecord
from rollproof.home import install_hint
from rollproof.record_names import PICTURES
from rollproof.redaction.redactor import Redactor
from rollproof.system.files import write_whole

TIMELINE, MONITOR = "timeline.svg", "monitor.svg"
EVERY = (TIMELINE, MONITOR)
"""The pictures in the order in which they are shown."""


def draw_pictures(record: IncidentRecord, timeline: Timeline, redactor: Redactor) -> Iterator[str]:
    """Draw the pictures that have data, without what `redactor` knows; yield why any cannot be drawn.

    The rest of a record does not depend on them: an error of any kind is a note. An earlier picture that can
    no longer be drawn is removed: it is out of date.
    """
    remove_pictures(record.incident.folder)
    if find_spec("matplotlib") is None:
        yield f"pictures were not drawn: the package matplotlib is missing; {install_hint()}"
        return
    from reports.pictures import monitor  # noqa: PLC0415 - see above
    from reports.pictures import timeline as times  # noqa: PLC0415
    from reports.pictures.style import settings  # noqa: PLC0415

    every: dict[str, Callable[[], bytes | None]] = {
        TIMELINE: lambda: times.draw(timeline),
        MONITOR: lambda: monitor.draw(record, timeline),
    }
    folder = record.incident.folder / PICTURES
    for name, draw in every.items():
        try:
            with settings():
                picture = draw()
            if picture is not None:
                folder.mkdir(exist_ok=True)
                write_whole(folder / name, redactor.data(picture))
        except Exception as error:  # noqa: BLE001 - see above
            yield f"{name} was not drawn: {redactor.text(f'{type(error).__name__}: {error}')}"


def remove_pictures(folder: Path) -> bool:
    """Remove the earlier pictures of the incident in `folder`; return True if there were any."""
    there = [folder / PICTURES / name for name in EVERY if (folder / PICTURES / name).exists()]
    for picture in there:
        picture.unlink()
    return bool(there)
