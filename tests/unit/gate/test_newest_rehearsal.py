"""The newest rehearsal of a migration counts: a damaged one is named, and no older one stands for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollback_actions.session.journal import Journal, set_aside
from rollproof.incident.incident import Incident, new_incident
from rollproof.incident.rehearsals import BEGAN, ENDED, Found, RehearsalPlace
from rollproof.profile.profile import Signing
from rollproof.record_names import JOURNAL
from rollproof.sealing.seal import Sealing
from tests.rehearsals import ENDED_WELL

OURS, OTHER = "a" * 40, "b" * 40
ENDING = ENDED_WELL | {"verdict_sha256": "0" * 64}


def rehearse(folder: Path, target: str = "stage", migration: str = OURS) -> Incident:
    """Record a rehearsal that passed."""
    incident = new_incident(folder, target)
    journal = Journal(incident.folder / JOURNAL, str)
    journal.write(BEGAN, migration=migration, known_good="c" * 40)
    journal.write(ENDED, migration=migration, **ENDING)
    return incident


def search(folder: Path) -> Found:
    return RehearsalPlace(folder, "stage").search(OURS)


def _incident_garbled(folder: Path) -> None:
    (folder / "incident.json").write_text("{")


def _incident_gone(folder: Path) -> None:
    (folder / "incident.json").unlink()


def _edited(folder: Path) -> None:
    path = folder / JOURNAL
    path.write_text(path.read_text().replace("c" * 40, "d" * 40))


def _first_line_torn(folder: Path) -> None:
    path = folder / JOURNAL
    path.write_bytes(path.read_bytes()[20:])


def _emptied(folder: Path) -> None:
    (folder / JOURNAL).write_bytes(b"")


def _zeroed(folder: Path) -> None:
    """Leave what a crash of the machine leaves: the length without the content."""
    path = folder / JOURNAL
    path.write_bytes(bytes(path.stat().st_size))


def _a_folder(folder: Path) -> None:
    (folder / JOURNAL).unlink()
    (folder / JOURNAL).mkdir()


def _renamed_and_continued(folder: Path) -> None:
    """Leave it as the next command does: the broken journal is kept, and another one begins."""
    _first_line_torn(folder)
    set_aside(folder / JOURNAL)
    Journal(folder / JOURNAL, str).write(ENDED, migration=OURS, **ENDING)


def _of_another_shape(folder: Path) -> None:
    (folder / JOURNAL).unlink()
    journal = Journal(folder / JOURNAL, str)
    journal.write(BEGAN, migration=OURS, known_good="c" * 40)
    journal.write(ENDED, migration=OURS, migrated="green")


HARMS = (
    *(_incident_garbled, _incident_gone, _edited, _first_line_torn, _emptied, _zeroed, _a_folder),
    *(_renamed_and_continued, _of_another_shape),
)


@pytest.mark.parametrize("harm", HARMS)
def test_a_newer_one_that_is_damaged_is_named(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    rehearse(tmp_path)
    newer = rehearse(tmp_path)
    harm(newer.folder)
    (damaged,) = search(tmp_path).damaged
    assert damaged.startswith(f"{newer.id} (")
    # It is the same without another one.
    shutil.rmtree(next(path for path in tmp_path.iterdir() if path != newer.folder))
    found = search(tmp_path)
    assert [one.partition(" ")[0] for one in found.damaged] == [newer.id]
    assert found.newest is None


def test_one_that_breaks_off_after_its_beginning_is_the_newest(tmp_path: Path) -> None:
    rehearse(tmp_path)
    newer = rehearse(tmp_path)
    path = newer.folder / JOURNAL
    path.write_text(path.read_text().replace('"migrated": "passed"', '"migrated": "failed"'))
    found = search(tmp_path)
    assert found.newest is not None
    assert found.newest.folder == newer.folder
    assert found.newest.ending is None
    assert found.newest.broken
    # Also once the next command in that incident has set it aside.
    set_aside(path)
    Journal(path, str).write(ENDED, migration=OURS, **ENDING)
    kept = search(tmp_path).newest
    assert kept is not None
    assert (kept.folder, kept.ending, kept.began) == (newer.folder, None, found.newest.began)
    assert "journal-broken-1.jsonl" in kept.broken


@pytest.mark.parametrize("harm", HARMS)
def test_an_older_one_that_is_damaged_changes_nothing(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    older = rehearse(tmp_path)
    harm(older.folder)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    for path in older.folder.iterdir():
        os.utime(path, (yesterday, yesterday))
    newer = rehearse(tmp_path)
    found = search(tmp_path)
    assert found.damaged == ()
    assert found.newest is not None
    assert found.newest.folder == newer.folder


def test_a_rehearsal_after_the_damage_is_the_way_out(tmp_path: Path) -> None:
    _emptied(rehearse(tmp_path).folder)
    assert search(tmp_path).damaged
    rehearse(tmp_path)
    assert search(tmp_path).damaged == ()


def test_what_is_of_something_else_does_not_count(tmp_path: Path) -> None:
    newest = rehearse(tmp_path)
    rehearse(tmp_path, migration=OTHER)
    _emptied(rehearse(tmp_path, target="another").folder)
    found = search(tmp_path)
    assert found.damaged == ()
    assert found.newest is not None
    assert found.newest.folder == newest.folder


def test_a_journal_that_was_set_aside_alone_is_damaged_too(tmp_path: Path) -> None:
    """A kill came before the next one was begun."""
    incident = rehearse(tmp_path)
    _edited(incident.folder)
    set_aside(incident.folder / JOURNAL)
    assert not (incident.folder / JOURNAL).exists()
    found = search(tmp_path)
    assert found.newest is None
    assert found.damaged


def test_a_sealed_rehearsal_is_as_it_was_sealed(tmp_path: Path) -> None:
    """Anybody can make the chain of a journal again: the record's seal has the hash of the journal."""
    incident = rehearse(tmp_path)
    Sealing(incident.folder, Signing()).seal("rehearse")
    found = search(tmp_path).newest
    assert found is not None
    assert found.broken == ""

    path = incident.folder / JOURNAL
    path.unlink()
    journal = Journal(path, str)
    journal.write(BEGAN, migration=OURS, known_good="d" * 40)
    journal.write(ENDED, migration=OURS, **ENDING)
    again = search(tmp_path).newest
    assert again is not None
    assert f"{JOURNAL}: it is not what was sealed" in again.broken
    assert again.fault().startswith("whose record does not hold: ")
