"""Order, gates and limits of time of the phases. Nothing waits: moments are shifted, alarms are rung."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.gating.windows import OUTER_GRACE_SECONDS
from reports.verdict.verdict import read_verdict
from rollproof.errors import ExitCode
from rollproof.incident.incident import RollbackRecord, load_incident, new_incident
from rollproof.incident.tally import tally
from rollproof.profile.profile import Windows
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.conftest import write_profile
from tests.plugin_sandbox import Here
from tests.run_outcome import Outcome
from tests.unit.clock import ago

FOUR = {
    # Named so that neither the alphabet nor the command line gives the right order.
    "test_a": "@pytest.mark.phase4\ndef test_four(): pass",
    "test_b": "@pytest.mark.phase3\ndef test_three(): pass",
    "test_c": "@pytest.mark.phase2\ndef test_two(): pass",
    "test_d": "@pytest.mark.phase1\ndef test_one(): pass\n@pytest.mark.phase1\ndef test_uno(): pass",
}
PART = "a part of the checks on the command line"


def test_a_failed_phase_blocks_the_rest_with_the_first_cause(sandbox: Here) -> None:
    sandbox.checks(**FOUR, test_e="@pytest.mark.phase1\ndef test_broken_disk(): assert False, 'disk is full'")
    outcome = sandbox.run("-rs")
    assert outcome.code == ExitCode.FAILED
    results = outcome.results()
    assert results["test_broken_disk"]["verdict"] == "failed"
    for name in ("test_two", "test_three", "test_four"):
        assert results[name]["verdict"] == "blocked"
        assert "test_broken_disk failed: disk is full" in results[name]["reason"]
    assert "test_broken_disk" in outcome.text
    # So it does in another run.
    outcome = sandbox.run("-m", "phase2")
    assert (outcome.code, outcome.verdicts()) == (ExitCode.BLOCKED, {"test_two": "blocked"})
    # Without a gate it holds nothing up, and verifies nothing.
    outcome = sandbox.run("--no-gate")
    assert sorted(outcome.verdicts().values()) == ["failed", *["passed"] * 5]


def test_phases_in_runs_of_their_own(sandbox: Here) -> None:
    sandbox.checks(**FOUR)
    for phase in ("phase1", "phase2", "phase3", "phase4"):
        outcome = sandbox.run("-m", phase)
        assert outcome.code == ExitCode.VERIFIED, phase
    assert outcome.incident is not None
    assert (outcome.incident / "closed.json").exists()
    assert len(list(outcome.incident.parent.glob("*/incident.json"))) == 1
    # A verified incident is over: the next run is about a new one.
    sandbox.run("-m", "phase1", "--no-gate")
    assert len(list(outcome.incident.parent.glob("*/incident.json"))) == 2
    blocked = sandbox.run("-m", "phase2")
    assert blocked.results()["test_two"]["reason"] == "phase1 ran without its gate"


def test_steps_run_in_order_before_phases(sandbox: Here) -> None:
    steps = {
        f"test_{'edcba'[number]}": f"@pytest.mark.step{number + 1}\ndef test_step(): note('step{number + 1}')"
        for number in range(5)
    }
    sandbox.checks(test_z="@pytest.mark.phase1\ndef test_one(): note('phase1')", **steps)
    sandbox.run()
    assert sandbox.notes() == ["step1", "step2", "step3", "step4", "step5", "phase1"]


@pytest.mark.parametrize(
    "order",
    [
        ["-p", "randomly", "-p", "no:cacheprovider", "--randomly-seed=1"],
        ["--ff"],
    ],
    ids=["randomly", "failed first"],
)
def test_nothing_else_changes_the_order(sandbox: Here, order: list[str]) -> None:
    failed = "@pytest.mark.phase3\ndef test_tres(): assert os.path.exists('mended')"
    sandbox.checks(**FOUR | ({"test_e": failed} if order[0].startswith("--") else {}))
    if order[0].startswith("--"):
        assert sandbox.run().code == ExitCode.FAILED
        (sandbox.folder / "mended").touch()
        sandbox.checks(test_f="@pytest.mark.phase4\ndef test_quatro(): pass")
    outcome = sandbox.run(*order)
    phases = [record["phase"] for record in outcome.results().values()]
    assert phases == sorted(phases)
    assert "failed" not in outcome.verdicts().values()


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (["-k", "test_one or test_more"], "1 of its checks were deselected"),
        (["checks/test_d.py"], PART),
        (["checks/test_d.py::test_one"], "node ids on the command line"),
        (["--ignore", "checks/test_e.py"], "--ignore"),
        (["-o", "python_functions=test_one test_uno test_two"], "python_functions"),
    ],
)
def test_a_partial_selection_never_opens_a_gate(sandbox: Here, selection: list[str], words: str) -> None:
    sandbox.checks(**FOUR, test_e="@pytest.mark.phase1\ndef test_more(): pass")
    outcome = sandbox.run("-m", "phase1", *selection)
    assert outcome.code == ExitCode.VERIFIED
    assert outcome.incident is not None
    partial = tally(load_incident(outcome.incident), Windows()).partial
    assert f"phase1 ran in part only ({words})" in partial
    blocked = sandbox.run("-m", "phase2")
    assert blocked.code == ExitCode.BLOCKED
    assert words in blocked.results()["test_two"]["reason"]


def test_what_selects_or_runs_no_check_is_not_zero(sandbox: Here) -> None:
    sandbox.checks(**FOUR)
    assert sandbox.run("-k", "no_such_check").code == ExitCode.NOTHING_SELECTED
    outcome = sandbox.run("-m", "phase1", "--setup-only")
    assert outcome.code == ExitCode.BROKEN
    assert outcome.results()["test_one"]["reason"] == "the body of the check did not run"


def test_a_run_without_a_target_is_a_usage_error(sandbox: Here) -> None:
    sandbox.options = []
    sandbox.checks(**FOUR)
    outcome = sandbox.run()
    assert outcome.code == ExitCode.USAGE
    assert "target: expected the path of a profile" in outcome.text
    assert "Traceback" not in outcome.text


def test_a_check_without_a_case_is_no_check(sandbox: Here) -> None:
    sandbox.plugins("fixtures.target", "fixtures.cases")
    sandbox.checks(test_e="@pytest.mark.phase1\ndef test_none(relation): assert False", **FOUR)
    assert sandbox.run("-m", "phase1").code == ExitCode.VERIFIED


def test_a_failed_rollback_is_never_verified(sandbox: Here) -> None:
    sandbox.checks(**FOUR)
    incident = new_incident(sandbox.folder / "incidents", "sandbox")
    now = Moment.now()
    incident.write_rollback(RollbackRecord("c" * 40, Verdict.FAILED, 1.0, now, now))
    assert sandbox.run().code == ExitCode.FAILED
    incident.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 1.0, now, now))
    (incident.folder / "unfinished.json").write_text("{}")
    assert sandbox.run().code == ExitCode.BROKEN
    assert not incident.closed


def test_what_is_verified_and_late_failed_for_that_alone(sandbox: Here) -> None:
    incident, now = new_incident(sandbox.folder / "incidents", "sandbox"), Moment.now()
    # It ended now, and took longer than the objective: the windows of the phases are all kept.
    began = replace(now, since_boot=now.since_boot - 700)
    incident.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 700.0, began, now))
    sandbox.recorded()
    sandbox.checks(**FOUR)
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    assert set(outcome.verdicts().values()) == {"passed"}
    (line,) = [line for line in outcome.text.splitlines() if line.startswith("  late ")]
    assert "downtime, from the beginning of the rollback to the verified end: expected at most 600 s" in line
    verdict = read_verdict(incident.folder)
    assert (verdict.verdict, verdict.verified) == ("failed", True)
    assert verdict.late
    # Nothing is left to do in that incident.
    assert incident.closed


@pytest.mark.parametrize("reported", [1, 2, 3])
def test_a_phase_of_which_a_part_reported_opens_no_gate(sandbox: Here, reported: int) -> None:
    """Interrupted in the next check, however many have passed."""
    sandbox.checks(
        test_a="@pytest.mark.phase1\n@pytest.mark.parametrize('n', range(4))\n"
        f"def test_one(n):\n    if n == {reported}: raise KeyboardInterrupt",
        test_b="@pytest.mark.phase2\ndef test_two(): pass",
    )
    assert sandbox.run("-m", "phase1").code == ExitCode.INTERRUPTED
    outcome = sandbox.run("-m", "phase2")
    assert outcome.code == ExitCode.BLOCKED
    reason = outcome.results()["test_two"]["reason"]
    assert reason.startswith(f"phase1 is not complete: {reported} of 4 reported, not ")


RINGS = "signal.raise_signal(signal.SIGALRM)"


def rolled_back(sandbox: Here, finished: Moment) -> None:
    """Open an incident whose rollback ended at `finished`."""
    incident = new_incident(sandbox.folder / "incidents", "sandbox")
    incident.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 1.0, finished, finished))


def test_a_check_whose_window_ends_while_it_runs_is_late_and_shows_where_it_waited(sandbox: Here) -> None:
    sandbox.checks(
        test_a=f"def waits(clock):\n    clock.turn(121)\n    {RINGS}\n"
        "@pytest.mark.phase1\ndef test_one(clock): waits(clock)",
    )
    outcome = sandbox.run("--tb=short")
    assert outcome.code == ExitCode.FAILED
    reason = outcome.results()["test_one"]["reason"]
    assert reason.startswith("late: phase1: expected done within 120 s, observed still running after 121")
    assert "s of them its own" in reason
    assert "in test_one" in outcome.text
    assert "in waits" in outcome.text


@pytest.mark.parametrize(
    "body",
    [
        f"def test_one(): {RINGS}",
        f"@pytest.fixture\ndef store(): {RINGS}\n{{mark}}def test_one(store): pass",
        f"@pytest.fixture\ndef store():\n    yield\n    {RINGS}\n{{mark}}def test_one(store): pass",
        f"@pytest.fixture\ndef store():\n    yield\n    {RINGS}\n{{mark}}def test_one(store): assert False",
    ],
    ids=["check", "fixture", "end of fixture", "end after a failure"],
)
def test_whatever_hangs_is_late_at_the_checks_own_limit(sandbox: Here, body: str) -> None:
    mark = "@pytest.mark.phase1\n@pytest.mark.timeout(100)\n"
    sandbox.checks(test_a=body.replace("{mark}", mark) if "{mark}" in body else mark + body)
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    if "assert" not in body:
        reason = outcome.results()["test_one"]["reason"]
        assert reason.startswith("late: phase1: expected done within 120 s")
        assert "its own limit over" in reason
    else:
        assert "its own limit over" in outcome.text


@pytest.mark.parametrize(
    ("mark", "gone", "seconds"),
    [("", 0, 120), ("@pytest.mark.timeout(50)\n", 0, 50), ("", 400, 120)],
    ids=["window", "own limit", "late phase"],
)
def test_each_part_of_a_check_has_an_alarm_and_its_process_an_end_a_little_later(
    sandbox: Here, mark: str, gone: float, seconds: float
) -> None:
    write_profile(sandbox.folder, "[windows]\nverification = 10000\n")
    rolled_back(sandbox, ago(gone))
    alarm = "note(signal.getitimer(signal.ITIMER_REAL)[0])"
    sandbox.checks(
        test_a=f"@pytest.fixture\ndef store():\n    {alarm}\n    yield\n    {alarm}\n"
        f"@pytest.mark.phase1\n{mark}def test_one(store):\n    {alarm}"
    )
    sandbox.run()
    alarms = [float(note) for note in sandbox.notes()]
    assert len(alarms) == 3
    assert all(0 < left <= seconds for left in alarms)
    # Set for the collection and for each part of the check, and called off when the verdict is written.
    whole, *parts = (left - OUTER_GRACE_SECONDS for left in sandbox.hard_timer if left is not None)
    assert (whole, parts) == (10_000, [120] * 3)
    assert sandbox.hard_timer[-1] is None


def told_late(outcome: Outcome) -> list[str]:
    """Return the terminal's lines about phases after their windows."""
    return [line for line in outcome.text.splitlines() if line.startswith("  late ")]


FIVE_OF_PHASE_1 = (
    "@pytest.mark.phase1\n@pytest.mark.parametrize('n', range(5))\n"
    "def test_one(n):\n    note(f'ran{n}')\n    assert n != 3, 'the disk is full'"
)
ONE_EACH = {f"test_{n}": f"@pytest.mark.phase{n}\ndef test_p{n}(): note('p{n}')" for n in range(1, 5)}


def test_a_phase_begun_after_its_window_runs_all_its_checks_and_is_late_once(sandbox: Here) -> None:
    sandbox.recorded()
    sandbox.checks(test_a=FIVE_OF_PHASE_1)
    rolled_back(sandbox, ago(400))
    outcome = sandbox.run("-m", "phase1")
    assert outcome.code == ExitCode.FAILED
    assert sorted(sandbox.notes()) == [f"ran{n}" for n in range(5)]
    assert sorted(outcome.verdicts().values()) == ["failed", *["passed"] * 4]
    assert "the disk is full" in outcome.results()["test_one[3]"]["reason"]
    (line,) = told_late(outcome)
    assert "phase1: expected done within 120 s, observed begun after 4" in line
    assert "(from end of the rollback)" in line
    assert "the disk is full" in outcome.text
    assert outcome.incident is not None
    verdict = read_verdict(outcome.incident)
    assert (verdict.verdict, verdict.found, verdict.verified) == ("failed", "failed", False)
    assert verdict.phases["phase1"].late
    assert (verdict.phases["phase1"].checks.passed, verdict.phases["phase1"].checks.failed) == (4, 1)


def test_a_verification_that_is_late_and_green_says_only_that(sandbox: Here) -> None:
    """Phases after a late one run too: what they see is as true as before."""
    sandbox.recorded()
    sandbox.checks(**ONE_EACH)
    rolled_back(sandbox, ago(400))
    (named,) = (sandbox.folder / "incidents").iterdir()
    outcome = sandbox.run(f"--incident={named.name}")
    assert outcome.code == ExitCode.FAILED
    assert sandbox.notes() == ["p1", "p2", "p3", "p4"]
    assert set(outcome.verdicts().values()) == {"passed"}
    assert len(told_late(outcome)) == 1
    assert "FAILED: every check of all four phases ran and passed, but not in time" in outcome.text
    incident = load_incident(named)
    verdict = read_verdict(named)
    assert (verdict.verdict, verdict.found, verdict.verified) == ("failed", "passed", True)
    late = [name for name, phase in verdict.phases.items() if phase.late]
    assert late == ["phase1", "phase2", "phase3"]
    assert {name for name, phase in verdict.phases.items() if phase.verdict == "failed"} == set(late)
    # As with the downtime: to verify it again makes it no earlier.
    assert incident.closed


def test_checks_for_which_no_time_is_left_are_blocked_and_told_in_one_line(sandbox: Here) -> None:
    sandbox.recorded()
    sandbox.checks(
        test_a="@pytest.mark.phase1\ndef test_one(clock): clock.turn(200)",
        test_b="@pytest.mark.phase2\n@pytest.mark.parametrize('n', range(6))\ndef test_two(n): pass",
        test_c="@pytest.mark.phase3\ndef test_three(): pass",
    )
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    assert sorted(outcome.verdicts().values()) == [*["blocked"] * 7, "passed"]
    assert "ERROR" not in outcome.text
    (line,) = told_late(outcome)
    assert "; verification: expected done within 180 s, observed not begun after 200.0 s" in line
    assert line.endswith(": 7 checks")
    assert "  blocked " not in outcome.text
