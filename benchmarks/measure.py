"""Time an action several times, and compare the medians."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Measure:
    """Seconds of each run of the action called `name`."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Return the median of the runs' seconds."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a comparison: the median and its ratio to ours, or the reason it was skipped."""

    name: str
    seconds: float | None
    ratio: float | None
    skipped: str = ""


def measure(name: str, action: Callable[[], object], times: int) -> Measure:
    """Run `action` as often as `times` says, and time each run."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return Measure(name, tuple(seconds))


def measured(name: str, refused: str, action: Callable[[], object], times: int) -> Measure | Row:
    """Measure a peer, unless it was `refused`; if it fails, say so in its place."""
    try:
        return Row(name, None, None, refused) if refused else measure(name, action, times)
    except RuntimeError as error:
        return Row(name, None, None, str(error))


def peak_mebibytes() -> float:
    """Return the peak memory of this process: that of `getrusage` begins with what its parent had."""
    status = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line for line in status if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


@dataclass(frozen=True, slots=True)
class Growth:
    """The cost of reading a table of `rows` rows: median seconds, and our process's peak memory."""

    rows: int
    seconds: float
    peak_mebibytes: float


def read_apart(
    rows: int, command: Sequence[str], environment: Mapping[str, str], times: int, limit: float
) -> Growth:
    """Read a table by `command`, a process each time, which prints its seconds and its `peak_mebibytes`."""
    read = [
        subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=limit,
            check=True,
        ).stdout.split()
        for _ in range(times)
    ]
    seconds, peaks = zip(*(map(float, one) for one in read), strict=True)
    return Growth(rows, Measure("", seconds).median, max(peaks))


def side_by_side(ways: Mapping[str, Callable[[], object]], times: int) -> list[Measure]:
    """Run all `ways` in turn, `times` rounds: a slowdown of the machine then slows them all."""
    seconds: dict[str, tuple[float, ...]] = dict.fromkeys(ways, ())
    for _ in range(times):
        for name, way in ways.items():
            seconds[name] += measure(name, way, 1).seconds
    return [Measure(name, each) for name, each in seconds.items()]


def compared(measures: Sequence[Measure | Row], ours: Measure) -> list[Row]:
    """Return a line for each measure with its ratio to `ours`; skipped rows stay as they are."""
    return [
        one if isinstance(one, Row) else Row(one.name, one.median, one.median / ours.median)
        for one in measures
    ]
