"""The pictures of an incident: the same each time, without secrets, and no line where nothing is known."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from reports.incident.events import Kind, timeline_of
from reports.incident.record import read_incident_record
from reports.pictures import album, monitor
from reports.pictures import timeline as times
from reports.pictures.album import MONITOR, TIMELINE, draw_pictures
from reports.pictures.monitor import ERRORS, LATENCY, RESOURCES, Series, points_of
from rollproof.monitoring.samples import Sample
from rollproof.record_names import PICTURES
from rollproof.redaction.redactor import Redactor
from rollproof.redaction.shapes import MARKER
from tests.unit.drawn_incident import Drawn, drawn_incident, moment
from tests.unit.made_samples import BEAT, WELL, Probes, named, requests
from tests.unit.made_samples import MONITOR as BY

CANARY = "correct-horse-&-battery"
REQUESTS, _ = ERRORS
SLOWEST, _, _ = LATENCY
_, DISK, _ = RESOURCES


@pytest.fixture
def made(tmp_path: Path) -> Drawn:
    return drawn_incident(tmp_path)


def draw(made: Drawn, redactor: Redactor | None = None) -> list[str]:
    record = read_incident_record(made.folder)
    return list(draw_pictures(record, timeline_of(record), redactor or Redactor()))


def pictures(made: Drawn) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (made.folder / PICTURES).glob("*")}


def texts(made: Drawn, name: str) -> list[str]:
    """Return the texts in a picture, as a reader would see them."""
    root = ET.fromstring(pictures(made)[name])  # noqa: S314 - made by ourselves
    return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_texts_of_the_record_are_shown_as_they_are_and_secrets_not_at_all(made: Drawn) -> None:
    said = f"rm -rf $x^{{2$ & <b>\x1b[31m \x00 \N{SNOWMAN} 日本 {CANARY}"
    made.journal("response.jsonl", [(1, "agreed", {"by": said})])
    redactor = Redactor([CANARY])

    assert draw(made, redactor) == []

    (shown,) = [text for text in texts(made, TIMELINE) if "agreed" in text]
    assert "rm -rf $x^{2$ & <b> [31m \N{SNOWMAN} 日本" in shown
    assert redactor.scan(made.folder / PICTURES) == []
    assert MARKER in shown or "…" in shown


def test_a_short_incident_has_a_scale_of_its_own_beside_the_runbook_s(made: Drawn) -> None:
    timeline = timeline_of(read_incident_record(made.folder))
    of_phases = [event for event in timeline.events if event.kind is Kind.PHASE]
    titles = []
    for seconds in (60.0, 600.0):
        windows = tuple(replace(event, deadline=seconds) for event in of_phases)
        picture = times.draw(replace(timeline, events=windows))
        assert picture is not None
        titles.append(picture.count(b"The incident"))
    assert titles == [0, 1]


def test_a_short_incident_has_a_scale_of_its_own_beside_that_of_all_samples(made: Drawn) -> None:
    ticks = []
    for first in (0, -1800):
        made.sampled(first=first, last=120)
        draw(made)
        ticks.append([text for text in texts(made, MONITOR) if text in {"T+0:00", "T+5:00", "T+5:30"}])
    assert ticks == [["T+5:00", "T+5:30"], ["T+0:00", "T+5:00", "T+5:30"]]


def test_what_cannot_be_drawn_goes_is_a_note_and_spoils_no_other(
    made: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(made)

    def broken(*_: object) -> bytes:
        raise ValueError(CANARY)

    monkeypatch.setattr(monitor, "draw", broken)
    (note,) = draw(made, Redactor([CANARY]))
    assert note.startswith(f"{MONITOR} was not drawn: ValueError")
    assert CANARY not in note
    assert list(pictures(made)) == [TIMELINE]
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (note,) = draw(made)
    assert "matplotlib" in note
    assert pictures(made) == {}
    assert not album.remove_pictures(made.folder)


def points(series: Series, *every: Probes, missed: int = -1) -> list[float]:
    """Return the figures of a line of a sample a beat."""
    samples = [
        Sample("staging", BY, beat, moment(beat * BEAT), 0.001, 0, named({**WELL, **probes}))
        for beat, probes in enumerate(every)
    ]
    if missed >= 0:
        samples[missed] = replace(samples[missed], missed=1)
    return [known for _, known in points_of(series, [(float(beat), one) for beat, one in enumerate(samples)])]


def test_where_nothing_was_asked_or_seen_there_is_no_figure() -> None:
    asked = [{"requests": requests(5, 20)}, {"requests": requests(0, 0, p95=90)}]
    assert points(REQUESTS, *asked)[0] == 25
    assert math.isnan(points(REQUESTS, *asked)[1])
    assert math.isnan(points(SLOWEST, *asked)[1])
    seen = points(DISK, *[{}] * 4, missed=2)
    assert [math.isnan(one) for one in seen] == [False, False, True, False, False]
