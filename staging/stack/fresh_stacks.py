"""Brings up stacks for one command, and takes them down after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reports.terminal.progress import Progress
from rollproof.errors import UsageProblem
from rollproof.system.side_by_side import every
from staging.engine import docker_engine, undisturbed
from staging.stack.slot import SLOTS, Slot
from staging.stack.stack import Stack
from staging.stack.stack_holder import Holder, hold


@contextmanager
def fresh_stores(stack: Stack, progress: Progress) -> Iterator[None]:
    """Provide a stack's empty stores for the block, and take everything down at the end, however it ends."""
    with fresh_stacks([stack], progress):
        yield


@contextmanager
def fresh_stacks(stacks: Sequence[Stack], progress: Progress) -> Iterator[None]:
    """Provide the empty stores of several stacks, slots of one checkout, as `fresh_stores` does for one."""
    with docker_engine(progress.say):
        take_down_abandoned(stacks[0].root, progress)
        for stack in stacks:
            clear_abandoned(stack, progress)
        try:
            for stack in stacks:
                hold(stack.project)
            # Images are built once; the stores of all stacks start side by side.
            bring_up_stores(stacks[0], progress)
            side_by_side(lambda stack: bring_up_stores(stack, progress), stacks[1:])
            yield
        finally:
            # Ctrl-C arrives twice, from the terminal and from tox: the second must not leave half a stack.
            with undisturbed(), progress.step("take the stack down"):
                side_by_side(lambda stack: stack.down(progress.say), stacks)


def bring_up_stores(stack: Stack, progress: Progress) -> None:
    """Build missing images, and start the stores, in the wanted shape."""
    stack.state.take(stack.wanted)
    stack.prepare()
    with progress.step("build the stores' images"):
        stack.build(progress.say)
    with progress.step("start the stores"):
        stack.up_stores(progress.say)


def side_by_side(do: Callable[[Stack], object], stacks: Sequence[Stack]) -> None:
    """Do the same with all stacks at once; a failure is raised after all have ended."""
    every(do, stacks, name="stack")


def take_down_abandoned(root: Path, progress: Progress) -> None:
    """Take down the stacks that killed commands left in any slot of the checkout `root`."""
    for number in range(1, SLOTS + 1):
        stack = Stack(root, Slot(number))
        if _abandoned(Holder.read(stack.project)):
            _take_down(stack, progress)


def clear_abandoned(stack: Stack, progress: Progress) -> None:
    """Take down this stack if a killed command left it; refuse if somebody uses it.

    Args:
        stack: The stack whose containers are searched for.
        progress: Is told of the stacks that are taken down.

    Raises:
        UsageProblem: The stack runs, and is not this command's to take down.
    """
    stack.prepare()
    running, holder = stack.status(), Holder.read(stack.project)
    if _abandoned(holder):
        _take_down(stack, progress)
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


def _abandoned(holder: Holder | None) -> bool:
    return holder is not None and not holder.lives


def _take_down(stack: Stack, progress: Progress) -> None:
    with undisturbed(), progress.step(f"take down {stack.project}, which a killed command left"):
        stack.down(progress.say)
