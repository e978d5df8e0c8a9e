"""The incident that a run of checks joins: never one whose windows are all over, without a word."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.gating.verification import join, seconds_past
from rollproof.incident.incident import Incident, IncidentFile, RollbackRecord, load_incident, new_incident
from rollproof.incident.tally import span_seconds
from rollproof.profile.profile import Window, Windows
from rollproof.record_names import JOURNAL, ROLLBACK, UNFINISHED
from rollproof.system.record_files import write_record
from rollproof.verdict import Verdict
from tests.unit.clock import ago

TARGET = "staging"
HOUR = 3600.0
pytestmark = pytest.mark.usefixtures("stopped_clock")
AGES = [(HOUR, "50 min"), (7 * 24 * HOUR, "6 d 23 h")]


def made(folder: Path, seconds: float, *, rolled_back: float | None = None) -> Incident:
    """Return an incident that began `seconds` ago, whose rollback ended `rolled_back` seconds ago."""
    incident = new_incident(folder, TARGET)
    write_record(incident.folder / "incident.json", IncidentFile(TARGET, ago(seconds)))
    if rolled_back is not None:
        incident.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 1.0, ago(seconds), ago(rolled_back)))
    return load_incident(incident.folder)


def of_a_backup(folder: Path, seconds: float) -> Incident:
    """Return what a backup leaves in the folder of incidents: a journal."""
    there = made(folder, seconds)
    (there.folder / JOURNAL).write_text("")
    return there


def rolled_back_at(folder: Path, minute: int) -> Incident:
    """Return an incident whose rollback began at that minute, and ended just now."""
    there = made(folder, 30, rolled_back=20)
    began = replace(there.started, wall=f"2026-01-01T10:{minute}:00.000+00:00")
    write_record(there.folder / "incident.json", IncidentFile(TARGET, began))
    there.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 1.0, began, ago(20)))
    return load_incident(there.folder)


def test_the_span_ends_with_the_last_window() -> None:
    assert span_seconds(Windows()) == 600
    assert span_seconds(Windows(phase2=Window(start=0, end=900))) == 900


@pytest.mark.parametrize(("seconds", "told"), AGES)
@pytest.mark.parametrize("rolled_back", [False, True], ids=["without a rollback", "after a rollback"])
def test_a_past_incident_is_left_and_a_new_one_says_so(
    tmp_path: Path, *, rolled_back: bool, seconds: float, told: str
) -> None:
    old = made(tmp_path, seconds, rolled_back=seconds if rolled_back else None)
    joined = join(tmp_path, TARGET, None, Windows())
    assert joined.incident.id != old.id
    assert joined.said == (
        f"this run opens incident {joined.incident.id}: the windows of {old.id} ended {told} ago"
        f"{', and its rollback stays unverified' if rolled_back else ''};"
        f" to join that one all the same: --incident={old.id}"
    )
    assert len(joined.said.splitlines()) == 1
    # The next run joins the new one, and nothing is left to be told.
    again = join(tmp_path, TARGET, None, Windows())
    assert (again.incident.id, again.said) == (joined.incident.id, "")


@pytest.mark.parametrize(("seconds", "told"), AGES)
@pytest.mark.parametrize("rolled_back", [False, True], ids=["without a rollback", "after a rollback"])
def test_a_past_incident_is_joined_by_its_name_with_a_word(
    tmp_path: Path, *, rolled_back: bool, seconds: float, told: str
) -> None:
    old = made(tmp_path, seconds, rolled_back=seconds if rolled_back else None)
    joined = join(tmp_path, TARGET, old.id, Windows())
    assert joined.incident.id == old.id
    assert joined.said.startswith(f"this run joins incident {old.id}, whose windows ended {told} ago: ")
    assert ("its phases are late" in joined.said) is rolled_back
    assert joined.said.endswith("to open another incident, leave --incident out")


def test_what_is_not_past_is_joined_without_a_word(tmp_path: Path) -> None:
    assert join(tmp_path, TARGET, "friday", Windows()).said == ""
    made(tmp_path, HOUR)
    there = made(tmp_path, HOUR, rolled_back=300)
    shutil.rmtree(tmp_path / "friday")
    for wanted in (None, there.id):
        joined = join(tmp_path, TARGET, wanted, Windows())
        assert (joined.incident.id, joined.said) == (there.id, "")


def test_of_several_that_are_not_past_the_newest_is_joined(tmp_path: Path) -> None:
    newest, older = made(tmp_path, 100), made(tmp_path, 100)
    began = replace(older.started, wall="2026-01-02T03:04:05+00:00")
    write_record(older.folder / "incident.json", IncidentFile(TARGET, began))
    assert join(tmp_path, TARGET, None, Windows()).incident.id == newest.id


def test_an_unverified_rollback_is_joined_whatever_was_opened_since(tmp_path: Path) -> None:
    there = made(tmp_path, 300, rolled_back=200)
    made(tmp_path, 10)
    of_a_backup(tmp_path, 10)
    assert join(tmp_path, TARGET, None, Windows()).incident.id == there.id


def test_the_journal_of_a_backup_is_no_incident_to_join(tmp_path: Path) -> None:
    backup, past = of_a_backup(tmp_path, 10), of_a_backup(tmp_path, HOUR)
    joined = join(tmp_path, TARGET, None, Windows())
    assert joined.incident.id not in {backup.id, past.id}
    assert joined.said == ""
    # One with a run of checks is.
    (backup.folder / "ledger").mkdir()
    joined.incident.close()
    assert join(tmp_path, TARGET, None, Windows()).incident.id == backup.id


def test_a_rollback_is_not_joined_once_a_later_one_was_verified(tmp_path: Path) -> None:
    """It would be late for windows that concern nobody any more. One that is unfinished is joined."""
    before, later, damaged = (rolled_back_at(tmp_path, minute) for minute in (10, 20, 30))
    assert join(tmp_path, TARGET, None, Windows()).incident.id == damaged.id
    (damaged.folder / ROLLBACK).write_text("{")
    damaged.close()
    assert join(tmp_path, TARGET, None, Windows()).incident.id == later.id
    later.close()
    joined = join(tmp_path, TARGET, None, Windows())
    assert joined.incident.id not in {before.id, later.id}
    assert joined.said == ""
    joined.incident.close()
    (before.folder / UNFINISHED).write_text("{}")
    assert join(tmp_path, TARGET, None, Windows()).incident.id == before.id


def test_the_profile_s_windows_say_what_is_past(tmp_path: Path) -> None:
    there = made(tmp_path, HOUR, rolled_back=900)
    wide = Windows(phase4=Window(start=300, end=1200))
    assert seconds_past(there, wide) is None
    assert join(tmp_path, TARGET, None, wide).incident.id == there.id
    assert join(tmp_path, TARGET, None, Windows()).incident.id != there.id


@pytest.mark.parametrize("ended", [None, HOUR], ids=["the first", "another"])
def test_an_incident_with_an_unfinished_rollback_is_not_past(tmp_path: Path, ended: float | None) -> None:
    """Its windows have not begun: what runs then must not say that all is well in an incident of its own."""
    there = made(tmp_path, HOUR, rolled_back=ended)
    (there.folder / UNFINISHED).write_text("{}")
    joined = join(tmp_path, TARGET, None, Windows())
    assert (joined.incident.id, joined.said) == (there.id, "")


def test_a_closed_incident_is_not_spoken_of(tmp_path: Path) -> None:
    closed = made(tmp_path, HOUR)
    closed.close()
    joined = join(tmp_path, TARGET, None, Windows())
    assert joined.incident.id != closed.id
    assert joined.said == ""


def test_the_newest_of_several_past_ones_is_named(tmp_path: Path) -> None:
    older, newer = made(tmp_path, 3 * HOUR), made(tmp_path, 2 * HOUR)
    for incident, hour in ((older, 10), (newer, 11)):
        wall = f"2026-01-01T{hour}:00:00.000+00:00"
        write_record(
            incident.folder / "incident.json", IncidentFile(TARGET, replace(incident.started, wall=wall))
        )
    assert f"the windows of {newer.id} ended 1 h 50 min ago" in join(tmp_path, TARGET, None, Windows()).said
