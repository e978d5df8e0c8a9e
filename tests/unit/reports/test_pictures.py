"""The pictures of an incident: the same each time, without secrets, and no line where nothing is known."""

from __future__ import annotations

import sys
from xml.etree import ElementTree as ET

import pytest

from reports.incident.events import timeline_of
from reports.incident.record import read_incident_record
from reports.pictures import album, monitor
from reports.pictures.album import MONITOR, TIMELINE, draw_pictures
from rollback_actions.session.journal import Journal
from rollproof.incident.response_record import AGREED
from rollproof.record_names import PICTURES, RESPONSE
from rollproof.redaction.redactor import Redactor
from rollproof.redaction.shapes import MARKER
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


def texts(made: MadeIncident, name: str) -> list[str]:
    """Return the texts in a picture, as a reader would see them."""
    root = ET.fromstring(pictures(made)[name])  # noqa: S314 - made by ourselves
    return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_texts_of_the_record_are_shown_as_they_are_and_secrets_not_at_all(made: MadeIncident) -> None:
    said = f"rm -rf $x^{{2$ & <b>\x1b[31m \x00 \N{SNOWMAN} 日本 {CANARY}"
    Journal(made.folder / RESPONSE, str).write(AGREED, by=said)
    redactor = Redactor([CANARY])

    assert draw(made, redactor) == []

    (shown,) = [text for text in texts(made, TIMELINE) if "rm -rf" in text]
    assert "rm -rf $x^{2$ & <b> [31m \N{SNOWMAN} 日本" in shown
    assert redactor.scan(made.folder / PICTURES) == []
    assert MARKER in shown or "…" in shown


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
