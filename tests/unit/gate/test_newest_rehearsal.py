"""The newest rehearsal of a migration counts: a damaged one is named, and no older one stands for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollback_actions.session.journal import Journal
from rollproof.errors import Unverifiable
from rollproof.incident.incident import Incident, new_incident
from rollproof.incident.rehearsals import BEGAN, ENDED, Rehearsal, RehearsalPlace
from rollproof.profile.profile import Signing
from rollproof.record_names import JOURNAL
from rollproof.sealing.seal import Sealing
from tests.rehearsals import ENDED_WELL

OURS = "a" * 40
ENDING = ENDED_WELL


def rehearse(folder: Path, target: str = "stage", migration: str = OURS) -> Incident:
    """Record a rehearsal that passed."""
    incident = new_incident(folder, target)
    journal = Journal(incident.folder / JOURNAL, str)
    journal.write(BEGAN, migration=migration, known_good="c" * 40)
    journal.write(ENDED, migration=migration, **ENDING)
    return incident


def search(folder: Path) -> Rehearsal | None:
    return RehearsalPlace(folder, "stage").newest(OURS)


def _incident_garbled(folder: Path) -> None:
    (folder / "incident.json").write_text("{")


def _edited(folder: Path) -> None:
    path = folder / JOURNAL
    path.write_text(path.read_text().replace("c" * 40, "d" * 40))


def _of_another_shape(folder: Path) -> None:
    (folder / JOURNAL).unlink()
    journal = Journal(folder / JOURNAL, str)
    journal.write(BEGAN, migration=OURS, known_good="c" * 40)
    journal.write(ENDED, migration=OURS, migrated="green")


HARMS = (_incident_garbled, _edited, _of_another_shape)


@pytest.mark.parametrize("harm", HARMS)
def test_a_newer_one_that_is_damaged_is_named(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    older, newer = rehearse(tmp_path), rehearse(tmp_path)
    harm(newer.folder)
    with pytest.raises(Unverifiable, match=f"{newer.id} \\("):
        search(tmp_path)
    # It is the same without another one.
    shutil.rmtree(older.folder)
    with pytest.raises(Unverifiable, match=f"{newer.id} \\("):
        search(tmp_path)
    # A rehearsal after the damage is the way out.
    latest = rehearse(tmp_path)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    os.utime(newer.folder / JOURNAL, (yesterday, yesterday))
    found = search(tmp_path)
    assert found is not None
    assert found.folder == latest.folder


def test_a_sealed_rehearsal_is_as_it_was_sealed(tmp_path: Path) -> None:
    """Anybody can make the chain of a journal again: the record's seal has the hash of the journal."""
    incident = rehearse(tmp_path)
    Sealing(incident.folder, Signing()).seal("rehearse")
    found = search(tmp_path)
    assert found is not None
    assert found.damage() == ""

    path = incident.folder / JOURNAL
    path.unlink()
    journal = Journal(path, str)
    journal.write(BEGAN, migration=OURS, known_good="d" * 40)
    journal.write(ENDED, migration=OURS, **ENDING)
    again = search(tmp_path)
    assert again is not None
    assert f"{JOURNAL}: it is not what was sealed" in again.damage()
    assert again.fault().startswith("whose record does not hold: ")
