"""A staging stack that somebody else uses is refused; what is left of one is taken down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reports.terminal.progress import Progress
from rollproof.errors import UsageProblem
from staging.stack.fresh_stacks import refuse_if_used
from staging.stack.slot import SLOTS, Slot
from staging.stack.stack import Stack
from tests.conftest import ROOT

SECONDS = 120


@pytest.fixture
def redis() -> Iterator[Stack]:
    """Provide a stack of the last slot of which Redis runs, which no command has marked."""
    stack = Stack(ROOT, Slot(SLOTS))
    stack.prepare()
    try:
        stack.compose("up", "--detach", "--no-build", "--no-deps", "redis", seconds=SECONDS)
        yield stack
    finally:
        stack.services.down()


def test_a_stack_that_runs_is_refused_and_one_that_stopped_is_taken_down(redis: Stack) -> None:
    with Progress() as progress:
        with pytest.raises(UsageProblem, match="containers that run"):
            refuse_if_used(redis, progress)
        redis.compose("stop", "redis", seconds=SECONDS)
        assert redis.services.used()
        refuse_if_used(redis, progress)
    assert not redis.services.used()
