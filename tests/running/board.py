"""The board: the running parts with their elapsed and remaining time, and the table at the end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from reports.terminal.progress import Progress
from rollproof.system.files import write_whole
from tests.running.part import Failure, Part

POLL_SECONDS = 0.2
PLAIN_SECONDS = 30.0
SLOWEST = 5
WIDTH = 80
# A live line also has a spinner in front and its time at the end.
LIVE_WIDTH = WIDTH - 10
# Number of a failure's last lines, which show the assertion and its place.
FAILURE_LINES = 25
# And of a crash, where the thread that got the signal was.
CRASH_LINES = 40


class Durations:
    """Each test's duration in its last run on this machine, to estimate the remaining time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "durations.json"
        self._seconds: dict[str, float] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def left(self, part: Part) -> float | None:
        """Return the estimated seconds that `part` still needs, or None without enough facts."""
        told = part.told
        known = {test: self._seconds[test] for test in told.planned if test in self._seconds}
        # The longest tests come first, so the share of ended tests is no estimate.
        if not told.outcomes or 2 * len(known) < len(told.planned):
            return None
        usual = sum(known.values()) / len(known)
        done = sum(known.get(test, usual) for test in told.outcomes)
        whole = sum(known.get(test, usual) for test in told.planned)
        return part.seconds * max(0.0, whole - done) / done if done else None

    def keep(self, parts: Sequence[Part]) -> None:
        """Save the durations of the tests of `parts` for the next run."""
        for part in parts:
            self._seconds |= {test: round(seconds, 2) for test, seconds in part.told.seconds.items()}
        write_whole(self._path, json.dumps(self._seconds, indent=0, sort_keys=True).encode())


@contextmanager
def board(parts: Sequence[Part], progress: Progress, durations: Durations) -> Iterator[None]:
    """Watch `parts` during the body, and show their progress."""
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(parts, progress, durations, over), name="board")
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def wait_for(parts: Sequence[Part]) -> None:
    """Wait until `parts`, which a board watches, have ended."""
    while not all(part.ended for part in parts):
        time.sleep(POLL_SECONDS)


def _watch(parts: Sequence[Part], progress: Progress, durations: Durations, over: threading.Event) -> None:
    with ExitStack() as shown:
        lines: dict[str, Callable[[str], None]] = {}
        said, failed, crashed = time.monotonic(), dict[str, int](), dict[str, int]()
        while True:
            last = over.is_set()
            under_way = [part for part in parts if part.began is not None and not part.ended]
            for part in under_way:
                if part.name not in lines:
                    lines[part.name] = shown.enter_context(progress.line(part.name))
                if part.look():
                    lines[part.name](state(part, durations, LIVE_WIDTH))
                else:
                    progress.say(state(part, durations))
                for crash in part.told.crashes[crashed.get(part.name, 0) :]:
                    progress.say(f"CRASHED worker {crash.worker} of {part.name}")
                crashed[part.name] = len(part.told.crashes)
                for failure in part.told.failures[failed.get(part.name, 0) :]:
                    progress.say(f"FAILED {failure.test} ({failure.when})")
                failed[part.name] = len(part.told.failures)
            if not progress.live and time.monotonic() - said >= PLAIN_SECONDS:
                said = time.monotonic()
                for part in under_way:
                    progress.say(state(part, durations))
            if last:
                return
            over.wait(POLL_SECONDS)


def state(part: Part, durations: Durations, width: int = WIDTH) -> str:
    """Return a part's line: its progress, elapsed and remaining time, and its longest running test."""
    told = part.told
    words = [f"{part.name:<9} {len(told.outcomes):>4} of {len(told.planned)}"]
    if wrong := told.count("failed"):
        words.append(f"{wrong} failed")
    words.append(clock(part.seconds))
    if part.ended:
        words.append("done" if part.passed else f"FAILED, exit code {part.code}")
    elif (left := durations.left(part)) is not None:
        words.append(f"about {clock(left)} left")
    text = ", ".join(words)
    if not part.ended and told.running:
        test, began = min(told.running.items(), key=lambda item: item[1])
        text += f"; {clock(time.monotonic() - began)} {test.rpartition('::')[2].removeprefix('test_')}"
    return shortened(text, width)


def clock(seconds: float) -> str:
    """Return minutes and seconds.

    >>> clock(65)
    '1:05'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def shortened(text: str, width: int) -> str:
    """Return `text`, cut with an ellipsis if it is longer than `width`."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def show(parts: Sequence[Part], console: Console, seconds: float) -> None:
    """Print the failures, then the table: part, tests, seconds, slowest five."""
    for part in parts:
        _show_failures(part, console)
    table = Table(width=WIDTH)
    table.add_column("part")
    table.add_column("tests", justify="right")
    table.add_column("failed", justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("slowest five")
    for part in parts:
        table.add_row(
            part.name,
            str(len(part.told.outcomes)),
            str(part.told.count("failed")),
            f"{part.seconds:.0f}",
            "\n".join(_slowest(part.told.seconds)) or "-",
        )
    console.print(table)
    counts = {name: sum(part.told.count(name) for part in parts) for name in ("passed", "failed", "skipped")}
    console.print(f"took {clock(seconds)}", highlight=False)
    console.print(
        f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped", highlight=False
    )


def _slowest(seconds: Mapping[str, float]) -> Iterator[str]:
    longest = sorted(seconds.items(), key=lambda item: (-item[1], item[0]))[:SLOWEST]
    for test, took in longest:
        name = test.rpartition("/")[2].removeprefix("test_").replace(".py::test_", ": ")
        yield shortened(f"{took:5.1f} {name}", 40)


def _show_failures(part: Part, console: Console) -> None:
    if part.passed or not part.ended:
        return
    for crash in part.told.crashes:
        console.rule(f"{part.name}: worker {crash.worker} crashed", align="left")
        _say(console, _crashed_thread(crash.text))
    # A fixture that fails does so for each of its tests; what it says is said once.
    causes: dict[str, list[Failure]] = {}
    for failure in part.told.failures:
        causes.setdefault("\n".join(failure.text.splitlines()[-FAILURE_LINES:]), []).append(failure)
    for text, (first, *others) in causes.items():
        console.rule(f"{first.test} ({first.when})", align="left")
        _say(console, text)
        if others:
            _say(console, f"and {len(others)} more by the same, the last of them {others[-1].test}")
    if not part.told.failures:
        console.rule(f"{part.name}: exit code {part.code}", align="left")
        _say(console, part.last_lines())
    _say(console, f"all of it: {part.log}")


def _crashed_thread(text: str) -> str:
    """Return a crash's first line, which names the signal, and the stack of the thread that got it."""
    first, *lines = text.splitlines()
    begin = next((at for at, line in enumerate(lines) if line.startswith("Current thread")), 0)
    return "\n".join([first, *lines[begin : begin + CRASH_LINES]])


def _say(console: Console, text: str) -> None:
    """Print a text unchanged: a terminal wraps it, and a path in it stays whole."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
