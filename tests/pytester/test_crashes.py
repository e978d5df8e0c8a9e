"""Processes that are killed, and processes of one incident at the same time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from rollproof.errors import ExitCode
from tests.pytester.conftest import ALONE_AND_WITH_WORKERS, Sandbox
from tests.running.cut import VARIANT

SECONDS = 240.0
PHASES = ("phase1", "phase2", "phase3", "phase4")
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
@pytest.mark.parametrize(
    "dies",
    [
        "phase1",
        pytest.param("phase2", marks=VARIANT),
        pytest.param("phase3", marks=VARIANT),
        "phase4",
    ],
)
def test_a_worker_that_is_killed_breaks_its_check_and_nothing_runs_twice(sandbox: Sandbox, dies: str) -> None:
    die = "os.kill(os.getpid(), signal.SIGKILL)"
    sandbox.checks(**{f"test_{p}": module(p, first=die if p == dies else "pass") for p in PHASES})
    outcome = sandbox.run()
    ran, before = sandbox.notes(), PHASES[: PHASES.index(dies)]
    assert len(ran) == len(set(ran)), f"run twice: {ran}"
    if sandbox.parallel:
        assert outcome.code == ExitCode.BROKEN
        assert outcome.results()[f"test_{dies}_1"]["reason"] == "the worker that ran it died"
        verdicts = outcome.verdicts()
        assert all(verdicts[f"test_{phase}_{number}"] == "passed" for phase in before for number in (1, 2))
        after = [v for name, v in verdicts.items() if name.split("_")[1] in PHASES[len(before) + 1 :]]
        assert set(after) <= {"blocked"}
    else:
        # Without workers the process that dies is pytest itself.
        assert outcome.code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}
    if dies != PHASES[-1]:
        blocked = sandbox.run("-m", PHASES[len(before) + 1])
        assert blocked.code == ExitCode.BLOCKED
        (reason, *_) = {record["reason"] for record in blocked.results().values()}
        assert dies in reason


@ALONE_AND_WITH_WORKERS
def test_checks_that_never_began_because_a_worker_died_are_reported_as_blocked(sandbox: Sandbox) -> None:
    dies = CHECK.format(phase="phase1", number=0, body="os.kill(os.getpid(), signal.SIGKILL)")
    if sandbox.parallel:
        # Until it is known none of the others ends: on a busy machine all of them would have begun.
        sandbox.settings("def pytest_testnodedown(node, error): open('died', 'w').close()\n")
    waits = "while not os.path.exists('died'): time.sleep(0.05)"
    more = "".join(CHECK.format(phase="phase1", number=n, body=waits) for n in range(1, 40))
    sandbox.checks(test_a=dies + more, test_b=module("phase2"))
    outcome = sandbox.run("--junitxml=junit.xml")
    if not sandbox.parallel:
        # The process that could report them is dead; the next run finds them missing.
        assert outcome.results() == {}
        return
    results = outcome.results()
    assert outcome.code == ExitCode.BROKEN
    assert results.pop("test_phase1_0")["verdict"] == "broken"
    assert len(results) == 41
    blocked = {name: record["reason"] for name, record in results.items() if record["verdict"] == "blocked"}
    assert {name for name, record in results.items() if record["verdict"] != "passed"} == blocked.keys()
    assert {"test_phase2_1", "test_phase2_2"} < blocked.keys()
    told = "not begun: a worker died under checks/test_a.py::test_phase1_0"
    assert any(told in reason for reason in blocked.values())
    root = ET.parse(sandbox.pytester.path / "junit.xml").getroot()  # noqa: S314 - our own
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert len(cases) == 42
    assert all(cases[name].find("skipped") is not None for name in blocked)


@ALONE_AND_WITH_WORKERS
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


def test_a_phase_of_another_process_that_is_not_over_opens_no_gate(
    sandbox: Sandbox, start: Callable[..., subprocess.Popen[str]]
) -> None:
    path = sandbox.pytester.path
    sandbox.checks(test_a=module("phase1", second=HOLDS), test_b=module("phase2"))
    first = start("-m", "phase1")
    wait_until((path / "holds").exists, "first phase")
    early = sandbox.run("-m", "phase2")
    assert early.code == ExitCode.BLOCKED
    assert "phase1 is not complete" in early.results()["test_phase2_1"]["reason"]
    (path / "go").touch()
    assert first.wait(SECONDS) == ExitCode.VERIFIED
    assert sandbox.run("-m", "phase2").code == ExitCode.VERIFIED


def test_two_runs_of_one_incident_at_the_same_time_each_keep_their_own_ledger(
    sandbox: Sandbox, start: Callable[..., subprocess.Popen[str]]
) -> None:
    sandbox.checks(**{f"test_{phase}": module(phase) for phase in PHASES})
    both = [start("--incident=shared"), start("--incident=shared")]
    assert [process.wait(SECONDS) for process in both] == [ExitCode.VERIFIED] * 2
    ledger = sandbox.pytester.path / "incidents" / "shared" / "ledger"
    results = [path.read_text(encoding="utf-8").count("\n") for path in ledger.glob("*/results.jsonl")]
    assert results == [8, 8]
    assert sorted(sandbox.notes()) == sorted(f"{phase}_{n}" for phase in PHASES for n in (1, 2) for _ in both)
