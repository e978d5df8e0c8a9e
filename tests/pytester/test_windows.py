"""Limits of time: windows, checks that hang, and clocks that jump."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.clock import Moment
from fixtures.errors import ExitCode
from fixtures.incident import RollbackRecord, new_incident
from tests.conftest import write_profile
from tests.pytester.conftest import Sandbox

HANGS = "time.sleep(60)"


def rolled_back(sandbox: Sandbox, finished: Moment) -> None:
    """Open an incident whose rollback ended at `finished`."""
    incident = new_incident(sandbox.pytester.path / "incidents", "sandbox")
    incident.write_rollback(RollbackRecord("c" * 40, "passed", 1.0, finished, finished))


def seconds_ago(seconds: float) -> Moment:
    now = Moment.now()
    return replace(now, since_boot=now.since_boot - seconds)


def test_a_hung_check_is_late_at_the_end_of_its_window(sandbox: Sandbox) -> None:
    write_profile(sandbox.pytester.path, "[windows]\nphase1 = {start = 0, end = 15}\n")
    sandbox.checks(
        test_a=f"def waits():\n    {HANGS}\n@pytest.mark.phase1\ndef test_one(): waits()",
        test_b="@pytest.mark.phase2\ndef test_two(): pass",
    )
    outcome = sandbox.run("--tb=short")
    assert outcome.code == ExitCode.FAILED
    reason = outcome.results()["test_one"]["reason"]
    assert reason.startswith("late: phase1: expected done within 15 s, observed still running waiting in ")
    assert f"({HANGS})" in reason
    assert "s of them its own" in reason
    # Its stack.
    assert "in test_one" in outcome.text
    assert "in waits" in outcome.text
    assert outcome.verdicts()["test_two"] == "blocked"


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
    assert "its own limit of 1 s over, waiting in test_a.py:" in reason


def test_what_no_signal_can_stop_ends_with_its_process(sandbox: Sandbox) -> None:
    """A driver in C may not come back to Python, as here a sleep that lets no signal through."""
    write_profile(sandbox.pytester.path, "[windows]\nphase1 = {start = 0, end = 15}\n")
    sandbox.checks(
        test_a="@pytest.mark.phase1\ndef test_one():\n"
        f"    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n    {HANGS}",
        test_b="@pytest.mark.phase2\ndef test_two(): pass",
    )
    outcome = sandbox.run()
    assert outcome.code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}
    assert "in test_one" in outcome.text, "its stack"
    if sandbox.parallel:
        assert outcome.code == ExitCode.BROKEN
        assert outcome.results()["test_one"]["reason"] == "the worker that ran it died"
    after = sandbox.run("-m", "phase2")
    assert after.code == ExitCode.BLOCKED
    assert "phase1" in after.results()["test_two"]["reason"]


@pytest.mark.parametrize(
    "body",
    [
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n    time.sleep(60)",
        "time.sleep(60)",
    ],
    ids=["no signal", "end of a fixture"],
)
def test_a_check_that_failed_may_not_hang_either(sandbox: Sandbox, body: str) -> None:
    """What went wrong calls off pytest's own timers."""
    write_profile(sandbox.pytester.path, "[windows]\nphase1 = {start = 0, end = 15}\n")
    sandbox.checks(
        test_a=f"@pytest.fixture\ndef store():\n    yield\n    {body}\n"
        "@pytest.mark.phase1\ndef test_one(store): assert False"
    )
    assert sandbox.run().code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}


@pytest.mark.parametrize(
    "body",
    [
        "try: time.sleep(60)\n    except BaseException: pass",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n    time.sleep(3)",
    ],
    ids=["caught", "blocked"],
)
def test_a_check_that_goes_on_when_the_timer_rang_is_late(sandbox: Sandbox, body: str) -> None:
    sandbox.checks(test_a=f"@pytest.mark.phase1\n@pytest.mark.timeout(1)\ndef test_one():\n    {body}")
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    assert "late: phase1" in outcome.results()["test_one"]["reason"]


@pytest.mark.parametrize("options", [["--timeout=0"], ["-o", "timeout_func_only=true"]], ids=" ".join)
def test_without_timers_a_hung_check_ends_with_its_process(sandbox: Sandbox, options: list[str]) -> None:
    write_profile(sandbox.pytester.path, "[windows]\nverification = 8\n")
    sandbox.checks(
        test_a="@pytest.fixture\ndef store(): time.sleep(60)\n@pytest.mark.phase1\ndef test_one(store): pass"
    )
    assert sandbox.run(*options).code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}


def test_a_module_that_hangs_while_it_is_imported_ends_with_its_process(sandbox: Sandbox) -> None:
    write_profile(sandbox.pytester.path, "[windows]\nverification = 8\n")
    sandbox.checks(test_a="time.sleep(60)")
    assert sandbox.run().code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}


def test_a_check_that_starts_after_its_window_is_late(sandbox: Sandbox) -> None:
    write_profile(sandbox.pytester.path, "[windows]\nphase1 = {start = 0, end = 0.01}\n")
    sandbox.checks(test_a="@pytest.mark.phase1\ndef test_one(): note('ran')")
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    reason = outcome.results()["test_one"]["reason"]
    assert reason.startswith("late: phase1: expected done within 0.01 s, observed not started after ")
    assert "0.0 s of them its own (from start of the session)" in reason
    assert sandbox.notes() == []


def test_windows_count_from_the_end_of_the_rollback(sandbox: Sandbox) -> None:
    sandbox.checks(
        test_a="@pytest.mark.phase1\ndef test_one(): pass",
        test_b="@pytest.mark.phase4\ndef test_four(): pass",
    )
    rolled_back(sandbox, seconds_ago(400))
    outcome = sandbox.run("--no-gate")
    assert outcome.verdicts() == {"test_one": "failed", "test_four": "passed"}
    reason = outcome.results()["test_one"]["reason"]
    assert reason.startswith("late: phase1: expected done within 120 s, observed not started after 4")
    assert "(from end of the rollback)" in reason


@pytest.mark.parametrize("wall", ["2020-01-01T00:00:00.000+00:00", "2120-01-01T00:00:00.000+00:00"])
def test_a_clock_that_was_set_changes_no_window(sandbox: Sandbox, wall: str) -> None:
    sandbox.checks(
        test_a="@pytest.mark.phase1\ndef test_one(): pass", test_b="@pytest.mark.phase2\ndef test_two(): pass"
    )
    rolled_back(sandbox, replace(seconds_ago(1), wall=wall))
    assert sandbox.run().verdicts() == {"test_one": "passed", "test_two": "passed"}
    # An earlier run of the same incident counts all the same.
    assert sandbox.run("-m", "phase2").code == ExitCode.VERIFIED


def test_a_clock_that_is_set_during_the_run_changes_no_window(sandbox: Sandbox) -> None:
    """As far as a process can be made to see it: all that reads the wall clock says another year."""
    jump = (
        "import datetime, fixtures.clock\n"
        "class Jumped(datetime.datetime):\n"
        "    @classmethod\n"
        "    def now(cls, zone=None): return cls(2001, 1, 1, tzinfo=zone)\n"
    )
    sandbox.checks(
        test_a=f"{jump}@pytest.mark.phase1\ndef test_one(): fixtures.clock.datetime = Jumped",
        test_b="@pytest.mark.phase2\ndef test_two(): pass",
    )
    outcome = sandbox.run()
    assert outcome.code == ExitCode.VERIFIED
    assert set(outcome.verdicts().values()) == {"passed"}


def test_verification_as_a_whole_has_a_limit_of_its_own(sandbox: Sandbox) -> None:
    write_profile(sandbox.pytester.path, "[windows]\nverification = 0.01\n")
    sandbox.checks(test_a="@pytest.mark.phase4\ndef test_four(): note('ran')")
    rolled_back(sandbox, seconds_ago(1))
    outcome = sandbox.run("--no-gate")
    assert outcome.code == ExitCode.FAILED
    reason = outcome.results()["test_four"]["reason"]
    assert reason.startswith("late: verification: expected done within 0.01 s, observed not started after ")
    assert sandbox.notes() == []
