"""Limits of time: windows, checks that hang, and clocks that jump.

No window is waited for in full: a check begins when most of its time is gone, and windows may be over when it
begins. None is so short that a slow machine would make it another case.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from reports.verdict.verdict import read_verdict
from rollproof.errors import ExitCode
from rollproof.incident.incident import RollbackRecord, load_incident, new_incident
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.conftest import write_profile
from tests.pytester.conftest import ALONE_AND_AT_LENGTH_WITH_WORKERS, ALONE_AND_WITH_WORKERS, Outcome, Sandbox

HANGS = "time.sleep(60)"
# The time of the whole run is over before the first check of phase 2.
ALL_IS_OVER = """
from dataclasses import replace
import pytest
from fixtures.gating.verification import VERIFICATION
from fixtures.gating.stages import stage_of
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    if stage_of(item) == "phase2":
        facts = item.config.stash[VERIFICATION]
        item.config.stash[VERIFICATION] = replace(
            facts, started=replace(facts.started, since_boot=facts.started.since_boot - 200)
        )
    return (yield)
"""
# What a process says that is ended when nothing else could stop it.
ENDED = "Timeout (0:"


def rolled_back(sandbox: Sandbox, finished: Moment) -> None:
    """Open an incident whose rollback ended at `finished`."""
    incident = new_incident(sandbox.pytester.path / "incidents", "sandbox")
    incident.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 1.0, finished, finished))


def seconds_ago(seconds: float) -> Moment:
    now = Moment.now()
    return replace(now, since_boot=now.since_boot - seconds)


@ALONE_AND_WITH_WORKERS
def test_a_hung_check_is_late_at_the_end_of_its_window(sandbox: Sandbox) -> None:
    sandbox.time_is_nearly_up()
    sandbox.grace(60)
    sandbox.checks(
        test_a=f"def waits():\n    {HANGS}\n@pytest.mark.phase1\ndef test_one(): waits()",
    )
    outcome = sandbox.run("--tb=short")
    assert outcome.code == ExitCode.FAILED
    reason = outcome.results()["test_one"]["reason"]
    assert reason.startswith("late: phase1: expected done within 120 s, observed still running after ")
    assert "s of them its own" in reason
    # Its stack.
    assert "in test_one" in outcome.text
    assert "in waits" in outcome.text


@pytest.mark.parametrize(
    "body",
    [
        f"def test_one(): {HANGS}",
        f"@pytest.fixture\ndef store(): {HANGS}\n{{mark}}def test_one(store): pass",
        f"@pytest.fixture\ndef store():\n    yield\n    {HANGS}\n{{mark}}def test_one(store): pass",
    ],
    ids=["check", "fixture", "end of fixture"],
)
def test_whatever_hangs_is_late_at_the_checks_own_limit(sandbox: Sandbox, body: str) -> None:
    mark = "@pytest.mark.phase1\n@pytest.mark.timeout(1)\n"
    sandbox.checks(test_a=body.replace("{mark}", mark) if "{mark}" in body else mark + body)
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    reason = outcome.results()["test_one"]["reason"]
    assert reason.startswith("late: phase1: expected done within 120 s")
    assert "its own limit over" in reason


@ALONE_AND_WITH_WORKERS
def test_what_no_signal_can_stop_ends_with_its_process(sandbox: Sandbox) -> None:
    """A driver in C may not come back to Python, as here a sleep that lets no signal through."""
    sandbox.time_is_nearly_up()
    sandbox.grace(0.3)
    sandbox.checks(
        test_a="@pytest.mark.phase1\ndef test_one():\n"
        f"    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n    {HANGS}",
        test_b="@pytest.mark.phase2\ndef test_two(): pass",
    )
    outcome = sandbox.run("-m", "phase1")
    assert outcome.code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}
    assert ENDED in outcome.text
    assert "in test_one" in outcome.text, "its stack"
    if sandbox.parallel:
        assert outcome.code == ExitCode.BROKEN
        assert outcome.results()["test_one"]["reason"] == "the worker that ran it died"
    after = sandbox.run("-m", "phase2")
    assert after.code == ExitCode.BLOCKED
    assert "phase1" in after.results()["test_two"]["reason"]


def test_a_check_that_failed_may_not_hang_either(sandbox: Sandbox) -> None:
    """What went wrong calls off pytest's own timers."""
    sandbox.time_is_nearly_up()
    sandbox.grace(0.3)
    sandbox.checks(
        test_a="@pytest.fixture\ndef store():\n    yield\n"
        f"    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n    {HANGS}\n"
        "@pytest.mark.phase1\ndef test_one(store): assert False"
    )
    assert sandbox.run().code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}


def told_late(outcome: Outcome) -> list[str]:
    """Return the terminal's lines about phases after their windows."""
    return [line for line in outcome.text.splitlines() if line.startswith("  late ")]


FIVE_OF_PHASE_1 = (
    "@pytest.mark.phase1\n@pytest.mark.parametrize('n', range(5))\n"
    "def test_one(n):\n    note(f'ran{n}')\n    assert n != 3, 'the disk is full'"
)
FOUR = {f"test_{n}": f"@pytest.mark.phase{n}\ndef test_p{n}(): note('p{n}')" for n in range(1, 5)}


@ALONE_AND_AT_LENGTH_WITH_WORKERS
def test_a_phase_begun_after_its_window_runs_all_its_checks_and_is_late_once(sandbox: Sandbox) -> None:
    sandbox.recorded()
    sandbox.checks(test_a=FIVE_OF_PHASE_1)
    rolled_back(sandbox, seconds_ago(400))
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


def test_a_verification_that_is_late_and_green_says_only_that(sandbox: Sandbox) -> None:
    """Phases after a late one run too: what they see is as true as before."""
    sandbox.recorded()
    sandbox.checks(**FOUR)
    rolled_back(sandbox, seconds_ago(400))
    (named,) = (sandbox.pytester.path / "incidents").iterdir()
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


def test_checks_for_which_no_time_is_left_are_blocked_and_told_in_one_line(sandbox: Sandbox) -> None:
    sandbox.recorded()
    sandbox.grace(60)
    sandbox.settings(ALL_IS_OVER)
    sandbox.checks(
        test_a="@pytest.mark.phase1\ndef test_one(): pass",
        test_b="@pytest.mark.phase2\n@pytest.mark.parametrize('n', range(6))\ndef test_two(n): pass",
        test_c="@pytest.mark.phase3\ndef test_three(): pass",
    )
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    assert sorted(outcome.verdicts().values()) == [*["blocked"] * 7, "passed"]
    assert "ERROR" not in outcome.text
    (line,) = told_late(outcome)
    assert "  verification: expected done within 180 s, observed " in line
    assert line.endswith(": 7 checks")
    assert "  blocked " not in outcome.text


def test_after_a_check_that_hangs_to_the_end_of_its_phase_the_others_have_not_failed(
    sandbox: Sandbox,
) -> None:
    write_profile(sandbox.pytester.path, "[windows]\nphase1 = {start = 0, end = 2}\n")
    sandbox.recorded()
    sandbox.grace(60)
    sandbox.checks(
        test_a=f"@pytest.mark.phase1\ndef test_hangs(): {HANGS}\n"
        "@pytest.mark.phase1\n@pytest.mark.parametrize('n', range(6))\ndef test_one(n): pass",
        test_b="@pytest.mark.phase2\ndef test_two(): pass",
    )
    outcome = sandbox.run("--tb=line")
    assert outcome.code == ExitCode.FAILED
    verdicts = [*outcome.verdicts().values()]
    # One may have begun in the last moment.
    assert (verdicts.count("failed"), verdicts.count("blocked") >= 6) == (1, True)
    assert "observed still running after " in outcome.results()["test_hangs"]["reason"]
    assert "ERROR" not in outcome.text
    (line,) = told_late(outcome)
    assert "phase1: expected done within 2 s, observed " in line
    assert line.endswith((": 6 checks", ": 5 checks"))
    assert outcome.results()["test_two"]["reason"].startswith("phase1 did not pass: checks/test_a.py::test_h")


@ALONE_AND_AT_LENGTH_WITH_WORKERS
def test_verification_as_a_whole_has_a_limit_of_its_own(sandbox: Sandbox) -> None:
    write_profile(sandbox.pytester.path, "[windows]\nverification = 0.01\n")
    sandbox.recorded()
    sandbox.grace(60)
    sandbox.checks(test_a="@pytest.mark.phase4\ndef test_four(): note('ran')")
    rolled_back(sandbox, seconds_ago(1))
    outcome = sandbox.run("--no-gate")
    assert outcome.code == ExitCode.FAILED
    result = outcome.results()["test_four"]
    assert (result["verdict"], result["means"]) == ("blocked", "late")
    assert result["reason"].startswith("verification: expected done within 0.01 s, observed not begun after ")
    assert "(from start of the session)" in result["reason"]
    (line,) = told_late(outcome)
    assert "verification: expected done within 0.01 s" in line
    assert sandbox.notes() == []
