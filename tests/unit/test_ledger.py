"""Runs, gates and the verdict that they add up to."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from fixtures.errors import Meaning
from fixtures.gating.gate import gate_of
from fixtures.incident.incident import Incident, RollbackRecord, new_incident
from fixtures.incident.ledger import Planned, Result, Run, runs
from fixtures.incident.tally import same_zero, tally
from fixtures.stages import PHASES
from fixtures.system.clock import Moment
from fixtures.target.profile import Windows
from fixtures.verdict import Verdict, combine


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
            results.append(Result(f"{phase}::check", phase, verdict, 0.1, reason, Moment.now()))
    return run


def _rolled_back(incident: Incident, verdict: str = "passed") -> None:
    now = Moment.now()
    incident.write_rollback(RollbackRecord("c" * 40, verdict, 1.0, now, now))


def _zero(run: Run) -> Moment:
    facts = run.facts()
    assert facts is not None
    return facts.zero


def test_numbers_are_taken_once(incident: Incident) -> None:
    assert [_run(incident).number, _run(incident).number] == [1, 2]
    assert [run.number for run in runs(incident.folder)] == [1, 2]


def test_all_four_passed(incident: Incident) -> None:
    _rolled_back(incident)
    _run(incident, *PHASES)
    verdict = tally(incident, Windows())
    assert verdict.verdict is Verdict.PASSED
    assert verdict.partial == ()
    assert verdict.rto_seconds is not None


def test_a_lost_check_is_broken(incident: Incident) -> None:
    _run(incident, *PHASES, report=False)
    verdict = tally(incident, Windows())
    assert verdict.verdict is Verdict.BROKEN
    assert verdict.phases["phase1"].checks.broken == 1
    reason = "no result: the check was planned and never reported"
    assert verdict.phases["phase1"].first == ("phase1::check", reason)


def test_a_failed_rollback_is_never_passed(incident: Incident) -> None:
    _rolled_back(incident, "failed")
    _run(incident, *PHASES)
    assert tally(incident, Windows()).verdict is Verdict.FAILED


def test_a_phase_that_did_not_run_is_not_known(incident: Incident) -> None:
    _run(incident, *PHASES[:3])
    verdict = tally(incident, Windows())
    assert verdict.verdict is Verdict.BROKEN
    assert verdict.partial == ("phase4 has not run",)


def test_nothing_ran(incident: Incident) -> None:
    assert tally(incident, Windows()).verdict is Verdict.BROKEN


def test_runs_before_the_rollback_do_not_count(incident: Incident) -> None:
    _run(incident, *PHASES)
    _rolled_back(incident)
    assert tally(incident, Windows()).verdict is Verdict.BROKEN
    run = _run(incident, "phase2")
    rollback = incident.rollback()
    assert rollback is not None
    gate = gate_of("phase2", run, same_zero(incident, rollback.finished, before=run.number))
    assert gate.reason == "phase1 has not run in this incident"


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
    gate = gate_of("phase3", run, same_zero(incident, _zero(run), before=run.number))
    assert not gate.open
    assert gate.reason.startswith("phase1 did not pass: phase1::check failed")
    _run(incident, "phase1")
    again = _run(incident, "phase3", report=False)
    gate = gate_of("phase3", again, same_zero(incident, _zero(again), before=again.number))
    assert gate.reason == "phase1 ran after phase2: phase2 must run again"


def test_blocked_checks_take_no_time(incident: Incident) -> None:
    run = Run.begin(incident.folder, Moment.now(), gated=True)
    run.write_plan({"phase1": Planned(("ran", "blocked"))})
    ran = Moment.now()
    late = Moment(wall=ran.wall, since_boot=ran.since_boot + 100, boot=ran.boot)
    with closing(run.writer()) as results:
        results.append(Result("ran", "phase1", Verdict.PASSED, 2.0, "", ran))
        results.append(Result("blocked", "phase1", Verdict.BLOCKED, 0.0, "why", late))
    assert tally(incident, Windows()).phases["phase1"].seconds == 2.0


def test_a_result_keeps_what_it_means_and_an_older_one_means_nothing_special(incident: Incident) -> None:
    run = Run.begin(incident.folder, Moment.now(), gated=True)
    with closing(run.writer()) as results:
        results.append(Result("lost", "phase4", Verdict.FAILED, 1, "", Moment.now(), (), Meaning.DATA_LOSS))
        results.append(Result("other", "phase4", Verdict.FAILED, 1, "", Moment.now()))
    assert {name: result.means for name, result in run.results().items()} == {
        "lost": Meaning.DATA_LOSS,
        "other": Meaning.OTHER,
    }
    first, second = (run.folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert '"means":"data-loss"' in first.replace(" ", "")
    assert "means" not in second
