"""Limits of time: windows, checks that hang, and clocks that jump.

No window is waited for in full: a check begins when most of its time is gone, and windows may be over when it
begins. None is so short that a slow machine would make it another case.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.errors import ExitCode
from fixtures.incident.incident import RollbackRecord, new_incident
from fixtures.system.clock import Moment
from tests.conftest import write_profile
from tests.pytester.conftest import ALONE_AND_WITH_WORKERS, Sandbox

HANGS = "time.sleep(60)"
# What a process says that is ended when nothing else could stop it.
ENDED = "Timeout (0:"


def rolled_back(sandbox: Sandbox, finished: Moment) -> None:
    """Open an incident whose rollback ended at `finished`."""
    incident = new_incident(sandbox.pytester.path / "incidents", "sandbox")
    incident.write_rollback(RollbackRecord("c" * 40, "passed", 1.0, finished, finished))


def seconds_ago(seconds: float) -> Moment:
    now = Moment.now()
    return replace(now, since_boot=now.since_boot - seconds)


@ALONE_AND_WITH_WORKERS
def test_a_hung_check_is_late_at_the_end_of_its_window(sandbox: Sandbox) -> None:
    sandbox.time_is_nearly_up()
    sandbox.grace(60)
    sandbox.checks(
        test_a=f"def waits():\n    {HANGS}\n@pytest.mark.phase1\ndef test_one(): waits()",
        test_b="@pytest.mark.phase2\ndef test_two(): pass",
    )
    outcome = sandbox.run("--tb=short")
    assert outcome.code == ExitCode.FAILED
    reason = outcome.results()["test_one"]["reason"]
    assert reason.startswith("late: phase1: expected done within 120 s, observed still running waiting in ")
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


@ALONE_AND_WITH_WORKERS
def test_what_no_signal_can_stop_ends_with_its_process(sandbox: Sandbox) -> None:
    """A driver in C may not come back to Python, as here a sleep that lets no signal through."""
    sandbox.time_is_nearly_up()
    sandbox.grace(1)
    sandbox.checks(
        test_a="@pytest.mark.phase1\ndef test_one():\n"
        f"    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n    {HANGS}",
        test_b="@pytest.mark.phase2\ndef test_two(): pass",
    )
    outcome = sandbox.run()
    assert outcome.code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}
    assert ENDED in outcome.text
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
    sandbox.time_is_nearly_up()
    sandbox.grace(1)
    sandbox.checks(
        test_a=f"@pytest.fixture\ndef store():\n    yield\n    {body}\n"
        "@pytest.mark.phase1\ndef test_one(store): assert False"
    )
    assert sandbox.run().code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}


def test_a_report_that_takes_longer_than_what_is_left_ends_no_run(sandbox: Sandbox) -> None:
    """A timer that rings while a report is made would: what it raises is no check's failure then."""
    sandbox.time_is_nearly_up()
    sandbox.grace(60)
    sandbox.checks(
        test_a="class Slow(AssertionError):\n"
        "    seconds = [1.5]\n"
        "    def __str__(self):\n"
        "        time.sleep(self.seconds.pop() if self.seconds else 0)\n"
        "        return 'said in the end'\n"
        "@pytest.mark.phase1\ndef test_one(): raise Slow",
        test_b="@pytest.mark.phase2\ndef test_two(): pass",
    )
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    assert outcome.verdicts() == {"test_one": "failed", "test_two": "blocked"}
    assert outcome.results()["test_one"]["reason"] == "said in the end"


@pytest.mark.parametrize(
    "body",
    [
        "try: time.sleep(60)\n    except BaseException: pass",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n    time.sleep(1.5)",
    ],
    ids=["caught", "blocked"],
)
def test_a_check_that_goes_on_when_the_timer_rang_is_late(sandbox: Sandbox, body: str) -> None:
    sandbox.checks(test_a=f"@pytest.mark.phase1\n@pytest.mark.timeout(1)\ndef test_one():\n    {body}")
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    assert "late: phase1" in outcome.results()["test_one"]["reason"]


@ALONE_AND_WITH_WORKERS
@pytest.mark.parametrize("options", [["--timeout=0"], ["-o", "timeout_func_only=true"]], ids=" ".join)
def test_without_timers_a_hung_check_ends_with_its_process(sandbox: Sandbox, options: list[str]) -> None:
    sandbox.time_is_nearly_up()
    sandbox.grace(0.5)
    sandbox.checks(
        test_a="@pytest.fixture\ndef store(): time.sleep(60)\n@pytest.mark.phase1\ndef test_one(store): pass"
    )
    outcome = sandbox.run(*options)
    assert outcome.code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}
    assert ENDED in outcome.text
    assert "in store" in outcome.text, "its stack"


@ALONE_AND_WITH_WORKERS
def test_a_module_that_hangs_while_it_is_imported_ends_with_its_process(sandbox: Sandbox) -> None:
    write_profile(sandbox.pytester.path, "[windows]\nverification = 1\n")
    sandbox.grace(1)
    sandbox.checks(test_a="time.sleep(60)")
    outcome = sandbox.run()
    assert outcome.code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}
    assert ENDED in outcome.text


def test_a_check_that_starts_after_its_window_is_late(sandbox: Sandbox) -> None:
    write_profile(sandbox.pytester.path, "[windows]\nphase1 = {start = 0, end = 0.01}\n")
    sandbox.grace(60)
    sandbox.checks(test_a="@pytest.mark.phase1\ndef test_one(): note('ran')")
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    reason = outcome.results()["test_one"]["reason"]
    assert reason.startswith("late: phase1: expected done within 0.01 s, observed not started after ")
    assert "0.0 s of them its own (from start of the session)" in reason
    assert sandbox.notes() == []


def test_however_many_checks_are_late_each_of_them_says_so(sandbox: Sandbox) -> None:
    """What ends a process that hangs does not end one that has much to say."""
    write_profile(sandbox.pytester.path, "[windows]\nphase1 = {start = 0, end = 0.01}\n")
    sandbox.grace(1.5)
    sandbox.settings("import time\ndef pytest_runtest_logfinish(): time.sleep(0.5)\n")
    sandbox.checks(
        test_a="@pytest.mark.phase1\n@pytest.mark.parametrize('n', range(4))\ndef test_one(n): pass"
    )
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    assert list(outcome.verdicts().values()) == ["failed"] * 4


@ALONE_AND_WITH_WORKERS
def test_windows_count_from_the_end_of_the_rollback(sandbox: Sandbox) -> None:
    sandbox.checks(
        test_a="@pytest.mark.phase1\ndef test_one(): pass",
        test_b="@pytest.mark.phase4\ndef test_four(): pass",
    )
    sandbox.grace(60)
    rolled_back(sandbox, seconds_ago(400))
    outcome = sandbox.run("--no-gate")
    assert outcome.verdicts() == {"test_one": "failed", "test_four": "passed"}
    reason = outcome.results()["test_one"]["reason"]
    assert reason.startswith("late: phase1: expected done within 120 s, observed not started after 4")
    assert "(from end of the rollback)" in reason


@ALONE_AND_WITH_WORKERS
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
        "import datetime, fixtures.system.clock\n"
        "class Jumped(datetime.datetime):\n"
        "    @classmethod\n"
        "    def now(cls, zone=None): return cls(2001, 1, 1, tzinfo=zone)\n"
    )
    sandbox.checks(
        test_a=f"{jump}@pytest.mark.phase1\ndef test_one(): fixtures.system.clock.datetime = Jumped",
        test_b="@pytest.mark.phase2\ndef test_two(): pass",
    )
    outcome = sandbox.run()
    assert outcome.code == ExitCode.VERIFIED
    assert set(outcome.verdicts().values()) == {"passed"}


@ALONE_AND_WITH_WORKERS
def test_verification_as_a_whole_has_a_limit_of_its_own(sandbox: Sandbox) -> None:
    write_profile(sandbox.pytester.path, "[windows]\nverification = 0.01\n")
    sandbox.grace(60)
    sandbox.checks(test_a="@pytest.mark.phase4\ndef test_four(): note('ran')")
    rolled_back(sandbox, seconds_ago(1))
    outcome = sandbox.run("--no-gate")
    assert outcome.code == ExitCode.FAILED
    reason = outcome.results()["test_four"]["reason"]
    assert reason.startswith("late: verification: expected done within 0.01 s, observed not started after ")
    assert sandbox.notes() == []
