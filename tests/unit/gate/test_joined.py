"""The incident that a run of checks joins: never one whose windows are all over, without a word."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.gating.verification import join
from rollproof.incident.incident import Incident, IncidentFile, RollbackRecord, load_incident, new_incident
from rollproof.profile.profile import Window, Windows
from rollproof.record_names import JOURNAL, UNFINISHED
from rollproof.system.record_files import write_record
from rollproof.verdict import Verdict
from tests.unit.clock import ago

TARGET = "staging"
HOUR = 3600.0
pytestmark = pytest.mark.usefixtures("stopped_clock")


def made(folder: Path, seconds: float, *, rolled_back: float | None = None) -> Incident:
    """Return an incident that began `seconds` ago, whose rollback ended `rolled_back` seconds ago."""
    incident = new_incident(folder, TARGET)
    write_record(incident.folder / "incident.json", IncidentFile(TARGET, ago(seconds)))
    if rolled_back is not None:
        incident.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 1.0, ago(seconds), ago(rolled_back)))
    return load_incident(incident.folder)


@pytest.mark.parametrize("seconds", [HOUR, 7 * 24 * HOUR])
@pytest.mark.parametrize("rolled_back", [False, True])
def test_a_past_incident_is_joined_by_its_name_alone_and_the_run_says_so(
    tmp_path: Path, *, rolled_back: bool, seconds: float
) -> None:
    old = made(tmp_path, seconds, rolled_back=seconds if rolled_back else None)
    new, said = join(tmp_path, TARGET, None, Windows())
    assert new.id != old.id
    assert f"--incident={old.id}" in said
    assert ("stays unverified" in said) is rolled_back
    assert join(tmp_path, TARGET, None, Windows()) == (new, "")
    named, said = join(tmp_path, TARGET, old.id, Windows())
    assert named.id == old.id
    assert ("its phases are late" in said) is rolled_back
    assert "leave --incident out" in said


def test_what_is_not_past_is_joined_without_a_word(tmp_path: Path) -> None:
    assert join(tmp_path, TARGET, "friday", Windows())[1] == ""
    shutil.rmtree(tmp_path / "friday")
    made(tmp_path, HOUR)
    there = made(tmp_path, HOUR, rolled_back=300)
    for wanted in (None, there.id):
        assert join(tmp_path, TARGET, wanted, Windows()) == (there, "")


def test_of_several_the_one_with_a_rollback_is_joined_else_the_newest(tmp_path: Path) -> None:
    older, newer, backup = made(tmp_path, 300), made(tmp_path, 10), made(tmp_path, 5)
    for minute, incident in enumerate((older, newer, backup)):
        began = replace(incident.started, wall=f"2026-01-02T03:0{minute}:05+00:00")
        write_record(incident.folder / "incident.json", IncidentFile(TARGET, began))
    # What a backup leaves in the folder of incidents is none, until checks have run in it.
    (backup.folder / JOURNAL).write_text("")
    assert join(tmp_path, TARGET, None, Windows())[0].id == newer.id
    (backup.folder / "ledger").mkdir()
    assert join(tmp_path, TARGET, None, Windows())[0].id == backup.id
    older.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 1.0, ago(300), ago(200)))
    assert join(tmp_path, TARGET, None, Windows())[0].id == older.id
    older.close()
    assert join(tmp_path, TARGET, None, Windows())[0].id == backup.id


def test_one_that_began_before_a_verified_rollback_is_not_joined(tmp_path: Path) -> None:
    before, rolled_back = made(tmp_path, 400), made(tmp_path, 300, rolled_back=200)
    rolled_back.close()
    new, said = join(tmp_path, TARGET, None, Windows())
    assert (new.id not in {before.id, rolled_back.id}, said) == (True, "")
    since = made(tmp_path, 100)
    new.close()
    assert join(tmp_path, TARGET, None, Windows())[0].id == since.id


def test_the_profile_s_windows_say_what_is_past(tmp_path: Path) -> None:
    there = made(tmp_path, HOUR, rolled_back=900)
    wide = Windows(phase4=Window(start=300, end=1200))
    assert join(tmp_path, TARGET, None, wide)[0].id == there.id
    assert join(tmp_path, TARGET, None, Windows())[0].id != there.id


@pytest.mark.parametrize("ended", [None, HOUR], ids=["the first", "another"])
def test_an_incident_with_an_unfinished_rollback_is_not_past(tmp_path: Path, ended: float | None) -> None:
    """Its windows have not begun: what runs then must not say that all is well in an incident of its own."""
    there = made(tmp_path, HOUR, rolled_back=ended)
    (there.folder / UNFINISHED).write_text("{}")
    assert join(tmp_path, TARGET, None, Windows()) == (there, "")
