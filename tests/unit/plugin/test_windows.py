"""Limits of time: windows, checks that hang, and clocks that jump.

No time is waited for: moments are shifted, and a check that hangs is one during which the alarm rings.
"""

from __future__ import annotations

import pytest

from fixtures.gating.windows import OUTER_GRACE_SECONDS
from reports.verdict.verdict import read_verdict
from rollproof.errors import ExitCode
from rollproof.incident.incident import RollbackRecord, load_incident, new_incident
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.conftest import write_profile
from tests.plugin_sandbox import Here
from tests.run_outcome import Outcome
from tests.unit.clock import ago

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
FOUR = {f"test_{n}": f"@pytest.mark.phase{n}\ndef test_p{n}(): note('p{n}')" for n in range(1, 5)}


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
    sandbox.checks(**FOUR)
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
