"""A fleet whose targets do what their names say: `python -m …toy_fleet FOLDER AT_ONCE NAME…`.

It prints the outcomes as JSON, and the most that ran at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rollproof.fleet import side_by_side
from rollproof.fleet.side_by_side import RunEnd, verify_targets
from rollproof.system.files import write_whole
from rollproof.system.record_files import as_json
from rollproof.verdict import Verdict

FOLDER = Path(sys.argv[1])
# It is opened for reading once another target has opened it for writing, and stays.
STAYS, REPORTED = FOLDER / "stays", FOLDER / "reported"


def check(name: str, report: Callable[[RunEnd], None]) -> int:
    """Do what `name` says, up to its first dot."""
    deed = name.partition(".")[0]
    match deed:
        case "passes" | "fails":
            report(RunEnd(FOLDER, {"phase1": Verdict(f"{deed[:4]}ed")}, "" if deed == "passes" else "a loss"))
            return int(deed == "fails")
        case "silent":
            os.write(1, b"it says\n\nwhat it does\n")
            return int(name.partition(".")[2] or 0)
        case "raises":
            raise ValueError("out of order")
        case "dies":
            report(RunEnd(FOLDER, {"phase1": Verdict.PASSED}))
            os.kill(os.getpid(), signal.SIGKILL)
        case "stays":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            write_whole(FOLDER / "pid", str(os.getpid()).encode())
            with STAYS.open("w"):
                threading.Event().wait()
        case "interrupts" | "insists":
            with STAYS.open():
                return _interrupt(report, again=deed == "insists")
        case "waits":
            return _report_an_interrupt(report)
    return 0


def _interrupt(report: Callable[[RunEnd], None], *, again: bool) -> int:
    """Send Ctrl-C to the fleet, and report when it comes back; then let time pass, or send it again."""
    try:
        os.kill(os.getppid(), signal.SIGINT)
        threading.Event().wait()
    except KeyboardInterrupt:
        _never_reported(report)
        if again:
            os.kill(os.getppid(), signal.SIGINT)
        else:
            REPORTED.touch()
    return 2


def _report_an_interrupt(report: Callable[[RunEnd], None]) -> int:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        _never_reported(report)
    return 2


def _never_reported(report: Callable[[RunEnd], None]) -> None:
    report(RunEnd(FOLDER, {"phase1": Verdict.BROKEN}, "it was planned and never reported"))


def _counted(running: dict[int, Any], seconds: float) -> list[Any]:
    most.append(len(running))
    return wait(running, seconds)


def _start_and_press(process: ForkProcess) -> None:
    """Let Ctrl-C come in the instant after the fork."""
    _started(process)
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    os.mkfifo(STAYS)
    # What does not end by Ctrl-C has no time left once the other has reported.
    time = SimpleNamespace(monotonic=lambda: 1000.0 if REPORTED.exists() else 0.0)
    most, _started = list[int](), ForkProcess.start
    vars(side_by_side).update(time=time, wait=_counted)
    if "waits" in sys.argv:
        ForkProcess.start = _start_and_press  # type: ignore[assignment, method-assign]
    # A job of a shell's background has Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found, interrupted = verify_targets(sys.argv[3:], check, FOLDER, int(sys.argv[2]), lambda _: None)
    outcomes = {outcome.name: as_json(outcome) for outcome in found}
    sys.stdout.write(json.dumps({"outcomes": outcomes, "interrupted": interrupted, "most": max(most)}))
