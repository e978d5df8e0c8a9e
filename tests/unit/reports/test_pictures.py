"""The pictures of an incident: the same each time, without secrets, and no line where nothing is known."""

from __future__ import annotations

import sys

import pytest

from reports.incident.events import timeline_of
from reports.incident.record import read_incident_record
from reports.pictures import album, monitor
from reports.pictures.album import MONITOR, TIMELINE, draw_pictures
from rollproof.record_names import PICTURES
from rollproof.redaction.redactor import Redactor
from tests.unit.made_incident import MadeIncident

CANARY = "correct-horse-&-battery"


@pytest.fixture
def made(made: MadeIncident) -> MadeIncident:
    made.respond()
    return made


def draw(made: MadeIncident, redactor: Redactor | None = None) -> list[str]:
    record = read_incident_record(made.folder)
    return list(draw_pictures(record, timeline_of(record), redactor or Redactor()))


def pictures(made: MadeIncident) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (made.folder / PICTURES).glob("*")}


def test_what_cannot_be_drawn_goes_is_a_note_and_spoils_no_other(
    made: MadeIncident, monkeypatch: pytest.MonkeyPatch
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
