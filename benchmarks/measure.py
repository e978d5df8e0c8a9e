"""How long something took, some times over, and how that compares."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """The seconds of each run of what `name` says."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Return the run in the middle."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a comparison: the median, and how many times that of ours it is; or why there is none."""

    name: str
    seconds: float | None
    ratio: float | None
    skipped: str = ""


def measure(name: str, action: Callable[[], object], times: int) -> Measure:
    """Run `action` so many times."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return Measure(name, tuple(seconds))


def compared(measures: Sequence[Measure | Row], ours: Measure) -> list[Row]:
    """Return a line for each, with its ratio to `ours`; what was skipped stays as it is."""
    return [
        one if isinstance(one, Row) else Row(one.name, one.median, one.median / ours.median)
        for one in measures
    ]
