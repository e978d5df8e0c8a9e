"""The incident over time: a row for each decision, rollback and phase, below what the monitor saw."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator
from matplotlib.typing import RcKeyType

from reports.incident.events import Event, EventKind, Timeline
from rollproof.errors import shortened
from rollproof.incident.downtime import Since
from rollproof.system.clock import t_plus
from rollproof.verdict import Verdict

WIDTH = 9.0
"""The width of a picture in inches."""
SMALL = 7.5
_STEPS, _MOST_TICKS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 24 * 3600), 9
INK, PALE = "#111111", "#8a8a8a"
# Text stays text: readers can search it, and the scan for secrets sees it. Texts are measured by the first
# family, which comes with Matplotlib and is wider than its substitutes.
_SETTINGS: dict[RcKeyType, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": SMALL,
    # Dollar signs in the record's texts make no formula.
    "text.parse_math": False,
    "axes.titlesize": SMALL + 1,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.7,
    "svg.fonttype": "none",
    # Without a fixed salt, the file's ids would differ each time.
    "svg.hashsalt": "rollproof",
}


@contextmanager
def settings() -> Iterator[None]:
    """Draw with these settings alone, whatever the machine's own are."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        # Only measuring lacks another script's letters: the reader's own font has them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(height: float) -> Figure:
    """Return an empty picture that is `height` inches high."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure


def show_clock(axes: Axes, timeline: Timeline) -> None:
    """Label the x axis, which has seconds after T+0, as the runbook counts."""
    show_ticks(axes)
    axes.set_xlabel(f"minutes after {timeline.zero_is}, {timeline.zero:%d %B %Y, %H:%M:%S} UTC")


def show_ticks(axes: Axes, most: int = _MOST_TICKS) -> None:
    """Label at most so many ticks of the x axis, which has seconds after T+0."""
    first, last = axes.get_xlim()
    step = next((step for step in _STEPS if (last - first) / step <= most), (last - first) / most)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: t_plus(seconds)))


def svg(figure: Figure, title: str) -> bytes:
    """Return the picture as SVG."""
    stream = io.BytesIO()
    figure.savefig(
        stream, format="svg", metadata={"Date": None, "Creator": "Rollproof", "Title": plain(title)}
    )
    return stream.getvalue()


def plain(text: str) -> str:
    """Return `text` on one line, without unprintable characters, which XML cannot hold."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())


# The kinds that have rows, the most important first: the last give way where there are too many.
_RANKS = (
    *(EventKind.ROLLBACK, EventKind.PHASE, EventKind.DECISION, EventKind.ASSESSMENT, EventKind.DEPLOYMENT),
    *(EventKind.ACKNOWLEDGEMENT, EventKind.CONTACT),
)
_MOST, _LONGEST = 18, 56
_ROW, _REST, _BAR = 0.25, 0.8, 0.56
_BEFORE, _MARGIN = 0.25, 0.06
_SHORT = 1.5
"""The runbook's windows have a scale of their own if they end this many times later than the incident."""
# No two differ in colour alone.
_LOOKS: dict[Verdict | None, dict[str, Any]] = {
    Verdict.PASSED: {"facecolor": "#bfe3d0"},
    Verdict.FAILED: {"facecolor": "#a32014"},
    Verdict.BROKEN: {"facecolor": "#f2c66d", "hatch": "////"},
    Verdict.BLOCKED: {"facecolor": "#ffffff", "hatch": "----"},
    None: {"facecolor": "#e4e4e4"},
}


def draw(timeline: Timeline) -> bytes | None:
    """Return the picture, or None if the record has no event that it shows."""
    rows = _rows(timeline)
    if not rows:
        return None
    samples = timeline.of(EventKind.SAMPLE)
    names = [
        *(["monitor"] if samples else []),
        timeline.zero_is,
        *(shortened(plain(one.text), _LONGEST) for one in rows),
    ]
    figure = new_figure(_REST + _ROW * len(names))
    # What was long before T+0 is no part of the incident: the samples have it.
    end = max(timeline.after(event.ends) for event in rows)
    first = min(0.0, *(timeline.after(event.at) for event in (*rows, *samples[:1])))
    first, windows = max(first, -_BEFORE * end), max(_window_end(event, timeline) for event in rows)
    split = end > 0 and windows > _SHORT * end
    panels = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1)) if split else [figure.subplots()]
    zero = Event(timeline.zero, EventKind.INCIDENT, timeline.zero_is, "")
    for axes, last in zip(panels, (end, windows) if split else (max(end, windows),), strict=True):
        _draw_samples(axes, samples, timeline)
        for place, event in enumerate([zero, *rows], start=bool(samples)):
            _draw_event(axes, place, event, timeline, named=axes is panels[0])
        room = _MARGIN * max(last - first, 1.0)
        axes.set_xlim(first - room, last + room)
        axes.grid(axis="x")
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    show_clock(panels[0], timeline)
    if split:
        panels[0].set_title("The incident")
        panels[1].set_title("The runbook's windows")
        show_ticks(panels[1], most=3)
    return svg(figure, f"Timeline of incident {timeline.incident}")


def _rows(timeline: Timeline) -> Sequence[Event]:
    """Return the events that have rows, in order; of rollbacks the ended ones, which have a duration."""
    every = [
        event
        for event in timeline.of(*_RANKS)
        if event.kind is not EventKind.ROLLBACK or event.seconds is not None
    ]
    most = sorted(every, key=lambda event: _RANKS.index(event.kind))[:_MOST]
    return sorted(most, key=lambda event: event.at)


def _draw_samples(axes: Axes, samples: Sequence[Event], timeline: Timeline) -> None:
    ends = [*(event.at for event in samples[1:]), *(event.ends for event in samples[-1:])]
    shown = [
        (event.verdict or Verdict.PASSED, event.at, end) for event, end in zip(samples, ends, strict=True)
    ]
    for verdict, at, end in shown:
        spans = [(timeline.after(at), (end - at).total_seconds())]
        axes.broken_barh(spans, (-_BAR / 2, _BAR), linewidth=0, **_LOOKS[verdict])
    if samples and timeline.zero_is in {Since.RESPONSE, Since.MONITOR}:
        # Until the last bad sample: every probe may answer, and yet a figure be beyond its band.
        last = max((end for verdict, _, end in shown if verdict is not Verdict.PASSED), default=ends[-1])
        bad = [(0.0, max(0.0, timeline.after(last)))]
        axes.broken_barh(bad, (-_BAR / 2, _BAR), linewidth=0, **_LOOKS[Verdict.FAILED])


def _window_end(event: Event, timeline: Timeline) -> float:
    """Return the end of a phase's window, or of another event, in seconds after T+0."""
    seconds = event.deadline if event.kind is EventKind.PHASE else None
    return timeline.after(event.ends) if seconds is None else timeline.after(event.at) + seconds


def _draw_event(axes: Axes, place: int, event: Event, timeline: Timeline, *, named: bool) -> None:
    start = timeline.after(event.at)
    text = t_plus(start)
    if event.seconds is None:
        axes.plot([start], [place], "D", color=INK, markersize=4)
    else:
        axes.broken_barh(
            [(start, event.seconds)],
            (place - _BAR / 2, _BAR),
            edgecolor=INK,
            linewidth=0.6,
            **_LOOKS[event.verdict],
        )
        text = f"{event.seconds:.1f} s{', LATE' if event.late else ''}"
    if event.kind is EventKind.PHASE and event.deadline is not None:
        axes.plot([_window_end(event, timeline)] * 2, [place - 0.45, place + 0.45], ":", color=PALE)
    if named:
        axes.annotate(
            text,
            (start + (event.seconds or 0.0), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            size=SMALL - 0.5,
        )
