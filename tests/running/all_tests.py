"""Runs all tests, the same every day: what computes at the same time as what waits for real servers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reports.terminal.progress import Progress
from rollproof.errors import ExitCode
from staging.engine import undisturbed
from staging.releases.deployment import bring_up_application
from staging.releases.release_repository import create_repository
from staging.stack.fresh_stacks import fresh_stacks
from staging.stack.stack import Stack
from tests.conftest import ROOT
from tests.running.cut import Share
from tests.running.part import Part

SMALL_SCALE = 0.05
POLL_SECONDS = 0.2
FOLDER = Path(".staging/tests")
# Each store's tests share a worker.
BY_STORE = ("-n", "3", "--dist", "loadscope", "--no-loadscope-reorder")
MANY_EXAMPLES = ("-p", "hypothesispytest", "--hypothesis-profile=many")


def run(arguments: Sequence[str], *, every: bool, part: str | None) -> int:
    """Run all tests, a part of them, or the default run; return the exit code."""
    share = Share.read(part) if part is not None else Share(1, 1) if every else None
    lanes = lanes_of(share, arguments)
    parts = [part for lane in lanes for part in lane]
    computing = lanes[0]
    with Progress() as progress:
        # What runs on the stack is stopped before the stack is taken down, however the body ends.
        with _stopped(computing):
            computing[0].runs()
            # The contracts of stores fill and damage servers of their own: no check of the stack sees it.
            stack = Stack(ROOT)
            stores = Stack(ROOT, stack.slot.next)
            with fresh_stacks([stack, stores], progress):
                # The profile of the stores names the application's files, too.
                create_repository(stores.state.application, stores.shape)
                bring_up_application(stack, progress, SMALL_SCALE)
                with _stopped(parts):
                    finish(lanes, progress)
        for red in (one for one in parts if not one.passed):
            progress.say(f"{red.name}: exit code {red.code}\n{red.failures()}")
        for one in parts:
            progress.say(f"{one.name}: {one.state} in {one.seconds:.0f} s ({one.log})")
    return code_of(parts)


def lanes_of(share: Share | None, arguments: Sequence[str]) -> list[list[Part]]:
    """Return the parts of the default run, or of a share of all tests: those of a lane run in turn."""
    folder = ROOT / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    long = [f"--long={share}"] if share else []
    many = MANY_EXAMPLES if share else ()

    def part(name: str, *options: str, background: bool = False) -> Part:
        short = name.removeprefix("stack/")
        folders = [f"tests/{name}", *([f"tests/long/{short}"] if share else [])]
        found = [one for one in folders if (ROOT / one).is_dir()]
        return Part(short, [*found, *long, *options, *arguments], folder, background=background)

    require = "--require-stack"
    return [
        [
            part("unit", "-n", "2", *many, background=True),
            part("stack/processes", background=True),
            part("stack/own", require, background=True),
        ],
        [part("stack/stores", require, *BY_STORE, background=True)],
        [part("stack/target", require)],
    ]


def code_of(parts: Sequence[Part]) -> int:
    """Return the exit code of a run of `parts`."""
    if all(part.code == ExitCode.NOTHING_SELECTED for part in parts):
        return ExitCode.NOTHING_SELECTED
    return max((part.code or ExitCode.FAILED for part in parts if not part.passed), default=0)


def finish(lanes: Sequence[Sequence[Part]], progress: Progress) -> None:
    """Run the parts of each lane in turn, and the lanes side by side, to their ends."""
    running = list[Part]()
    progress.say(f"running the tests; to watch them: tail -f {FOLDER}/*.log")
    while under_way := [found for lane in lanes if (found := _next(lane))]:
        for ended in (part for part in running if part not in under_way):
            progress.say(f"{ended.name}: {ended.state}")
        running = under_way
        time.sleep(POLL_SECONDS)


def _next(lane: Sequence[Part]) -> Part | None:
    return next((part for part in lane if part.runs()), None)


@contextmanager
def _stopped(parts: Sequence[Part]) -> Iterator[None]:
    """Stop all running parts at the end, however the body ends."""
    try:
        yield
    finally:
        with undisturbed():
            for part in parts:
                part.stop()
