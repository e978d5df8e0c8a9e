"""Runs all tests, the same every day: computing parts side by side with those that wait for real servers."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rich.console import Console

from reports.terminal.progress import Progress
from rollproof.errors import ExitCode
from staging.engine import install, undisturbed
from staging.releases.deployment import bring_up_application
from staging.stack.fresh_stacks import fresh_stacks, side_by_side
from staging.stack.slot import Slot, first_slot
from staging.stack.stack import Stack
from tests.conftest import ROOT
from tests.running.board import POLL_SECONDS, Durations, board, show, wait_for
from tests.running.cut import DEFAULT_MINUTES, STACKS, Long, Share, minutes
from tests.running.part import Part

SMALL_SCALE = 0.05
FOLDER = Path(".staging/tests")
# The browser that opens reports: Debian's packages, and the program of each.
BROWSER = {"chromium": "chromium", "chromium-driver": "chromedriver"}
REQUIRED = "--require-browser"


def run(arguments: Sequence[str], *, every: bool, part: str | None) -> int:
    """Run all tests, a part of them, or the default run; return the exit code."""
    share = Share.read(part) if part is not None else Share(1, 1) if every else None
    parts = Parts.of(share, arguments)
    began = time.monotonic()
    with Progress() as progress:
        if share is not None:
            _announce(share, parts, progress)
        # Parts on stacks end before the stacks are taken down, however the body ends.
        with (
            board(parts.every, progress, Durations(parts.folder)),
            beside(parts.computing, progress),
            _stacks(progress),
            _ended(parts.on_stacks),
        ):
            parts.stack.start()
            wait_for([parts.stack])
            if parts.alone is not None:
                wait_for(parts.computing)
                parts.alone.start()
                wait_for([parts.alone])
    Durations(parts.folder).keep(parts.every)
    show(parts.every, Console(highlight=False), time.monotonic() - began)
    return parts.code


@dataclass(frozen=True)
class Parts:
    """The parts of a run: `computing`, in turn, at the same time as `stack`; last `alone`, by itself."""

    folder: Path
    computing: Sequence[Part]
    stack: Part
    alone: Part | None

    @classmethod
    def of(cls, share: Share | None, arguments: Sequence[str]) -> Self:
        """Return the parts for a share of all tests, or for the default run; `arguments` are pytest's."""
        folder = ROOT / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        long = [f"--long={share}"] if share else []
        on_stacks = ["tests/stack", "--require-stack", *long]
        side_by_side = ["-n", str(STACKS), "--dist", "loadscope", "--no-loadscope-reorder"]
        many = ["-p", "hypothesispytest", "--hypothesis-profile=many"]
        unit = ["tests/unit", "tests/fuzz", "-n", "2", *long, *(many if share else [])]
        plugin = ["tests/pytester", "-n", "2", *long, *([REQUIRED] if share else [])]
        computing = [
            Part("unit", [*unit, *arguments], folder, background=True),
            Part("plugin", [*plugin, *arguments], folder, background=True),
        ]
        return cls(
            folder,
            computing,
            Part("stack", [*on_stacks, "-m", "not alone", *side_by_side, *arguments], folder),
            Part("alone", [*on_stacks, "-m", "alone", *arguments], folder) if share else None,
        )

    @property
    def on_stacks(self) -> list[Part]:
        """The parts that use the stacks' servers."""
        return [self.stack, *([self.alone] if self.alone else [])]

    @property
    def every(self) -> list[Part]:
        """All parts."""
        return [*self.computing, *self.on_stacks]

    @property
    def code(self) -> int:
        """The exit code of the run."""
        if all(part.code == ExitCode.NOTHING_SELECTED for part in self.every):
            return ExitCode.NOTHING_SELECTED
        return max((part.code or 0 for part in self.every if not part.passed), default=ExitCode.VERIFIED)


def _announce(share: Share, parts: Parts, progress: Progress) -> None:
    """Announce the long tests that this part adds, with their estimated time."""
    with progress.step(f"collect the long tests of part {share}"):
        collection = Part("collection", ["tests", "--collect-only", "-q", f"--long={share}"], parts.folder)
        collection.start()
        try:
            while collection.look():
                time.sleep(POLL_SECONDS)
        finally:
            collection.stop()
    files: dict[str, dict[str, Long]] = {}
    for test, long in collection.told.long.items():
        files.setdefault(test.partition("::")[0], {})[test] = long
    for file, tests in files.items():
        progress.say(f"  {file}: {len(tests)} long tests, about {minutes(tests):.0f} min")
    both = minutes(collection.told.long) + (DEFAULT_MINUTES if share.first else 0.0)
    default = "the default run and " if share.first else ""
    progress.say(
        f"part {share}: {default}{len(collection.told.long)} long tests, about {both:.0f} min in all"
    )


@contextmanager
def beside(parts: Sequence[Part], progress: Progress) -> Iterator[None]:
    """Run `parts` in turn during the body and after it; once the body has failed, start no more."""

    def run() -> None:
        for part in parts:
            if stopped.is_set():
                return
            part.start()
            wait_for([part])

    stopped = threading.Event()
    if any(REQUIRED in part.arguments for part in parts):
        with progress.step("see that there is a browser"):
            if missing := [name for name, program in BROWSER.items() if shutil.which(program) is None]:
                install(*missing, report=progress.say)
    thread = threading.Thread(target=run, name="computing", daemon=True)
    thread.start()
    try:
        yield
        # Wait in short steps, so that a signal is noticed.
        while thread.is_alive():
            thread.join(POLL_SECONDS)
    finally:
        with undisturbed():
            stopped.set()
            # Repeat: a part may have just started.
            while thread.is_alive():
                _stop(parts)
                thread.join(POLL_SECONDS)


@contextmanager
def _stacks(progress: Progress) -> Iterator[None]:
    """Bring up and seed the stacks, one for each worker, for the block."""
    first = first_slot()
    stacks = [Stack(ROOT, Slot(first + number)) for number in range(STACKS)]
    with fresh_stacks(stacks, progress):
        side_by_side(lambda stack: bring_up_application(stack, progress, SMALL_SCALE), stacks)
        yield


@contextmanager
def _ended(parts: Sequence[Part]) -> Iterator[None]:
    """Stop all running parts at the end, however the body ends."""
    try:
        yield
    finally:
        with undisturbed():
            _stop(parts)


def _stop(parts: Sequence[Part]) -> None:
    for part in parts:
        part.stop()
