"""The monitor's samples over time: errors, latency and resources, with the moments of decision marked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter
from matplotlib.transforms import blended_transform_factory

from reports.incident.converted import Converter
from reports.incident.event import Kind
from reports.incident.incident_record import OTHER_SHAPE, IncidentRecord
from reports.pictures.series import ERRORS, LATENCY, RESOURCES, Line, Series, gaps, line_of, step_of
from reports.pictures.style import INK, SMALL, TEXT, WIDTH, new_figure, plain, spread, svg, width_of
from reports.timeline.timeline import Timeline
from rollproof.errors import Unverifiable, reason_of
from rollproof.monitoring.samples import MOST_READ, Sample, sample_of
from rollproof.monitoring.severity import Severity
from rollproof.reading import lines_of
from rollproof.record_names import SAMPLES

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_MOST_TICKS = 9
_MINUTE, _DAY = 60, 86400
_PANELS = (
    ("Failed", "% of those asked", ERRORS),
    ("Latency", "milliseconds (logarithmic)", LATENCY),
    ("Resources", "%: memory and connections of their limit, disk of all", RESOURCES),
)
_LEFT, _RIGHT, _HEAD, _FOOT, _PANEL, _BETWEEN, _LANE = 0.5, 1.3, 0.66, 0.55, 1.35, 0.35, 0.15
_LABEL_GAP = 0.13
_PERCENT = 100


def show_clock(axes: Axes, origin: datetime, low: float, high: float) -> None:
    """Label the x axis, from `low` to `high` seconds after `origin`, with the time of day in UTC."""
    span = max(high - low, 1.0)
    step = next(
        (step for step in _STEPS if span / step <= _MOST_TICKS), _DAY * math.ceil(span / _DAY / _MOST_TICKS)
    )
    midnight = origin.replace(hour=0, minute=0, second=0, microsecond=0)
    offset = (origin - midnight).total_seconds()
    first = math.ceil((low + offset) / step) * step - offset
    places = [first + step * number for number in range(int((high - first) // step) + 1)]
    shape = "%H:%M:%S" if step < _MINUTE else "%H:%M" if step < _DAY else "%d %b"
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda seconds, _: f"{origin + timedelta(seconds=round(seconds)):{shape}}")
    )


def draw(record: IncidentRecord, timeline: Timeline) -> bytes | None:
    """Return the picture, or None if there are no samples.

    Raises:
        Unverifiable: the samples cannot be read, or a line is no sample.
    """
    converter = Converter(record.incident)
    path = record.incident.folder / SAMPLES
    found = _read(path) if path.exists() else record.samples
    try:
        dated = sorted(((converter.at(sample.at), sample) for sample in found), key=lambda pair: pair[0])
    except OTHER_SHAPE as error:
        raise _unreadable(path, "samples of this time", f"{type(error).__name__}: {error}") from None
    if not dated:
        return None
    samples = [sample for _, sample in dated]
    origin = dated[0][0]
    times = [(at - origin).total_seconds() for at, _ in dated]
    last = max(times[-1], 1.0)
    every = moments_of(timeline)
    marked = foremost([one for one in every if 0 <= (one.at - origin).total_seconds() <= last])
    lanes = _lanes([_place(one, origin, last) for one in marked], [one.name for one in marked])
    head = _HEAD + _LANE * (max(lanes, default=-1) + 1)
    height = head + len(_PANELS) * _PANEL + (len(_PANELS) - 1) * _BETWEEN + _FOOT
    figure = new_figure(height)
    panels = _panels(figure, height, head)
    missing = gaps(samples, times)
    for (name, unit, shown), panel in zip(_PANELS, panels, strict=True):
        panel.set_title(f"{name}, {unit}", pad=3)
        lines = [line_of(series, samples, times, missing) for series in shown]
        _scale(panel, shown, lines)
        show_clock(panel, origin, 0.0, last)
        _draw_lines(panel, shown, lines)
        _draw_gaps(panel, missing)
        panel.grid(axis="y")
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False)
    panels[-1].set_xlabel(f"time of day in UTC, {origin:%d %B %Y}")
    _mark(panels, marked, lanes, origin)
    figure.text(0.01, 1 - 0.2 / height, "What the monitor saw", size=TEXT + 2, weight="bold")
    figure.text(
        0.01, 1 - 0.38 / height, _subtitle(record, samples, missing, len(every) - len(marked)), size=SMALL
    )
    return svg(figure, f"Monitor of incident {record.incident.id}", _words(samples, times, missing, marked))


def _read(path: Path) -> list[Sample]:
    """Return all samples of the incident, without a torn last line."""
    found = []
    try:
        for number, line in enumerate(islice(lines_of(path), MOST_READ), start=1):
            try:
                found.append(sample_of(line))
            except ValueError as error:
                raise _unreadable(path, "samples", f"line {number} is none ({error})") from None
    except OSError as error:
        raise _unreadable(path, "a file that can be read", reason_of(error)) from None
    return found


def _panels(figure: Figure, height: float, head: float) -> list[Axes]:
    """Add the panels, one below the other, on the same time axis; return them."""
    panels: list[Axes] = []
    for number in range(len(_PANELS)):
        bottom = height - head - _PANEL * (number + 1) - _BETWEEN * number
        place = (_LEFT / WIDTH, bottom / height, 1 - (_LEFT + _RIGHT) / WIDTH, _PANEL / height)
        panels.append(figure.add_axes(place))
    return panels


def _scale(panel: Axes, every: Sequence[Series], lines: Sequence[Line]) -> None:
    if every is not LATENCY:
        panel.set_ylim(-2, _PERCENT + 4)
        panel.set_yticks([0, 25, 50, 75, 100])
        return
    panel.set_yscale("log")
    known = [value for line in lines for value in line.values if value > 0]
    low, high = min(known, default=1.0), max(known, default=1000.0)
    low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high * 1.05))
    panel.set_ylim(low, high)
    panel.set_yticks([10.0**power for power in range(round(math.log10(low)), round(math.log10(high)) + 1)])
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    panel.minorticks_off()


def _draw_lines(panel: Axes, every: Sequence[Series], lines: Sequence[Line]) -> None:
    drawn = [(series, line) for series, line in zip(every, lines, strict=True) if not line.empty]
    for series, line in drawn:
        panel.plot(line.times, line.values, series.line, color=series.colour, linewidth=1.1)
        # A point with a gap on both sides makes no line.
        panel.plot(
            [line.times[place] for place in line.alone],
            [line.values[place] for place in line.alone],
            series.marker,
            color=series.colour,
            markersize=2.5,
        )
    wanted = [(_height_of(panel, line.last), series) for series, line in drawn]
    wanted.sort(key=lambda pair: pair[0])
    unknown = [series for series, line in zip(every, lines, strict=True) if line.empty]
    places = spread([place for place, _ in wanted], _LABEL_GAP / _PANEL, 0.0, 1.0)
    for (_, series), place in zip(wanted, places, strict=True):
        panel.plot(
            [1.015, 1.045, 1.075],
            [place] * 3,
            series.line,
            color=series.colour,
            linewidth=1.1,
            marker=series.marker,
            markersize=2.5,
            markevery=[1],
            transform=panel.transAxes,
            clip_on=False,
        )
        panel.text(1.085, place, series.name, transform=panel.transAxes, va="center", size=SMALL)
    if unknown:
        text = f"no figures: {', '.join(series.name for series in unknown)}"
        panel.text(
            0.5, 0.9, text, transform=panel.transAxes, ha="center", va="top", size=SMALL, style="italic"
        )


def _height_of(panel: Axes, value: float) -> float:
    """Return the height of `value` in the panel, from 0 to 1."""
    place = panel.transAxes.inverted().transform(panel.transData.transform((0.0, value)))
    return min(1.0, max(0.0, float(place[1])))


def _draw_gaps(panel: Axes, missing: Sequence[tuple[float, float]]) -> None:
    for start, end in missing:
        panel.axvspan(start, end, facecolor="none", edgecolor="#c4c4c4", hatch="////", linewidth=0)


def _place(marked: Marked, origin: datetime, last: float) -> float:
    """Return the moment's place, in inches from the panels' left edge."""
    return (marked.at - origin).total_seconds() / last * (WIDTH - _LEFT - _RIGHT)


def _lanes(places: Sequence[float], names: Sequence[str]) -> list[int]:
    """Return the lane of each name, above the lines of all later moments that the name reaches over.

    `places` are sorted; each name begins at its place.
    """
    lanes = [0] * len(places)
    for number in reversed(range(len(places))):
        end = places[number] + width_of(names[number], SMALL) + 0.1
        reached = [
            lane for place, lane in zip(places[number + 1 :], lanes[number + 1 :], strict=True) if place < end
        ]
        lanes[number] = max(reached, default=-1) + 1
    return lanes


def _mark(panels: Sequence[Axes], marked: Sequence[Marked], lanes: Sequence[int], origin: datetime) -> None:
    top = panels[0]
    across = blended_transform_factory(top.transData, top.transAxes)
    for one, lane in zip(marked, lanes, strict=True):
        time = (one.at - origin).total_seconds()
        for panel in panels:
            panel.axvline(time, color=INK, linewidth=0.7, dashes=(4, 2))
        high = 1 + (0.22 + _LANE * lane) / _PANEL
        top.plot([time, time], [1, high], color=INK, linewidth=0.5, transform=across, clip_on=False)
        top.annotate(
            one.name,
            (time, high),
            xycoords=across,
            xytext=(2, 0),
            textcoords="offset points",
            size=SMALL,
            va="center",
            annotation_clip=False,
        )


def _subtitle(
    record: IncidentRecord, samples: Sequence[Sample], missing: Sequence[tuple[float, float]], unmarked: int
) -> str:
    text = f"{plain(record.incident.target)}: {len(samples):,} samples"
    step = step_of(len(samples))
    if step > 1:
        text += f", of {step} in a row the worst"
    text += "; a line ends where nothing is known"
    if missing:
        text += "; hatched: no samples"
    if unmarked:
        text += f"; {unmarked} more moments are in the timeline"
    return text


def _words(
    samples: Sequence[Sample],
    times: Sequence[float],
    missing: Sequence[tuple[float, float]],
    marked: Sequence[Marked],
) -> str:
    said = []
    for name, _, every in _PANELS:
        for series in every:
            line = line_of(series, samples, times, missing)
            known = [value for value in line.values if not math.isnan(value)]
            figures = f"{min(known):.4g} to {max(known):.4g}" if known else "no figures"
            said.append(f"{name}, {series.name}: {figures}")
    said += [f"{one.name} {one.at:%H:%M:%S}" for one in marked]
    return "; ".join(said)


def _unreadable(path: Path, expected: str, observed: str) -> Unverifiable:
    return Unverifiable(
        what="samples around the incident",
        expected=expected,
        observed=observed,
        source=str(path),
        hint="keep that file as it is: what the monitor saw until the assessment is in the response's record",
    )


MOST = 10
"""Number of moments' names that have room above a picture."""
# Ranks: the lowest are shown first if there are more moments than room.
_ROLLBACK, _DECISION, _ASSESSMENT, _AGREEMENT = range(4)


@dataclass(frozen=True, slots=True)
class Marked:
    """A moment and a few words for it; a low `rank` marks moments that the others need to make sense."""

    at: datetime
    name: str
    rank: int


def moments_of(timeline: Timeline) -> list[Marked]:
    """Return all moments of `timeline` that pictures mark, in order; each name once per second."""
    found = sorted(_found(timeline), key=lambda marked: marked.at)
    seconds = {(f"{marked.at:%Y%m%d%H%M%S}", marked.name): marked for marked in reversed(found)}
    return list(reversed(seconds.values()))


def foremost(marked: Sequence[Marked]) -> list[Marked]:
    """Return the moments of `marked` that have room, in their order."""
    ranked = sorted(range(len(marked)), key=lambda number: (marked[number].rank, number))
    return [marked[number] for number in sorted(ranked[:MOST])]


def _found(timeline: Timeline) -> Iterator[Marked]:
    severity: Severity | None = None
    assessed = False
    for event in timeline.events:
        match event.kind:
            case Kind.DEPLOYMENT:
                yield Marked(event.at, "deployed", _DECISION)
            case Kind.ASSESSMENT if not assessed or event.severity is not severity:
                assessed, severity = True, event.severity
                name = f"assessed: {severity}" if severity is not None else "assessed"
                yield Marked(event.at, name, _ASSESSMENT)
            case Kind.DECISION if event.severity is not None:
                yield Marked(event.at, "decided", _DECISION)
            case Kind.DECISION:
                yield Marked(event.at, "agreed", _AGREEMENT)
            case Kind.ROLLBACK if event.seconds is not None:
                yield Marked(event.at, "rollback begins", _ROLLBACK)
                yield Marked(event.ends, f"rollback {event.verdict or 'ends'}", _ROLLBACK)
            case _:
                pass
    ends = [event.ends for event in timeline.events if event.kind is Kind.PHASE and event.seconds is not None]
    if ends:
        yield Marked(max(ends), "checks end", _DECISION)
