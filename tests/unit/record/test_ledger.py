"""Runs, gates and the verdict that they add up to."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.gating.gate import gate_of
from rollproof.incident.incident import Incident, RollbackRecord, new_incident
from rollproof.incident.ledger import CheckResult, Planned, Run, runs
from rollproof.incident.tally import run_verdicts, runs_of_span, tally
from rollproof.profile.profile import Window, Windows
from rollproof.runbook import PHASES
from rollproof.system.clock import Moment
from rollproof.verdict import FirstRed, Verdict, combine


@pytest.fixture
def incident(tmp_path: Path) -> Incident:
    return new_incident(tmp_path, "staging")


def _run(incident: Incident, *phases: str, verdict: Verdict = Verdict.PASSED, report: bool = True) -> Run:
    rollback = incident.rollback()
    zero = rollback.finished if rollback else Moment.now()
    run = Run.begin(incident.folder, zero, gated=True)
    run.write_plan({phase: Planned((f"{phase}::check",)) for phase in phases})
    for phase in phases if report else ():
        reason = "" if verdict is Verdict.PASSED else "why"
        with closing(run.writer()) as results:
            results.write(CheckResult(f"{phase}::check", phase, verdict, 0.1, reason, Moment.now()))
    return run


def _rolled_back(incident: Incident, verdict: Verdict = Verdict.PASSED) -> None:
    now = Moment.now()
    incident.write_rollback(RollbackRecord("c" * 40, verdict, 1.0, now, now))


def _earlier(incident: Incident, run: Run) -> list[Run]:
    facts = run.facts()
    assert facts is not None
    return runs_of_span(incident, facts.zero, facts.started, Windows(), before=run.number)


def test_numbers_are_taken_once(incident: Incident) -> None:
    assert [_run(incident).number, _run(incident).number] == [1, 2]
    assert [run.number for run in runs(incident.folder)] == [1, 2]


@pytest.mark.parametrize("name", ["0²", "0٣", "00001", "1", "0001x"])
def test_a_folder_that_no_run_is_named_as_is_none(incident: Incident, name: str) -> None:
    _run(incident)
    (incident.folder / "ledger" / name).mkdir()
    assert [run.number for run in runs(incident.folder)] == [1]


def test_a_lost_check_is_broken(incident: Incident) -> None:
    run = _run(incident, *PHASES, report=False)
    # By these the exit code is chosen.
    assert run_verdicts(run) == [Verdict.BROKEN] * len(PHASES)
    verdict = tally(incident, Windows())
    assert verdict.verdict is Verdict.BROKEN
    assert verdict.phases["phase1"].checks.broken == 1
    reason = "no result: the check was planned and never reported"
    assert verdict.phases["phase1"].first == FirstRed("phase1::check", reason)


def test_a_failed_rollback_is_never_passed(incident: Incident) -> None:
    _rolled_back(incident, Verdict.FAILED)
    _run(incident, *PHASES)
    assert tally(incident, Windows()).verdict is Verdict.FAILED


def test_a_phase_that_did_not_run_is_not_known(incident: Incident) -> None:
    _run(incident, *PHASES[:3])
    verdict = tally(incident, Windows())
    assert verdict.verdict is Verdict.BROKEN
    assert verdict.partial == ("phase4 has not run",)


def test_runs_before_the_rollback_do_not_count(incident: Incident) -> None:
    _run(incident, *PHASES)
    _rolled_back(incident)
    assert tally(incident, Windows()).verdict is Verdict.BROKEN
    run = _run(incident, "phase2")
    gate = gate_of("phase2", run, _earlier(incident, run))
    assert gate.reason == "phase1 has not run in this span of the incident's verification"


def test_the_newest_run_of_a_phase_counts(incident: Incident) -> None:
    _run(incident, "phase1", verdict=Verdict.FAILED)
    _run(incident, *PHASES)
    assert tally(incident, Windows()).verdict is Verdict.PASSED
    _run(incident, "phase1", verdict=Verdict.FAILED)
    assert tally(incident, Windows()).verdict is Verdict.FAILED


def test_a_torn_result_is_no_result(incident: Incident) -> None:
    run = _run(incident, "phase1")
    path = run.folder / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    assert run.results() == {}


def test_worst_verdict_wins() -> None:
    assert combine([]) is Verdict.BROKEN
    assert combine([Verdict.PASSED, Verdict.BLOCKED]) is Verdict.BROKEN
    assert combine([Verdict.BROKEN, Verdict.FAILED, Verdict.PASSED]) is Verdict.FAILED


def test_moments_ignore_a_jump_of_the_wall_clock() -> None:
    early = Moment(wall="2026-01-01T00:00:00.000+00:00", since_boot=100.0, boot="b")
    late = Moment(wall="2025-01-01T00:00:00.000+00:00", since_boot=103.5, boot="b")
    assert late.seconds_since(early) == 3.5
    other_boot = Moment(wall="2026-01-01T00:00:10.000+00:00", since_boot=1.0, boot="c")
    assert other_boot.seconds_since(early) == 10.0


def test_a_phase_that_stood_on_one_which_ran_again_no_longer_counts(incident: Incident) -> None:
    _rolled_back(incident)
    _run(incident, *PHASES)
    _run(incident, "phase2")
    partial = tally(incident, Windows()).partial
    assert partial == ("phase3 has not run", "phase4 has not run")


def test_a_phase_stands_on_all_before_it(incident: Incident) -> None:
    _rolled_back(incident)
    _run(incident, "phase1", verdict=Verdict.FAILED)
    _run(incident, "phase2")
    run = _run(incident, "phase3", report=False)
    gate = gate_of("phase3", run, _earlier(incident, run))
    assert not gate.open
    assert gate.reason.startswith("phase1 did not pass: phase1::check failed")
    _run(incident, "phase1")
    again = _run(incident, "phase3", report=False)
    gate = gate_of("phase3", again, _earlier(incident, again))
    assert gate.reason == "phase1 ran after phase2: phase2 must run again"


def test_blocked_checks_take_no_time(incident: Incident) -> None:
    run = Run.begin(incident.folder, Moment.now(), gated=True)
    run.write_plan({"phase1": Planned(("ran", "blocked"))})
    ran = Moment.now()
    late = Moment(wall=ran.wall, since_boot=ran.since_boot + 100, boot=ran.boot)
    with closing(run.writer()) as results:
        results.write(CheckResult("ran", "phase1", Verdict.PASSED, 2.0, "", ran))
        results.write(CheckResult("blocked", "phase1", Verdict.BLOCKED, 0.0, "why", late))
    assert tally(incident, Windows()).phases["phase1"].seconds == 2.0


def _began(run: Run, ago: float) -> None:
    """Make `run` one that began `ago` seconds earlier than it did."""
    path = run.folder / "run.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    facts["started"]["since_boot"] -= ago
    path.write_text(json.dumps(facts), encoding="utf-8")


WEEK = 7 * 86400.0
SPAN = 600.0


@pytest.mark.parametrize("rolled_back", [False, True], ids=["without a rollback", "after a rollback"])
# A clock that was set back since makes it one of the future.
@pytest.mark.parametrize(
    ("ago", "opens"),
    [(SPAN - 60, True), (SPAN + 60, False), (WEEK, False), (-SPAN - 60, False), (-WEEK, False)],
)
def test_a_gate_is_opened_by_phases_of_the_same_span_alone(
    incident: Incident, *, rolled_back: bool, ago: float, opens: bool
) -> None:
    if rolled_back:
        _rolled_back(incident)
    _began(_run(incident, "phase1"), ago)
    run = _run(incident, "phase2")
    gate = gate_of("phase2", run, _earlier(incident, run))
    assert gate.open is opens
    assert opens or gate.reason == "phase1 has not run in this span of the incident's verification"


def test_the_windows_of_the_profile_are_the_span(incident: Incident) -> None:
    _began(_run(incident, "phase1"), 900)
    run = _run(incident, "phase2")
    facts, wide = run.facts(), Windows(phase4=Window(start=300, end=1200))
    assert facts is not None
    assert gate_of("phase2", run, runs_of_span(incident, facts.zero, facts.started, wide, before=2)).open


def test_phases_of_another_span_are_no_part_of_the_verdict(incident: Incident) -> None:
    _began(_run(incident, *PHASES[:3]), WEEK)
    _run(incident, "phase4")
    verdict = tally(incident, Windows())
    assert verdict.verdict is Verdict.BROKEN
    assert verdict.partial[:3] == ("phase1 has not run", "phase2 has not run", "phase3 has not run")
    # As before, an incident that rests keeps its verdict.
    for run in runs(incident.folder):
        _began(run, WEEK)
    assert tally(incident, Windows()) == verdict


def late(run: Run, phase: str, seconds: float) -> None:
    """Make `phase` of `run` one that began `seconds` after its zero."""
    facts = run.facts()
    assert facts is not None
    run.begin_phase(phase, replace(facts.zero, since_boot=facts.zero.since_boot + seconds))


def test_a_late_phase_is_failed_and_says_what_it_found(incident: Incident) -> None:
    _rolled_back(incident)
    run = _run(incident, *PHASES)
    late(run, "phase2", 500)
    verdict = tally(incident, Windows())
    assert (verdict.verdict, verdict.found, verdict.verified) == (Verdict.FAILED, Verdict.PASSED, True)
    assert verdict.late_phases is not None
    assert verdict.late_phases.startswith(
        "phase2: expected done within 180 s, observed begun after 500.0 s, done after "
    )
    assert verdict.late_phases.endswith(" (from end of the rollback)")
    assert {name: (phase.verdict, phase.late) for name, phase in verdict.phases.items()} == {
        name: ((Verdict.FAILED, True) if name == "phase2" else (Verdict.PASSED, False)) for name in PHASES
    }


@pytest.mark.parametrize("found", [Verdict.FAILED, Verdict.BROKEN])
def test_what_a_late_phase_found_is_named_with_its_lateness(incident: Incident, found: Verdict) -> None:
    run = _run(incident, *PHASES, verdict=found)
    late(run, "phase1", 500)
    verdict = tally(incident, Windows())
    assert (verdict.verdict, verdict.found, verdict.verified) == (Verdict.FAILED, found, False)
    assert verdict.phases["phase1"].first == FirstRed("phase1::check", "why")


def test_a_run_that_was_killed_in_a_late_phase_is_late(incident: Incident) -> None:
    late(_run(incident, "phase1", report=False), "phase1", 120)
    assert tally(incident, Windows()).late_phases is None
    late(_run(incident, "phase1", report=False), "phase1", 500)
    verdict = tally(incident, Windows())
    assert verdict.late_phases == (
        "phase1: expected done within 120 s, observed begun after 500.0 s (from start of the session)"
    )
    assert verdict.found is Verdict.BROKEN


def test_a_phase_begins_once(incident: Incident) -> None:
    run = _run(incident, "phase1")
    first = Moment.now()
    run.begin_phase("phase1", first)
    run.begin_phase("phase1", Moment.now())
    assert run.begun("phase1") == first
    assert run.begun("phase2") is None
