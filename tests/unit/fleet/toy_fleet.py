"""A fleet whose targets do what their names say: `python -m tests.unit.fleet.toy_fleet FOLDER AT_ONCE NAME…`.

It prints the outcomes as JSON. Ctrl-C waits a second for those that do not end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rollproof.fleet import side_by_side
from rollproof.fleet.side_by_side import RunEnd, verify_targets
from rollproof.system.files import write_whole
from rollproof.system.record_files import as_json
from rollproof.verdict import Verdict

FOLDER = Path(sys.argv[1])


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
        case "counts":
            mine = FOLDER / f"{name}.running"
            mine.touch()
            time.sleep(0.05)
            count = len([*FOLDER.glob("*.running")])
            mine.unlink()
            report(RunEnd(FOLDER, {"phase1": Verdict.PASSED}, str(count)))
        case "interrupts" | "insists":
            return _interrupt(report, again=deed == "insists")
        case "stays":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            write_whole(FOLDER / "stays", str(os.getpid()).encode())
            time.sleep(60)
    return 0


def _interrupt(report: Callable[[RunEnd], None], *, again: bool) -> int:
    """Send Ctrl-C once another target stays, and report when it comes back; or send it again then."""
    while not (FOLDER / "stays").exists():
        time.sleep(0.01)
    try:
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt:
        report(RunEnd(FOLDER, {"phase1": Verdict.BROKEN}, "it was planned and never reported"))
        if again:
            os.kill(os.getppid(), signal.SIGINT)
    return 2


if __name__ == "__main__":
    side_by_side.END_SECONDS = 1.0
    # A job of a shell's background has Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found, interrupted = verify_targets(sys.argv[3:], check, FOLDER, int(sys.argv[2]), lambda _: None)
    outcomes = {outcome.name: as_json(outcome) for outcome in found}
    sys.stdout.write(json.dumps({"outcomes": outcomes, "interrupted": interrupted}))
