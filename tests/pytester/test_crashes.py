"""Processes that are killed, and processes of one incident at the same time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from rollproof.errors import ExitCode
from tests.pytester.conftest import ALONE_AND_WITH_WORKERS, Sandbox

SECONDS = 240.0
# Two checks a phase. Each notes that it ran.
CHECK = "@pytest.mark.{phase}\ndef test_{phase}_{number}():\n    note('{phase}_{number}')\n    {body}\n"
HOLDS = "open('holds', 'w').close()\n    while not os.path.exists('go'): time.sleep(0.05)"


def module(phase: str, first: str = "pass", second: str = "pass") -> str:
    """Return a module of two checks of `phase`."""
    return "".join(CHECK.format(phase=phase, number=n, body=b) for n, b in ((1, first), (2, second)))


def wait_until(happened: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < give_up, f"{what}: not within {SECONDS:g} s"
        time.sleep(0.05)


@pytest.fixture
def start(sandbox: Sandbox) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a run in the background; what is left of it at the end is killed."""
    with ExitStack() as left:

        def started(*arguments: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                sandbox.command(*arguments),
                cwd=sandbox.pytester.path,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            left.callback(process.stdout.close if process.stdout else process.kill)
            left.callback(process.wait, SECONDS)
            left.callback(process.kill)
            return process

        yield started


@ALONE_AND_WITH_WORKERS
def test_a_process_that_is_killed_breaks_its_check_and_nothing_runs_twice(sandbox: Sandbox) -> None:
    die = "os.kill(os.getpid(), signal.SIGKILL)"
    sandbox.checks(test_1=module("phase1", first=die), test_2=module("phase2"))
    outcome = sandbox.run("-m", "phase1")
    ran = sandbox.notes()
    assert len(ran) == len(set(ran)), f"run twice: {ran}"
    if sandbox.parallel:
        assert outcome.code == ExitCode.BROKEN
        assert outcome.results()["test_phase1_1"]["reason"] == "the worker that ran it died"
        assert outcome.verdicts()["test_phase1_1"] == "broken"
    else:
        # Without workers the process that dies is pytest itself.
        assert outcome.code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}
    blocked = sandbox.run("-m", "phase2")
    assert blocked.code == ExitCode.BLOCKED
    (reason, *_) = {record["reason"] for record in blocked.results().values()}
    assert "phase1" in reason


def test_a_run_whose_controller_is_killed_can_be_run_again(
    sandbox: Sandbox, start: Callable[..., subprocess.Popen[str]]
) -> None:
    path = sandbox.pytester.path
    sandbox.checks(
        test_a=f"@pytest.mark.phase1\ndef test_one():\n    note(os.getpid())\n    {HOLDS}",
        test_b="@pytest.mark.phase2\ndef test_two(): pass",
    )
    first = start()
    wait_until((path / "holds").exists, "first check")
    first.send_signal(signal.SIGKILL)
    assert first.wait(SECONDS) == -signal.SIGKILL
    blocked = sandbox.run("-m", "phase2")
    assert blocked.code == ExitCode.BLOCKED
    assert "phase1 is not complete: 0 of 1 reported" in blocked.results()["test_two"]["reason"]
    (path / "go").touch()
    # A worker has nobody left to report to, and goes too.
    (pid,) = sandbox.notes()
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "end of the process that ran the check")  # noqa: PTH110
    again = sandbox.run()
    assert again.code == ExitCode.VERIFIED
    assert again.verdicts() == {"test_one": "passed", "test_two": "passed"}
