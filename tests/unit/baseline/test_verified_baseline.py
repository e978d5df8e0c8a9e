"""The baseline that a verification compares with: the one that the rollback of its incident went back to."""

from __future__ import annotations

from pathlib import Path

from fixtures.gating.verification import Verification
from rollproof.incident.incident import Incident, RollbackRecord, new_incident
from rollproof.profile.profile import Target
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.world.baseline import save_baseline
from tests.world.sandbox import facts


def rolled_back(target: Target, baseline: str) -> Incident:
    """Return an incident whose rollback went back to `baseline`."""
    incident = new_incident(target.folders.incidents, target.name)
    now = Moment.now()
    incident.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 1.0, now, now, baseline=baseline))
    return incident


def begun(profile: Path, incident: Incident | None, baseline: Path | None = None) -> Verification:
    wanted = incident.id if incident else None
    return Verification.begin(profile, incident=wanted, baseline=baseline, gated=True, collect_only=False)


def test_it_is_the_one_that_the_rollback_went_back_to(profile: Path, target: Target) -> None:
    older = save_baseline(target.folders.baselines, target.name, facts("a" * 40))
    save_baseline(target.folders.baselines, target.name, facts("b" * 40))
    found = begun(profile, rolled_back(target, older.name))
    assert found.baseline.resolve() == older
    assert f"compared with baseline {older.name}" in found.notice
    # Every worker compares with the same one.
    assert Verification.in_worker(found.to_worker()).baseline == found.baseline


def test_until_the_next_capture_it_is_so_in_a_new_incident_too(profile: Path, target: Target) -> None:
    older = save_baseline(target.folders.baselines, target.name, facts("a" * 40))
    save_baseline(target.folders.baselines, target.name, facts("b" * 40))
    rolled_back(target, older.name).close()
    assert begun(profile, None).baseline.resolve() == older
    newest = save_baseline(target.folders.baselines, target.name, facts("c" * 40))
    assert begun(profile, None).baseline.resolve() == newest


def test_the_current_one_is_taken_without_a_word(profile: Path, target: Target) -> None:
    newest = save_baseline(target.folders.baselines, target.name, facts("b" * 40))
    for incident in (None, rolled_back(target, ""), rolled_back(target, newest.name)):
        found = begun(profile, incident)
        assert (found.baseline.resolve(), found.notice) == (newest, "")


def test_one_that_was_named_is_taken(profile: Path, target: Target) -> None:
    older = save_baseline(target.folders.baselines, target.name, facts("a" * 40))
    newer = save_baseline(target.folders.baselines, target.name, facts("b" * 40))
    assert begun(profile, rolled_back(target, older.name), newer).baseline == newer


def test_one_that_is_gone_is_not_replaced_by_the_current_one(profile: Path, target: Target) -> None:
    save_baseline(target.folders.baselines, target.name, facts("b" * 40))
    found = begun(profile, rolled_back(target, "gone"))
    assert found.baseline == target.folders.baselines / "gone"
    assert "compared with baseline gone" in found.notice
