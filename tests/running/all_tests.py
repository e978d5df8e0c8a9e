"""Runs all tests, the same every day: computing parts side by side with those that wait for real servers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reports.terminal.progress import Progress
from rollproof.errors import ExitCode
from rollproof.system.side_by_side import every as each
from staging.engine import undisturbed
from staging.releases.deployment import bring_up_application
from staging.stack.fresh_stacks import fresh_stacks
from staging.stack.slot import Slot, first_slot
from staging.stack.stack import Stack
from tests.conftest import ROOT
from tests.running.cut import STACKS, Share
from tests.running.part import Part

SMALL_SCALE = 0.05
POLL_SECONDS = 0.2
FOLDER = Path(".staging/tests")


def run(arguments: Sequence[str], *, every: bool, part: str | None) -> int:
    """Run all tests, a part of them, or the default run; return the exit code."""
    share = Share.read(part) if part is not None else Share(1, 1) if every else None
    unit, plugin, stack = parts = parts_of(share, arguments)
    with Progress() as progress:
        # What runs on stacks is stopped before they are taken down, however the body ends.
        with _stopped([unit, plugin]):
            unit.runs()
            with _stacks(progress), _stopped([stack]):
                finish([[unit, plugin], [stack]], progress)
        for red in (one for one in parts if not one.passed):
            progress.say(f"{red.name}: exit code {red.code}\n{red.failures()}")
    return code_of(parts)


def parts_of(share: Share | None, arguments: Sequence[str]) -> list[Part]:
    """Return the parts of the default run, or of a share of all tests."""
    folder = ROOT / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    long = [f"--long={share}"] if share else []
    by_store = ["-n", str(STACKS), "--dist", "loadscope", "--no-loadscope-reorder"]
    many = ["-p", "hypothesispytest", "--hypothesis-profile=many"] if share else []
    parts = [
        Part("unit", ["tests/unit", "-n", "2", *long, *many], folder, background=True),
        Part("plugin", ["tests/stack/processes", "-n", "2", *long], folder, background=True),
        Part("stack", ["tests/stack", "--require-stack", *long, *by_store], folder),
    ]
    for part in parts:
        part.arguments = [*part.arguments, *arguments]
    return parts


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
            progress.say(f"{ended.name}: {ended.state} ({ended.log})")
        running = under_way
        time.sleep(POLL_SECONDS)
    for ended in running:
        progress.say(f"{ended.name}: {ended.state} ({ended.log})")


def _next(lane: Sequence[Part]) -> Part | None:
    return next((part for part in lane if part.runs()), None)


@contextmanager
def _stacks(progress: Progress) -> Iterator[None]:
    """Bring up and seed the stacks, one for each worker, for the block."""
    first = first_slot()
    stacks = [Stack(ROOT, Slot(first + number)) for number in range(STACKS)]
    with fresh_stacks(stacks, progress):
        each(lambda stack: bring_up_application(stack, progress, SMALL_SCALE), stacks, name="stack")
        yield


@contextmanager
def _stopped(parts: Sequence[Part]) -> Iterator[None]:
    """Stop all running parts at the end, however the body ends."""
    try:
        yield
    finally:
        with undisturbed():
            for part in parts:
                part.stop()
