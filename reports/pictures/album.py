"""All pictures of an incident: each is drawn if there is data for it, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fixtures.errors import Problem, Unverifiable
from fixtures.files import write_whole
from fixtures.incident import CHANGE
from reports.drawing import FOLDER, MONITOR, PHASES, RECORDS, TIMELINE
from reports.incident_record import read_record
from reports.pictures import monitor, phases, records, timeline
from reports.pictures.style import settings
from reports.timeline import timeline_of


@dataclass(frozen=True, slots=True)
class Album:
    """The pictures that were drawn, what is wrong with those that could not be, what none of them shows.

    `doubts` is what of the record cannot be trusted, in words.
    """

    pictures: tuple[Path, ...]
    problems: tuple[Problem, ...]
    doubts: tuple[str, ...]


def draw_pictures(folder: Path) -> Album:
    """Draw the pictures of the incident in `folder` as SVG into its folder `pictures`.

    There is none of what there is no data for, and none of a change, which is yet to be. One of an earlier
    time that can no longer be drawn is removed: it shows what is not so any more.

    Raises:
        UsageProblem: the folder is none of an incident.
        Unverifiable: the pictures cannot be written.
    """
    record = read_record(folder)
    if record.incident.kind == CHANGE:
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
        path = record.incident.folder / FOLDER / name
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
    """Have the picture there, or none."""
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
            observed=error.strerror or type(error).__name__,
            source=str(path.parent),
            hint="make room there, or correct the permissions: then python -m reports FOLDER",
        ) from None
