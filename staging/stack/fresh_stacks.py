"""Brings up stacks for one command, and takes them down after it.

A killed command cannot take its stack down; the next command does. Each command that has a stack for itself
locks its mark, a file that goes with the stack: a mark that nobody has locked is of a killed command.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from reports.terminal.progress import Progress
from rollproof.errors import UsageProblem
from rollproof.system.side_by_side import every
from staging.engine import docker_engine, undisturbed
from staging.stack.slot import SLOTS, Slot
from staging.stack.stack import Stack


@contextmanager
def fresh_stacks(stacks: Sequence[Stack], progress: Progress) -> Iterator[None]:
    """Provide the empty stores of stacks, slots of one checkout, for the block; take all down at its end."""
    with docker_engine(progress.say), ExitStack() as marks:
        take_down_abandoned(every_slot(stacks[0].root), progress)
        for stack in stacks:
            refuse_if_used(stack, progress)
            marks.enter_context(marked(stack))
        try:
            # Images are built once; the stores of all stacks start side by side.
            bring_up_stores(stacks[0], progress)
            every(lambda stack: bring_up_stores(stack, progress), stacks[1:], name="stack")
            yield
        finally:
            # Ctrl-C arrives twice, from the terminal and from tox: the second must not leave half a stack.
            with undisturbed(), progress.step("take the stack down"):
                every(lambda stack: stack.down(progress.say), stacks, name="stack")


def bring_up_stores(stack: Stack, progress: Progress) -> None:
    """Build missing images, and start the stores, in the wanted shape."""
    stack.state.take(stack.wanted)
    stack.prepare()
    with progress.step("build the stores' images"):
        stack.build(progress.say)
    with progress.step("start the stores"):
        stack.services.up_stores()


@contextmanager
def marked(stack: Stack) -> Iterator[None]:
    """Mark the stack as this command's own, for as long as the block lasts or this process lives."""
    stack.mark.parent.mkdir(exist_ok=True)
    with stack.mark.open("w") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        yield


def every_slot(root: Path) -> list[Stack]:
    """Return the stacks of all slots of the checkout in `root`."""
    return [Stack(root, Slot(number)) for number in range(1, SLOTS + 1)]


def take_down_abandoned(stacks: Iterable[Stack], progress: Progress) -> None:
    """Take down those of `stacks` that killed commands left."""
    for stack in stacks:
        if stack.mark.exists() and not _locked(stack.mark):
            with undisturbed(), progress.step(f"take down {stack.project}, which a killed command left"):
                stack.down(progress.say)


def refuse_if_used(stack: Stack, progress: Progress) -> None:
    """Refuse a stack that another command or a person uses; take down what is left of one that nobody uses.

    Containers of which none runs are left: their engine ended, or a command of another checkout was killed.

    Raises:
        UsageProblem: A container of it runs, or a command has marked it.
    """
    stack.prepare()
    runs = stack.services.runs()
    if runs or stack.mark.exists():
        raise UsageProblem(
            what=f"project {stack.project}",
            expected="no container of it that runs, and no command that uses it",
            observed="containers that run" if runs else "a command that runs",
            source="the Docker engine",
            hint="take that stack down first: ./run down",
        )
    if stack.services.used():
        with undisturbed(), progress.step(f"take down {stack.project}, of which nothing runs"):
            stack.down(progress.say)


def _locked(mark: Path) -> bool:
    with mark.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
