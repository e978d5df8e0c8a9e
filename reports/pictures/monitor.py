"""The monitor's samples over time: errors, latency and resources, with the moments of decision marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, ScalarFormatter

from reports.incident.events import Kind, Timeline
from reports.incident.record import OTHER_SHAPE, IncidentRecord
from reports.pictures.style import INK, new_figure, show_clock, show_ticks, svg
from rollproof.incident.samples import ProbeKind, Sample

MOST_POINTS = 400
"""Number of points of a line that can be told apart in print: beyond it, a point is the worst of several."""
# A distance of more than this many beats between two samples is a gap, not chance.
_BEATS = 2.5
_HEIGHT = 4.6
# Names of moments are this part of the picture away from each other.
_ROOM = 0.06
_LONG, _BEFORE, _MARGIN = 2.0, 0.25, 0.04
"""An incident that is this much shorter than the time of the samples has a scale of its own beside it."""

Read = Callable[[Sample], float | None]
"""Reads a sample's figure; None if it is unknown."""


@dataclass(frozen=True, slots=True)
class Series:
    """A figure over time: its name, Matplotlib's format of its line, and which of two figures is worse."""

    name: str
    read: Read
    line: str
    worst: Callable[[Sequence[float]], float] = max


def draw(record: IncidentRecord, timeline: Timeline) -> bytes | None:
    """Return the picture, or None if there are no samples."""
    try:
        dated = [(timeline.after(record.at(one.at)), one) for one in record.samples]
    except OTHER_SHAPE:
        # The timeline doubts that sample.
        return None
    if not dated:
        return None
    dated.sort(key=lambda pair: pair[0])
    spans = _spans(timeline, dated[0][0], dated[-1][0])
    figure = new_figure(_HEIGHT)
    columns = figure.subplots(
        len(_PANELS),
        len(spans),
        sharex="col",
        sharey="row",
        squeeze=False,
        width_ratios=(1, 3)[-len(spans) :],
    )
    for panels, (name, unit, every) in zip(columns, _PANELS, strict=True):
        panels[0].set_title(f"{name}, {unit}")
        for panel in panels:
            _draw_lines(panel, every, dated)
        if panels[-1].lines:
            panels[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        else:
            panels[-1].text(
                0.5, 0.5, "no figures", transform=panels[-1].transAxes, ha="center", style="italic"
            )
    for panel in columns[1]:
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.yaxis.set_major_formatter(ScalarFormatter())
        panel.minorticks_off()
    for panels in (columns[0], columns[2]):
        panels[0].set_ylim(-2, 104)
    for number, (first, last) in enumerate(spans, start=1):
        panels = [row[number - 1] for row in columns]
        panels[0].set_xlim(first - _MARGIN * (last - first), last + _MARGIN * (last - first))
        _mark(panels, timeline, first, last, named=number == len(spans))
        show_ticks(panels[-1], most=3)
    show_clock(columns[-1][-1], timeline)
    return svg(figure, f"Monitor of incident {record.incident.id}")


def _spans(timeline: Timeline, first: float, last: float) -> list[tuple[float, float]]:
    """Return the time of the samples, and the incident's if that is much shorter: each has its scale."""
    moments = [moment for moment, _ in _moments(timeline) if first <= moment <= last]
    long = last - min(moments, default=first)
    short = 0 < _LONG * long < last - first
    return [(first, last), *([(last - (1 + _BEFORE) * long, last)] if short else [])]


def _draw_lines(panel: Axes, every: Sequence[Series], dated: Sequence[tuple[float, Sample]]) -> None:
    for series in every:
        points = points_of(series, dated)
        if any(not math.isnan(value) for _, value in points):
            moments, values = zip(*points, strict=True)
            panel.plot(moments, values, series.line, markersize=2)
            panel.lines[-1].set_label(series.name)
    panel.grid(axis="y")


def points_of(series: Series, dated: Sequence[tuple[float, Sample]]) -> list[tuple[float, float]]:
    """Return the points of a line, NaN where nothing is known: a point is the worst of a few samples."""
    steps = [later - earlier for (earlier, _), (later, _) in pairwise(dated)]
    longest = _BEATS * median(steps) if steps else 0.0
    size = math.ceil(len(dated) / MOST_POINTS)
    points: list[tuple[float, float]] = []
    group: list[float] = []
    for number, (at, sample) in enumerate(dated, start=1):
        value = series.read(sample)
        group += [] if value is None else [value]
        gap = number < len(dated) and (steps[number - 1] > longest or dated[number][1].missed > 0)
        if gap or number % size == 0 or number == len(dated):
            points.append((at, series.worst(group) if group else math.nan))
            group = []
        if gap:
            points.append((at + steps[number - 1] / 2, math.nan))
    return points


def _mark(panels: Sequence[Axes], timeline: Timeline, first: float, last: float, *, named: bool) -> None:
    """Draw a line across all panels at each moment of the rollback; `named` above where there is room."""
    names: dict[str, float] = {}
    for moment, name in sorted(_moments(timeline)):
        if first <= moment <= last:
            for panel in panels:
                panel.axvline(moment, color=INK, linewidth=0.7, dashes=(4, 2))
            if all(moment - one > _ROOM * (last - first) for one in names.values()):
                names[name] = moment
    if named:
        above = panels[0].secondary_xaxis("top")
        above.set_xticks([*names.values()], [*names], rotation=20, ha="left", rotation_mode="anchor")
        above.spines["top"].set_visible(False)


def _moments(timeline: Timeline) -> Iterator[tuple[float, str]]:
    for event in timeline.events:
        if event.kind is Kind.DEPLOYMENT:
            yield timeline.after(event.at), "deployed"
        elif event.kind is Kind.ROLLBACK and event.seconds is not None:
            yield timeline.after(event.at), "rollback begins"
            yield timeline.after(event.ends), f"rollback {event.verdict or 'ends'}"
    for event in timeline.of(Kind.DECISION)[:1]:
        yield timeline.after(event.at), "decided"
    if ends := [event.ends for event in timeline.of(Kind.PHASE)]:
        yield timeline.after(max(ends)), "checks end"


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
    Series("requests", _share("errors", "requests"), "-"),
    Series("log-ins", _share("failed_log_ins", "log_ins"), "^:"),
)
LATENCY = (
    Series("95 % of requests", _slowest, "-"),
    Series("first page", _value(ProbeKind.PAGE), "--"),
    Series("health", _value(ProbeKind.HEALTH), ":"),
)
RESOURCES = (
    Series("memory used", _value(ProbeKind.MEMORY), "-"),
    Series("disk free", _value(ProbeKind.DISK), "--", min),
    Series("connections", lambda sample: sample.most(ProbeKind.CONNECTIONS), ":"),
)
_PANELS = (
    ("Failed", "% of those asked", ERRORS),
    ("Latency", "milliseconds (logarithmic)", LATENCY),
    ("Resources", "%: memory and connections of their limit, disk of all", RESOURCES),
)
