"""The newest rehearsal of a migration counts: a damaged one is named, and no other one stands for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rollback_actions.session.journal import Journal
from rollproof.errors import Problem
from rollproof.incident.incident import Incident, new_incident
from rollproof.incident.rehearsals import BEGAN, ENDED, Rehearsal, newest_rehearsal
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
    return newest_rehearsal(folder, "stage", OURS)


def _incident_garbled(folder: Path) -> None:
    (folder / "incident.json").write_text("{")


def _edited(folder: Path) -> None:
    path = folder / JOURNAL
    path.write_text(path.read_text().replace("c" * 40, "d" * 40))


@pytest.mark.parametrize("harm", [_incident_garbled, _edited])
def test_a_damaged_one_is_named(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    rehearse(tmp_path)
    damaged = rehearse(tmp_path)
    harm(damaged.folder)
    with pytest.raises(Problem, match=damaged.id):
        search(tmp_path)
    # To move it away is the way out.
    shutil.rmtree(damaged.folder)
    assert search(tmp_path) is not None


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
