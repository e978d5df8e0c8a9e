"""A rollback that was interrupted: found again, not taken for another one, and not for a good state."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.errors import UsageProblem
from rollproof.incident.incident import Incident, new_incident
from rollproof.monitoring.rollback_request import Kind, RollbackRequest
from rollproof.planning.unfinished import (
    Unfinished,
    in_the_way,
    interrupted,
    refuse_unfinished,
    supersede_covered,
)

COMMIT = "c" * 40
EMERGENCY = RollbackRequest(Kind.EMERGENCY, COMMIT)
MYSQL = RollbackRequest(Kind.DATABASE, COMMIT, ("mysql",))
REDIS = RollbackRequest(Kind.DATABASE, COMMIT, ("redis",))
BACKEND = RollbackRequest(Kind.SERVICE, COMMIT, ("backend",))
FULL = RollbackRequest(Kind.FULL, COMMIT)


def _begun(folder: Path, request: RollbackRequest) -> Incident:
    incident = new_incident(folder, "staging")
    Unfinished.begin(incident, request)
    return incident


def _interrupted(folder: Path, request: RollbackRequest) -> str | None:
    found = interrupted(folder, "staging", request)
    return found.incident.id if found else None


def test_it_is_found_again_with_what_it_kept(tmp_path: Path) -> None:
    incident = new_incident(tmp_path, "staging")
    first = Unfinished.begin(incident, MYSQL, "20250303-staging")
    safety = tmp_path / "safety"
    safety.mkdir()
    first.keep(safety)
    assert _interrupted(tmp_path, MYSQL) == incident.id
    again = Unfinished.begin(incident, MYSQL, "another")
    assert (again.copies, again.record.baseline) == ((safety,), "20250303-staging")
    assert again.record.started == first.record.started
    safety.rmdir()
    assert Unfinished.begin(incident, MYSQL).copies == ()
    again.end()
    assert interrupted(tmp_path, "staging", MYSQL) is None


@pytest.mark.parametrize(
    "other", [EMERGENCY, FULL, REDIS, BACKEND, RollbackRequest(Kind.DATABASE, "d" * 40, ("mysql",))], ids=str
)
def test_another_kind_name_or_commit_is_not_it(tmp_path: Path, other: RollbackRequest) -> None:
    incident = _begun(tmp_path, MYSQL)
    assert interrupted(tmp_path, "production", MYSQL) is None
    assert interrupted(tmp_path, "staging", other) is None
    assert Unfinished.begin(incident, other).request == other


@pytest.mark.parametrize("requested", [REDIS, BACKEND, FULL], ids=str)
def test_nothing_starts_the_application_on_half_restored_data(
    tmp_path: Path, requested: RollbackRequest
) -> None:
    incident = _begun(tmp_path, MYSQL)
    (refusal,) = in_the_way(tmp_path, "staging", requested)
    assert incident.id in str(refusal.observed)
    assert [*in_the_way(tmp_path, "production", requested)] == []


def test_a_narrower_one_leaves_the_wider_alone(tmp_path: Path) -> None:
    _begun(tmp_path, FULL)
    assert supersede_covered(tmp_path, "staging", BACKEND, new_incident(tmp_path, "staging")) == []


def test_nothing_is_backed_up_meanwhile(tmp_path: Path) -> None:
    incident = new_incident(tmp_path, "staging")
    refuse_unfinished(tmp_path, "staging")
    unfinished = Unfinished.begin(incident, EMERGENCY)
    refuse_unfinished(tmp_path, "production")
    with pytest.raises(UsageProblem, match=incident.id):
        refuse_unfinished(tmp_path, "staging")
    unfinished.end()
    refuse_unfinished(tmp_path, "staging")


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    incident = new_incident(tmp_path, "staging")
    (incident.folder / "unfinished.json").write_text("{")
    with pytest.raises(UsageProblem, match="unfinished rollback"):
        interrupted(tmp_path, "staging", EMERGENCY)
