"""A stack that is brought up for one command, and gone after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fixtures.errors import UsageProblem
from rollback_actions.progress import Progress
from staging.docker_engine import docker_engine, undisturbed
from staging.rehearsal import bring_up_stores
from staging.stack import Stack


@contextmanager
def fresh_stores(stack: Stack, progress: Progress) -> Iterator[None]:
    """Have stores that are up and empty, and take everything down at the end, however it ends."""
    with docker_engine(progress.say):
        refuse_running(stack)
        try:
            bring_up_stores(stack, progress)
            yield
        finally:
            # Ctrl-C comes twice, from the terminal and from tox: the second must not leave half a stack.
            with undisturbed(), progress.step("take the stack down"):
                stack.down(progress.say)


def refuse_running(stack: Stack) -> None:
    """Refuse to go on when this stack runs already: it is not this command's to take down."""
    stack.prepare()
    running = stack.status()
    if running:
        raise UsageProblem(
            what=f"project {stack.project}",
            expected="no container of it",
            observed=f"{len(running)} containers",
            source="the Docker engine",
            hint="take that stack down first: ./run down",
        )
