"""All pictures of an incident: each is drawn if it has data, whether or not the others succeed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reports.incident.incident_record import read_record
from reports.pictures import beside_the_runbook as timeline
from reports.pictures import monitor, phases, records
from reports.pictures.style import settings
from reports.timeline.timeline import timeline_of
from reports.tools.drawing import MONITOR, PHASES, RECORDS, TIMELINE
from rollproof.errors import Problem, Unverifiable, reason_of
from rollproof.home import typed
from rollproof.incident.incident import IncidentKind
from rollproof.record_names import PICTURES
from rollproof.system.files import write_whole


@dataclass(frozen=True, slots=True)
class Album:
    """The drawn pictures, the problems that kept others from being drawn, and the record's doubts.

    `doubts` names in words the parts of the record that cannot be trusted, and no picture shows.
    """

    pictures: tuple[Path, ...]
    problems: tuple[Problem, ...]
    doubts: tuple[str, ...]


def draw_pictures(folder: Path) -> Album:
    """Draw the pictures of the incident in `folder` as SVG into its folder `pictures`.

    A picture is drawn only if it has data. A change, which is yet to happen, has no pictures.
    An earlier picture that can no longer be drawn is removed: it is out of date.

    Raises:
        UsageProblem: the folder holds no incident.
        Unverifiable: the pictures cannot be written.
    """
    record = read_record(folder)
    if record.incident.kind is IncidentKind.CHANGE:
        return Album((), (), ())
    story = timeline_of(record)
    every: dict[str, Callable[[], bytes | None]] = {
        TIMELINE: lambda: timeline.draw(story),
        PHASES: lambda: phases.draw(record),
        MONITOR: lambda: monitor.draw(record, story),
        RECORDS: lambda: records.draw(record),
    }
    drawn: list[Path] = []
    problems: list[Problem] = []
    for name, draw in every.items():
        path = record.incident.folder / PICTURES / name
        picture = None
        try:
            with settings():
                picture = draw()
        except Problem as problem:
            problems.append(problem)
        _keep(path, picture)
        if picture is not None:
            drawn.append(path)
    return Album(tuple(drawn), tuple(problems), story.doubts)


def _keep(path: Path, picture: bytes | None) -> None:
    """Write the picture, or remove the earlier one if it is None."""
    try:
        if picture is None:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(exist_ok=True)
            write_whole(path, picture)
    except OSError as error:
        raise Unverifiable(
            what="pictures of the incident",
            expected="a folder that can be written",
            observed=reason_of(error),
            source=str(path.parent),
            hint=f"make room there, or correct the permissions: then {typed('report FOLDER')}",
        ) from None
