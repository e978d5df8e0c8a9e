"""How long something took, some times over, and how that compares."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
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


def side_by_side(ways: Mapping[str, Callable[[], object]], times: int) -> list[Measure]:
    """Run each of `ways` in turn, and all of them so many times: what slows the machine down slows all."""
    seconds: dict[str, tuple[float, ...]] = dict.fromkeys(ways, ())
    for _ in range(times):
        for name, way in ways.items():
            seconds[name] += measure(name, way, 1).seconds
    return [Measure(name, each) for name, each in seconds.items()]


def compared(measures: Sequence[Measure | Row], ours: Measure) -> list[Row]:
    """Return a line for each, with its ratio to `ours`; what was skipped stays as it is."""
    return [
        one if isinstance(one, Row) else Row(one.name, one.median, one.median / ours.median)
        for one in measures
    ]
