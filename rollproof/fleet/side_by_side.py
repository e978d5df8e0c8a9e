"""The runs of a fleet: a process for each target, some of them at once.

Each process is a fork of this one, which has imported all that a run needs: imports take most of a short run.
So this process has one thread alone, and has read no profile's secrets. A run is a process group of its own,
and its limits of time are those of any run of checks: `windows` of its profile.
"""

from __future__ import annotations

import gc
import glob
import multiprocessing
import os
import re
import signal
import time
import tomllib
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import FrameType
from typing import Any

from rollproof.errors import ExitCode, UsageProblem, plain
from rollproof.reading import read_regular
from rollproof.system.command import STANDARD_ERROR, STANDARD_OUTPUT, last_lines
from rollproof.system.process import ENDING, stopping
from rollproof.verdict import Verdict, verdict_of

END_SECONDS = 60.0
"""The time for interrupted runs to complete their records; then they are killed."""
# An ended process, or Ctrl-C, may go unseen for this long.
_SLICE_SECONDS = 0.2
_LAST_BYTES, _LAST_LINES = 4096, 8


@dataclass(frozen=True, slots=True)
class RunEnd:
    """What a run reports at its end, without secrets.

    `record` is the folder of its incident. `phases` has the verdict of each phase that it planned, by name.
    `cause` is the first reason why it did not pass, or "".
    """

    record: Path | None = None
    phases: Mapping[str, Verdict] = field(default_factory=dict)
    cause: str = ""


@dataclass(frozen=True, slots=True)
class TargetOutcome:
    """How the run of the target `name` ended: *passed*, *failed*, or *broken* for everything else.

    `last` are the last lines of its `log`, where nothing else says why it did not pass.
    """

    name: str
    verdict: Verdict
    end: RunEnd
    seconds: float = 0.0
    log: Path | None = None
    last: tuple[str, ...] = ()


Check = Callable[[str, Callable[[RunEnd], None]], int]
"""Runs the checks of the target of that name in this process, reports their end, returns the exit code."""


_Handlers = dict[signal.Signals, Callable[[int, FrameType | None], Any] | int]


@dataclass(frozen=True, slots=True)
class _TargetRun:
    name: str
    process: ForkProcess
    receiver: Connection
    log: Path
    started: float


def verify_targets(
    names: Collection[str], check: Check, folder: Path, at_once: int, show: Callable[[TargetOutcome], None]
) -> tuple[list[TargetOutcome], bool]:
    """Run the checks of all targets, `at_once` at a time; `show` gets the outcome of each as it ends.

    Return all outcomes, and whether Ctrl-C ended it: then the running ones were interrupted and waited for,
    and no other began. A target that did not report is *broken*. A run's output is in `NAME.log` of `folder`.
    """
    # What is here now is shared with the forks, as long as no collection of garbage writes to it.
    gc.freeze()
    unreported = RunEnd(cause="interrupted before it began")
    outcomes = {name: TargetOutcome(name, Verdict.BROKEN, unreported) for name in names}
    waiting, running = [*names], dict[int, _TargetRun]()
    handlers: _Handlers = {number: signal.getsignal(number) or signal.SIG_DFL for number in ENDING}
    handlers[signal.SIGINT] = signal.default_int_handler

    def collect(run: _TargetRun) -> None:
        outcomes[run.name] = _outcome(run)
        show(outcomes[run.name])

    # Ctrl-C is seen here, and raises nothing: no fork is without its entry in `running`.
    with stopping() as interrupted:
        try:
            while (waiting or running) and not interrupted():
                while waiting and len(running) < at_once and not interrupted():
                    run = _start(waiting.pop(0), check, folder, handlers)
                    running[run.process.sentinel] = run
                ended = wait(running, _SLICE_SECONDS)
                for sentinel in [one for one in running if one in ended]:
                    collect(running.pop(sentinel))
        finally:
            with stopping() as again:
                _end([run.process for run in running.values()], again)
        for run in running.values():
            collect(run)
        return [*outcomes.values()], interrupted()


def _start(name: str, check: Check, folder: Path, handlers: _Handlers) -> _TargetRun:
    context = multiprocessing.get_context("fork")
    log = folder / f"{name}.log"
    receiver, sender = context.Pipe(duplex=False)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    process = context.Process(target=_run, args=(name, check, sender, output, handlers))
    # A signal that comes before the fork has its own handlers waits until then.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    sender.close()
    os.close(output)
    return _TargetRun(name, process, receiver, log, time.monotonic())


def _run(
    name: str,
    check: Check,
    sender: Connection,
    output: int,
    handlers: _Handlers,
) -> None:
    """Run the checks of one target, in its own process."""
    os.setsid()
    os.dup2(output, STANDARD_OUTPUT)
    os.dup2(output, STANDARD_ERROR)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers)
        code = check(name, sender.send)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except Exception:  # noqa: BLE001 - of itself, a process ends with 1, which means "failed"
        traceback.print_exc()
        code = ExitCode.BROKEN
    raise SystemExit(code)


def _end(processes: Collection[ForkProcess], again: Callable[[], bool]) -> None:
    """Interrupt `processes` and wait for them; kill the rest after `END_SECONDS`, or on Ctrl-C `again`."""
    give_up = time.monotonic() + END_SECONDS
    for process in processes:
        _signal(process, signal.SIGINT)
    while any(process.is_alive() for process in processes) and time.monotonic() < give_up and not again():
        wait([process.sentinel for process in processes if process.is_alive()], _SLICE_SECONDS)
    for process in processes:
        _signal(process, signal.SIGKILL)
        process.join()


def _signal(process: ForkProcess, number: signal.Signals) -> None:
    """Send a signal to a process and what it has started, if it has not ended."""
    if process.pid is None or not process.is_alive():
        return
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        # Its group is not made yet. The process itself is there until it is joined.
        os.kill(process.pid, number)


def _outcome(run: _TargetRun) -> TargetOutcome:
    """Return how a run ended whose process has."""
    end = RunEnd()
    with suppress(EOFError), run.receiver:
        end = run.receiver.recv()
    run.process.join()
    seconds = time.monotonic() - run.started
    code = next((one for one in ExitCode if one == run.process.exitcode), ExitCode.BROKEN)
    verdict = verdict_of(code) if end.phases else Verdict.BROKEN
    if end.cause or verdict is Verdict.PASSED:
        return TargetOutcome(run.name, verdict, end, seconds, run.log)
    with run.log.open("rb") as log:
        lines = plain(last_lines(log, _LAST_BYTES)).split("\n")
    last = [line for line in lines if line.strip()][-_LAST_LINES:]
    return TargetOutcome(run.name, verdict, end, seconds, run.log, tuple(last))


_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def find_targets(patterns: Sequence[str]) -> dict[str, Path]:
    """Return the profiles that `patterns` match, each once, by the name of its target, sorted by path.

    What is wrong with a profile is a finding of its own run. Without a name there, its path is the name.

    Raises:
        UsageProblem: a pattern matches nothing, or two profiles have one name.
    """
    found: dict[str, Path] = {}
    for profile in sorted({path.absolute() for pattern in patterns for path in _matches(pattern)}):
        name = _name_of(profile)
        if name in found:
            raise UsageProblem(
                what="name of a target",
                expected="another one in each profile, since records are kept by it",
                observed=f"{name} twice",
                source=f"{found[name]}, {profile}",
                hint="correct name in one of the two, or leave it out of --targets",
            )
        found[name] = profile
    return found


def _matches(pattern: str) -> list[Path]:
    # Path.glob takes no absolute pattern.
    profiles = [Path(path) for path in glob.glob(pattern, recursive=True)]  # noqa: PTH207
    if not profiles:
        raise UsageProblem(
            what="--targets",
            expected="a pattern that profiles match, in quotes",
            observed=f"none that matches {pattern!r}",
            source=str(Path.cwd()),
            hint="see what is there, and quote the pattern: --targets 'targets/*.toml'",
        )
    return profiles


def _name_of(profile: Path) -> str:
    try:
        name = tomllib.loads(read_regular(profile).decode()).get("name")
    except (OSError, ValueError):
        name = None
    known = isinstance(name, str) and _NAME.fullmatch(name)
    return str(name) if known else "-".join(profile.with_suffix("").parts[1:])
