"""Pictures are drawn by a process of their own: what goes wrong in it is a note, and no secret gets in."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.tools.drawing import EVERY, TIMELINE, draw, pictures_of, remove_pictures
from reports.tools.processes import NoReport
from rollproof.record_names import PICTURES
from rollproof.redaction.redactor import Redactor
from rollproof.redaction.shapes import MARKER
from tests.unit.drawn_incident import Drawn, drawn_incident

CANARY = "correct-horse-&-battery"


@pytest.fixture
def made(tmp_path: Path) -> Drawn:
    return drawn_incident(tmp_path)


def test_they_are_drawn_alike_whatever_this_machine_s_own_settings(
    made: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "matplotlibrc"
    settings.write_text("svg.fonttype: path\nsavefig.facecolor: black\ntext.usetex: True\nfont.size: 30\n")

    assert draw(made.folder, Redactor()) == []
    first = {picture.name: picture.read_bytes() for picture in pictures_of(made.folder)}
    monkeypatch.setenv("MATPLOTLIBRC", str(settings))
    monkeypatch.setenv("MPLBACKEND", "no such thing")
    assert draw(made.folder, Redactor()) == []

    assert list(first) == list(EVERY)
    assert {picture.name: picture.read_bytes() for picture in pictures_of(made.folder)} == first


def test_no_secret_is_in_a_picture_nor_in_what_is_said_of_them(made: Drawn) -> None:
    made.journal("response.jsonl", [(1, "agreed", {"by": CANARY})])
    (made.folder / "samples.jsonl").write_text("{}\n")
    (made.folder / "verdict.json").write_text(f'{{"verdict": "{CANARY}"}}')
    redactor = Redactor([CANARY])

    problems = draw(made.folder, redactor)

    assert len(problems) == 3
    assert redactor.scan(made.folder / PICTURES) == []
    assert MARKER in (made.folder / PICTURES / TIMELINE).read_text()
    assert "samples around the incident" in problems[1]
    assert not any(CANARY in problem for problem in problems)


def test_what_no_picture_shows_is_said(made: Drawn) -> None:
    text = (made.folder / "response.jsonl").read_text()
    (made.folder / "response.jsonl").write_text(text.replace("Ada Lovelace", "somebody"))

    (said,) = draw(made.folder, Redactor())

    assert said.startswith("not in the pictures: response.jsonl: its hash chain holds for 2 records only")


def test_a_folder_of_no_incident_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(NoReport, match=r"pictures of the incident: expected exit code 0") as raised:
        draw(tmp_path, Redactor())

    assert "expected a readable incident.json" in str(raised.value)
    assert "Traceback" not in str(raised.value)


def test_pictures_that_take_too_long_are_given_up(made: Drawn) -> None:
    with pytest.raises(NoReport, match=r"expected done within 0\.001 s, observed still running; stopped"):
        draw(made.folder, Redactor(), seconds=0.001)


def test_pictures_that_cannot_be_written_are_said(made: Drawn) -> None:
    (made.folder / PICTURES).write_text("no folder")

    with pytest.raises(NoReport, match=r"a folder that can be written"):
        draw(made.folder, Redactor())


def test_only_pictures_are_removed(made: Drawn) -> None:
    folder = made.folder / PICTURES
    folder.mkdir()
    (folder / TIMELINE).touch()
    (folder / "notes.txt").touch()

    assert remove_pictures(made.folder)
    assert not remove_pictures(made.folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
