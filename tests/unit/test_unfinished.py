"""A rollback that was interrupted: found again, and not taken for a good state."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.errors import UsageProblem
from fixtures.incident import new_incident
from rollback_actions.unfinished import Unfinished, interrupted, refuse_unfinished

COMMIT = "c" * 40


def test_it_is_found_again_with_what_it_kept(tmp_path: Path) -> None:
    incident = new_incident(tmp_path, "staging")
    first = Unfinished.begin(incident, COMMIT)
    safety = tmp_path / "safety"
    safety.mkdir()
    first.keep(safety)
    assert interrupted(tmp_path, "staging", COMMIT) == incident.id
    again = Unfinished.begin(incident, COMMIT)
    assert (again.kept, again.started) == (safety, first.started)
    safety.rmdir()
    assert Unfinished.begin(incident, COMMIT).kept is None
    again.end()
    assert interrupted(tmp_path, "staging", COMMIT) is None


def test_another_target_or_commit_is_not_it(tmp_path: Path) -> None:
    Unfinished.begin(new_incident(tmp_path, "staging"), COMMIT)
    assert interrupted(tmp_path, "production", COMMIT) is None
    assert interrupted(tmp_path, "staging", "d" * 40) is None


def test_nothing_is_backed_up_meanwhile(tmp_path: Path) -> None:
    incident = new_incident(tmp_path, "staging")
    refuse_unfinished(tmp_path, "staging")
    unfinished = Unfinished.begin(incident, COMMIT)
    refuse_unfinished(tmp_path, "production")
    with pytest.raises(UsageProblem, match=incident.id):
        refuse_unfinished(tmp_path, "staging")
    unfinished.end()
    refuse_unfinished(tmp_path, "staging")


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    incident = new_incident(tmp_path, "staging")
    (incident.folder / "unfinished.json").write_text("{")
    with pytest.raises(UsageProblem, match="unfinished rollback"):
        interrupted(tmp_path, "staging", COMMIT)
