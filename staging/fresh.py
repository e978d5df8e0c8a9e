"""A stack that is brought up for one command, and gone after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fixtures.errors import UsageProblem
from rollback_actions.progress import Progress
from staging.docker_engine import docker_engine, undisturbed
from staging.holder import Holder, hold
from staging.rehearsal import bring_up_stores
from staging.stack import Stack


@contextmanager
def fresh_stores(stack: Stack, progress: Progress) -> Iterator[None]:
    """Have stores that are up and empty, and take everything down at the end, however it ends."""
    with docker_engine(progress.say) as started:
        clear_abandoned(stack, progress, unused=started)
        try:
            hold(stack.project)
            bring_up_stores(stack, progress)
            yield
        finally:
            # Ctrl-C comes twice, from the terminal and from tox: the second must not leave half a stack.
            with undisturbed(), progress.step("take the stack down"):
                stack.down(progress.say)


def clear_abandoned(stack: Stack, progress: Progress, *, unused: bool) -> None:
    """Take down what a killed command left of this stack; refuse to go on when somebody uses it.

    Args:
        stack: Whose containers are looked for.
        progress: Is told of what is taken down.
        unused: Nobody can be using it: the engine has only just been started.

    Raises:
        UsageProblem: It runs, and is not this command's to take down.
    """
    stack.prepare()
    holder = Holder.read(stack.project)
    abandoned = holder is not None and not holder.lives
    running = stack.status()
    if abandoned or (running and unused):
        with undisturbed(), progress.step("take down the stack that a killed command left"):
            stack.down(progress.say)
        return
    if running or holder is not None:
        held = "" if holder is None else f", held by process {holder.process.pid}"
        raise UsageProblem(
            what=f"project {stack.project}",
            expected="no container of it",
            observed=f"{len(running)} containers{held}",
            source="the Docker engine",
            hint="take that stack down first: ./run down",
        )
