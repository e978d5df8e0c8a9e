"""What a rollback is refused for, each reason by itself; and one that was interrupted is found again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from rollproof.baseline.known_good import current_baseline
from rollproof.errors import ExitCode, UsageProblem
from rollproof.incident.incident import Incident, RollbackRecord, new_incident
from rollproof.incident.rollback_request import RollbackKind, RollbackRequest
from rollproof.planning.plan import Plan, Stage, plan_database, plan_emergency, plan_service
from rollproof.planning.refusals import CONDITIONS, Allowed, Asked, refusals
from rollproof.planning.schedule import Schedule
from rollproof.planning.unfinished import (
    Unfinished,
    in_the_way,
    interrupted,
    refuse_unfinished,
    supersede_covered,
    unfinished_of,
)
from rollproof.profile.profile import Target, load_target
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.world.sandbox import Sandbox, begun_earlier, facts


def refuse(target: Target, plan: Plan, allowed: Allowed, *, resumed: bool = False) -> None:
    """Raise the first refusal, as the command of a rollback does."""
    for refusal in refusals(
        Asked(target, plan, allowed, unfinished=begun_earlier(plan.request) if resumed else None)
    ):
        raise refusal


def held(sandbox: Sandbox, plan: Plan) -> list[str]:
    """Return what holds a rollback by `plan` up, since it would repeat it."""
    repeated = CONDITIONS["it does not repeat one that is unverified"]
    return [str(refusal.observed) for refusal in repeated(Asked(sandbox.target, plan, Allowed()))]


def _set(sandbox: Sandbox, line: str) -> None:
    """Add a key to the profile."""
    sandbox.profile.write_text(f"{line}\n{sandbox.profile.read_text()}")
    sandbox.target = load_target(sandbox.profile)


def _slow(plan: Plan, seconds: float) -> Plan:
    assert plan.backup is not None
    began = Moment.now()
    done = replace(began, since_boot=began.since_boot + seconds)
    return replace(plan, backup=replace(plan.backup, taken=dict.fromkeys(plan.stores, (began, done))))


def _rolled_back(
    sandbox: Sandbox,
    request: RollbackRequest,
    verdict: Verdict = Verdict.PASSED,
    records: Mapping[str, int] | None = None,
) -> Incident:
    now = Moment.now()
    baseline = current_baseline(sandbox.target).id
    record = RollbackRecord(
        *(request.commit, verdict, 1.0, now, now, request.kind, request.names, records), baseline=baseline
    )
    incident = sandbox.new_incident()
    incident.write_rollback(record)
    return incident


def test_a_protected_target_is_confirmed_by_its_name(sandbox: Sandbox) -> None:
    _set(sandbox, "protected = true")
    plan = plan_service(sandbox.target, "backend")
    with pytest.raises(UsageProblem, match="add --confirm sandbox") as caught:
        refuse(sandbox.target, plan, Allowed())
    assert caught.value.exit_code == ExitCode.USAGE
    with pytest.raises(UsageProblem, match="expected the name of the target, sandbox, observed 'staging'"):
        refuse(sandbox.target, plan, Allowed(confirm="staging"))
    refuse(sandbox.target, plan, Allowed(confirm="sandbox"))


def test_a_plan_over_budget_is_refused(sandbox: Sandbox) -> None:
    plan = _slow(plan_database(sandbox.target, "mysql"), 200)
    with pytest.raises(
        UsageProblem, match=r"expected 300 s at most, observed about 6\d\d s, of which restore 400"
    ):
        refuse(sandbox.target, plan, Allowed())
    refuse(sandbox.target, plan, Allowed(over_budget=True))


@pytest.mark.parametrize(
    ("kind", "names", "here", "refused"),
    [
        (RollbackKind.DATABASE, ("mysql",), True, True),
        (RollbackKind.EMERGENCY, (), True, True),
        (RollbackKind.EMERGENCY, (), False, False),
        (RollbackKind.DATABASE, ("redis",), True, False),
        (RollbackKind.FULL, (), True, False),
    ],
)
def test_the_same_is_not_done_again_within_the_hold_time(
    sandbox: Sandbox, kind: RollbackKind, names: tuple[str, ...], *, here: bool, refused: bool
) -> None:
    plan = plan_database(sandbox.target, "mysql")
    _rolled_back(sandbox, RollbackRequest(kind, plan.commit if here else "0" * 40, names))
    if refused:
        with pytest.raises(UsageProblem, match=r"none to that commit in the last 30 min.*\nHINT.*--again"):
            refuse(sandbox.target, plan, Allowed())
    refuse(sandbox.target, plan, Allowed(again=True))
    refuse(sandbox.target, plan, Allowed(), resumed=True)
    _set(sandbox, "hold_seconds = 0")
    refuse(sandbox.target, plan, Allowed())


ACCOUNTED = {"kept": 1, "unaccounted": 0}
MISSING = {"kept": 1, "unaccounted": 1}


@pytest.mark.parametrize(
    ("verdict", "records", "since", "repeated"),
    [
        (Verdict.PASSED, ACCOUNTED, "verified", False),
        (Verdict.PASSED, ACCOUNTED, "not verified", True),
        (Verdict.PASSED, ACCOUNTED, "not well", True),
        # MANUAL INTERVENTION, and there is nothing to go on with.
        (Verdict.FAILED, MISSING, "not verified", True),
        (Verdict.BROKEN, {"unaccounted": 0, "unknown": 1}, "not verified", True),
        # MANUAL INTERVENTION, and it is resumed, which repeats nothing.
        (Verdict.FAILED, None, "to be resumed", False),
    ],
)
def test_only_what_did_not_help_or_is_not_known_to_holds_the_same_up(
    sandbox: Sandbox, verdict: Verdict, records: dict[str, int] | None, since: str, *, repeated: bool
) -> None:
    plan = plan_emergency(sandbox.target, sandbox.commit)
    incident = _rolled_back(sandbox, plan.request, verdict, records)
    if since in {"verified", "not well"}:
        incident.close()
    if since == "not well":
        incident.reopen()
    if since == "to be resumed":
        (incident.folder / "unfinished.json").touch()
    assert bool(held(sandbox, plan)) is repeated


def test_a_baseline_that_was_captured_since_is_another_state_to_go_back_to(sandbox: Sandbox) -> None:
    """As before each rehearsal, whatever the one before came to: see `rollback_actions.gate.rehearsal`."""
    before = plan_emergency(sandbox.target, sandbox.commit)
    incident = sandbox.new_incident()
    unfinished = Unfinished.begin(incident, before.request, before.baseline.id)
    incident.write_rollback(unfinished.outcome(Verdict.PASSED, Moment.now()))
    unfinished.end()
    with pytest.raises(UsageProblem, match="that is unverified"):
        refuse(sandbox.target, before, Allowed())
    folder = sandbox.save(facts(sandbox.commit))
    after = plan_emergency(sandbox.target, sandbox.commit)
    assert after.baseline.id == folder.name != before.baseline.id
    refuse(sandbox.target, after, Allowed())


@pytest.mark.parametrize("finished", [True, False])
def test_an_incident_has_one_rollback(sandbox: Sandbox, *, finished: bool) -> None:
    plan = plan_database(sandbox.target, "redis")
    if finished:
        incident = _rolled_back(sandbox, plan.request)
    else:
        incident = sandbox.new_incident()
        Unfinished.begin(incident, RollbackRequest(RollbackKind.SERVICE, plan.commit, ("backend",)))
    (refusal,) = refusals(Asked(sandbox.target, plan, Allowed(again=True), incident=incident.id))
    assert "one without a rollback" in str(refusal)
    assert not list(refusals(Asked(sandbox.target, plan, Allowed(again=True))))


@pytest.mark.parametrize("free", [1, 2.5])
def test_without_room_for_safety_copy_and_export_nothing_begins(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, free: float
) -> None:
    """Both are on one disk here."""
    plan = plan_database(sandbox.target, "mysql")
    assert plan.backup is not None
    size = plan.backup.stores["mysql"].size

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free * size))
    with pytest.raises(UsageProblem, match="room for what the stores hold now"):
        refuse(sandbox.target, plan, Allowed(confirm="sandbox", over_budget=True, again=True))
    refuse(sandbox.target, plan_service(sandbox.target, "backend"), Allowed())


def test_what_is_left_of_the_budget_belongs_to_the_step_that_runs() -> None:
    schedule = Schedule({Stage.STOP: 10.0, Stage.RESTORE: 40.0, Stage.START: 25.0}, 300.0)
    assert not schedule.over_budget
    assert schedule.deadline(Stage.RESTORE, 280.0) == 255.0
    assert schedule.deadline(Stage.START, 143.0) == 143.0
    # A start is tried, however late it is.
    assert schedule.deadline(Stage.START, 0.0) == 37.5
    assert replace(schedule, expected={Stage.KEEP: 12.0}).deadline(Stage.KEEP, 0.0) == 72.0


COMMIT = "c" * 40
EMERGENCY = RollbackRequest(RollbackKind.EMERGENCY, COMMIT)
MYSQL = RollbackRequest(RollbackKind.DATABASE, COMMIT, ("mysql",))
REDIS = RollbackRequest(RollbackKind.DATABASE, COMMIT, ("redis",))
BACKEND = RollbackRequest(RollbackKind.SERVICE, COMMIT, ("backend",))
FULL = RollbackRequest(RollbackKind.FULL, COMMIT)


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
    "other",
    [EMERGENCY, FULL, REDIS, BACKEND, RollbackRequest(RollbackKind.DATABASE, "d" * 40, ("mysql",))],
    ids=str,
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


def test_a_wider_rollback_that_succeeds_leaves_nothing_to_resume(tmp_path: Path) -> None:
    failed, killed, aside = (_begun(tmp_path, request) for request in (MYSQL, BACKEND, REDIS))
    done = _begun(tmp_path, EMERGENCY)
    assert sorted(supersede_covered(tmp_path, "staging", EMERGENCY, done)) == sorted(
        [failed.id, killed.id, aside.id]
    )
    assert [one.incident.id for one in unfinished_of(tmp_path, "staging")] == [done.id]
    assert json.loads((failed.folder / "superseded.json").read_text())["by"] == done.id
    # It did not succeed, whatever another one did later.
    assert killed.rollback_verdicts() == [Verdict.FAILED]
    record = killed.rollback()
    assert record is not None
    assert (record.kind, record.names) == ("service", ("backend",))


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


def test_a_rollback_of_another_target_holds_nobody_up(sandbox: Sandbox) -> None:
    plan = plan_emergency(sandbox.target, sandbox.commit)
    incident = _rolled_back(sandbox, plan.request)
    record = json.loads((incident.folder / "incident.json").read_text())
    (incident.folder / "incident.json").write_text(json.dumps({**record, "target": "another"}))
    refuse(sandbox.target, plan, Allowed())


def test_the_newest_comes_first(tmp_path: Path) -> None:
    begun = [_begun(tmp_path, request).id for request in (BACKEND, MYSQL, EMERGENCY)]
    for number, identity in enumerate(begun):
        path = tmp_path / identity / "unfinished.json"
        record = json.loads(path.read_text())
        record["started"]["wall"] = f"2026-01-0{3 - number}T00:00:00.000+00:00"
        path.write_text(json.dumps(record))
    assert [one.incident.id for one in unfinished_of(tmp_path, "staging")] == begun
