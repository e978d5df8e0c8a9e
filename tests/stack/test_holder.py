"""A stack that a killed command left is cleared by the next command; a stack in use stays untouched."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from reports.terminal.progress import Progress
from rollback_actions.session.lock import LockVolumes
from rollproof.errors import UsageProblem
from staging.stack.fresh_stacks import refuse_if_used, take_down_abandoned
from staging.stack.stack import Stack
from tests.conftest import ROOT
from tests.unit.lock_stand_in import ended

HOLD = """
import sys
from pathlib import Path

from staging.stack.fresh_stacks import marked
from staging.stack.stack import Stack

with marked(Stack(Path.cwd(), name=sys.argv[1])):
    print("held", flush=True)
    input()
"""
START_SECONDS = 60


@pytest.fixture
def other_stack(stack: Stack) -> Iterator[Stack]:
    """A stack beside the one that all tests share, of one container that was never started."""
    other = replace(stack, name=f"rollproof-{uuid.uuid4().hex[:8]}")
    try:
        other.compose("create", "--no-build", "redis", seconds=START_SECONDS, hint="see its error")
        assert [status.state for status in other.status()] == ["created"]
        yield other
    finally:
        other.down(lambda _: None)


@contextmanager
def held(stack: Stack) -> Iterator[subprocess.Popen[str]]:
    """Have another process hold the stack."""
    command = [sys.executable, "-c", HOLD, stack.project]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_stack_in_use_stays_and_one_whose_holder_was_killed_is_taken_down(other_stack: Stack) -> None:
    with held(other_stack) as process:
        take_down_abandoned([other_stack], Progress())
        with pytest.raises(UsageProblem, match="1 containers, a command that runs"):
            refuse_if_used(other_stack)
        assert len(other_stack.status()) == 1
        process.kill()
        process.wait(START_SECONDS)
    lock = LockVolumes(other_stack.project, START_SECONDS)
    lock.add(1, ended().record())
    take_down_abandoned([other_stack], Progress())
    assert other_stack.status() == []
    # Nobody is to take over the lock of a target that is gone.
    assert lock.records() == {}
    assert not other_stack.mark.exists()
