"""Figures of the monitor's samples as lines that break where nothing is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from rollproof.monitoring.samples import ProbeKind, Sample

MOST_POINTS = 400
"""Number of points of a line that can be told apart in print."""
# A distance of more than this many beats between two samples is a gap, not chance.
_BEATS = 2.5

Read = Callable[[Sample], float | None]
"""Reads a sample's figure; None if it is unknown."""


@dataclass(frozen=True, slots=True)
class Series:
    """A figure over time: its name, its line's style, and whether high or low is bad.

    `line` and `marker` are Matplotlib's format strings.
    """

    name: str
    read: Read
    line: str
    marker: str
    colour: str
    low_is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """Points of a series, NaN at a gap; `alone` are the points with a gap on both sides."""

    times: tuple[float, ...]
    values: tuple[float, ...]
    alone: tuple[int, ...]

    @property
    def empty(self) -> bool:
        """Whether the line has no figure at all."""
        return all(math.isnan(value) for value in self.values)

    @property
    def last(self) -> float:
        """The newest figure, NaN if there is none."""
        return next((value for value in reversed(self.values) if not math.isnan(value)), math.nan)


def gaps(samples: Sequence[Sample], times: Sequence[float]) -> list[tuple[float, float]]:
    """Return the start and end of each gap without samples; `times` has one time per sample."""
    steps = [later - earlier for earlier, later in pairwise(times)]
    if not steps:
        return []
    longest = _BEATS * median(steps)
    return [
        (earlier, later)
        for (earlier, later), sample in zip(pairwise(times), samples[1:], strict=True)
        if later - earlier > longest or sample.missed
    ]


def line_of(
    series: Series, samples: Sequence[Sample], times: Sequence[float], missing: Sequence[tuple[float, float]]
) -> Line:
    """Return the line of `series`; above `MOST_POINTS` samples, a point is the worst of several in a row."""
    points: list[tuple[float, float]] = []
    ends = {later for _, later in missing}
    worst = min if series.low_is_bad else max
    for group in _groups(samples, times, ends):
        if points and group[0][0] in ends:
            points.append(((points[-1][0] + group[0][0]) / 2, math.nan))
        known = [(value, time) for time, sample in group if (value := series.read(sample)) is not None]
        if known:
            value, time = worst(known)
            points.append((time, value))
        else:
            points.append((group[0][0], math.nan))
    values = tuple(value for _, value in points)
    return Line(tuple(time for time, _ in points), values, tuple(_alone(values)))


def step_of(count: int) -> int:
    """Return the number of samples in a row that one point stands for, by the worst."""
    return max(1, math.ceil(count / MOST_POINTS))


def _groups(
    samples: Sequence[Sample], times: Sequence[float], ends: set[float]
) -> Iterator[list[tuple[float, Sample]]]:
    """Yield groups of samples in a row with their times; no group spans a gap."""
    step = step_of(len(samples))
    group: list[tuple[float, Sample]] = []
    for time, sample in zip(times, samples, strict=True):
        if group and (len(group) == step or time in ends):
            yield group
            group = []
        group.append((time, sample))
    if group:
        yield group


def _alone(values: Sequence[float]) -> Iterator[int]:
    around = [math.nan, *values, math.nan]
    for place, value in enumerate(values):
        if not math.isnan(value) and math.isnan(around[place]) and math.isnan(around[place + 2]):
            yield place


def _value(kind: ProbeKind) -> Read:
    def read(sample: Sample) -> float | None:
        probe = sample.answered(kind)
        return None if probe is None else probe.value

    return read


def _share(failed: str, asked: str) -> Read:
    """Return a reader of a percentage; without any request, it reads None."""

    def read(sample: Sample) -> float | None:
        probe = sample.answered(ProbeKind.REQUESTS)
        if probe is None or failed not in probe.figures or not probe.figures.get(asked):
            return None
        return 100 * probe.figures[failed] / probe.figures[asked]

    return read


def _slowest(sample: Sample) -> float | None:
    probe = sample.answered(ProbeKind.REQUESTS)
    return None if probe is None or not probe.figures.get("requests") else probe.figures.get("p95")


ERRORS = (
    Series("requests", _share("errors", "requests"), "-", "o", "#b02418"),
    Series("log-ins", _share("failed_log_ins", "log_ins"), ":", "^", "#1f5a94"),
)
LATENCY = (
    Series("95 % of requests", _slowest, "-", "o", "#b02418"),
    Series("first page", _value(ProbeKind.PAGE), "--", "s", "#1f5a94"),
    Series("health", _value(ProbeKind.HEALTH), ":", "^", "#2b6e3f"),
)
RESOURCES = (
    Series("memory used", _value(ProbeKind.MEMORY), "-", "o", "#b02418"),
    Series("disk free", _value(ProbeKind.DISK), "--", "s", "#1f5a94", low_is_bad=True),
    Series("connections", lambda sample: sample.most(ProbeKind.CONNECTIONS), ":", "^", "#2b6e3f"),
)
