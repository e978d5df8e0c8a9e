"""A run whose end is not its own: by a full disk, by a signal, as CI cancels with, or a lost reader."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from rollproof.errors import ExitCode
from rollproof.incident.incident import load_incident
from rollproof.incident.ledger import runs
from tests.fork_server import ForkedRun
from tests.pytester.conftest import ALONE_AND_AT_LENGTH_WITH_WORKERS, ALONE_AND_WITH_WORKERS, Sandbox

SECONDS = 240.0
# A limit of a file's size is met as a full disk is, by this process alone.
FILLS = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))"
CHECKS = """
@pytest.mark.phase1
def test_one(): pass
@pytest.mark.phase1
def test_two():
    {body}
@pytest.mark.phase1
def test_three(): pass
"""


@pytest.fixture
def recorded(sandbox: Sandbox) -> Sandbox:
    sandbox.recorded()
    return sandbox


@contextmanager
def started(sandbox: Sandbox, *arguments: str) -> Iterator[tuple[ForkedRun, TextIO]]:
    """Start a run whose output is read from a pipe, which has no size."""
    told, tell = os.pipe()
    with open(told, encoding="utf-8", errors="replace") as output:  # noqa: PTH123 - an open file
        try:
            run = sandbox.start(*arguments, output=tell)
        finally:
            os.close(tell)
        yield run, output


def ended(sandbox: Sandbox) -> tuple[int, str]:
    """Run pytest; return its exit code and output."""
    with started(sandbox, "-p", "no:cacheprovider") as (run, output):
        said = output.read()
        return run.wait(SECONDS), said


def incident_of(sandbox: Sandbox) -> Path:
    (found,) = (sandbox.pytester.path / "incidents").glob("*/incident.json")
    return found.parent


@ALONE_AND_AT_LENGTH_WITH_WORKERS
def test_a_disk_that_fills_up_is_broken_and_leaves_what_was_recorded(recorded: Sandbox) -> None:
    recorded.checks(test_a=CHECKS.format(body=FILLS))
    code, said = ended(recorded)
    assert code == ExitCode.BROKEN, said
    assert "File too large" in said
    (run,) = runs(load_incident(incident_of(recorded)).folder)
    assert all(result.verdict == "passed" for result in run.results().values())
    # With room again, the same command goes on.
    recorded.checks(test_a=CHECKS.format(body="pass"))
    assert ended(recorded)[0] == ExitCode.VERIFIED


@ALONE_AND_WITH_WORKERS
@pytest.mark.usefixtures("terminal_can_be_lost")
def test_a_cancelled_run_has_its_record_and_its_verdict(recorded: Sandbox) -> None:
    recorded.impatient()
    recorded.checks(test_a=CHECKS.format(body="open('holds', 'w').close(); time.sleep(60)"))
    with started(recorded) as (run, output):
        give_up = time.monotonic() + SECONDS
        while not (recorded.pytester.path / "holds").exists():
            assert time.monotonic() < give_up
            time.sleep(0.05)
        os.kill(run.pid, signal.SIGTERM)
        said = output.read()
        assert run.wait(SECONDS) == ExitCode.INTERRUPTED, said
    verdict = json.loads((incident_of(recorded) / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["verdict"] != "passed"
    assert f"incident {incident_of(recorded).name}" in said


def test_what_a_check_leaves_running_does_not_keep_the_process(sandbox: Sandbox) -> None:
    sandbox.grace(0.3)
    left = (
        "from concurrent.futures import ThreadPoolExecutor\n    ThreadPoolExecutor(1).submit(time.sleep, 600)"
    )
    sandbox.checks(test_4=f"@pytest.mark.phase1\ndef test_p1():\n    {left}")
    outcome = sandbox.run()
    assert set(outcome.verdicts().values()) == {"passed"}
    assert "ThreadPoolExecutor" in outcome.text or "concurrent/futures/thread.py" in outcome.text
