"""The incident from T-30 to T+60, next to the runbook's typical migration with a rollback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from reports.incident.event import Event, Kind
from reports.pictures.style import (
    INK,
    LOOKS,
    PALE,
    SMALL,
    TEXT,
    WIDTH,
    Look,
    fitting,
    new_figure,
    plain,
    spread,
    svg,
    width_of,
)
from reports.timeline.timeline import Timeline
from rollproof.verdict import Verdict

# The runbook's timeline, in minutes after its migration began.
_RUNBOOK = (
    (-30, "preparation"),
    (0, "migration starts"),
    (5, "early checks"),
    (10, "issue detected"),
    (12, "rollback decision"),
    (17, "rollback complete"),
    (20, "verification complete"),
    (60, "post-mortem"),
)
_FIRST, _LAST = -30.0, 60.0
# The kinds of events that are drawn, the most important first: the last give way if room is short.
_RANKS = (
    Kind.ROLLBACK,
    Kind.DEPLOYMENT,
    Kind.DECISION,
    Kind.ASSESSMENT,
    Kind.INCIDENT,
    Kind.PHASE,
    Kind.RESPONSE,
    Kind.REOPENING,
    Kind.CONTACT,
    Kind.ACKNOWLEDGEMENT,
    Kind.CHECK,
)
_MOST, _SOME = 34, 6
_MARKERS = {
    Kind.ROLLBACK: "s",
    Kind.DEPLOYMENT: "P",
    Kind.DECISION: "D",
    Kind.ASSESSMENT: "^",
    Kind.PHASE: "o",
    Kind.CHECK: "x",
    Kind.CONTACT: "v",
    Kind.ACKNOWLEDGEMENT: "v",
}
# In inches, from the left and from the top.
_AXIS, _BARS, _LABELS, _TOP, _BOTTOM, _LINE = 2.1, 2.2, 2.75, 0.85, 0.35, 0.17
# Minimum length of the axis, for the runbook's names; the incident's may need more.
_SHORTEST = 5.0
_BAR = 0.11
_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class _Scale:
    """Maps the runbook's minutes to inches from the top; `begin` is the moment of its minute 0.

    The axis is `length` inches long.
    """

    begin: datetime
    length: float

    @property
    def bottom(self) -> float:
        """The axis's end, in inches from the top."""
        return _TOP + self.length

    def minutes(self, moment: datetime) -> float:
        """Return the runbook's minute of `moment`."""
        return (moment - self.begin).total_seconds() / _MINUTE

    def place(self, minutes: float) -> float:
        """Return a minute's place in inches from the top; minutes beyond an end are placed at that end."""
        inside = min(max(minutes, _FIRST), _LAST)
        return _TOP + (inside - _FIRST) / (_LAST - _FIRST) * self.length


def draw(timeline: Timeline) -> bytes | None:
    """Return the picture, or None if the record holds a single event, its beginning."""
    every = [event for event in timeline.events if event.kind in _RANKS]
    if len(every) <= 1:
        return None
    shown = sorted(_chosen(every), key=lambda event: event.at)
    begin, aligned = timeline.migration_began
    scale = _Scale(begin, max(_SHORTEST, _LINE * len(shown)))
    height = scale.bottom + _BOTTOM
    figure = new_figure(height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    _draw_runbook(axes, scale)
    _draw_spans(axes, scale, shown)
    _draw_events(axes, scale, shown)
    axes.text(
        0.07, 0.2, "The incident beside the runbook's timeline", size=TEXT + 2, weight="bold", va="center"
    )
    axes.text(0.07, 0.42, f"{plain(timeline.incident.target)}: {aligned}", va="center")
    axes.text(_AXIS - 0.3, 0.62, "the runbook", ha="right", va="center", style="italic")
    axes.text(_LABELS, 0.62, "this incident", va="center", style="italic")
    _draw_foot(axes, height - 0.1, len(every) - len(shown), len(timeline.doubts))
    said = "; ".join(f"{_clock(scale.minutes(event.at))} {_label(event)}" for event in shown)
    return svg(figure, f"Timeline of incident {timeline.incident.id}", said)


def _chosen(every: Sequence[Event]) -> list[Event]:
    """Return the events that have room: some of each kind, before more of one kind."""
    count: Counter[Kind] = Counter()
    ranked = []
    for number, event in enumerate(every):
        ranked.append((count[event.kind] // _SOME, _RANKS.index(event.kind), number))
        count[event.kind] += 1
    return [every[number] for _, _, number in sorted(ranked)[:_MOST]]


def _draw_runbook(axes: Axes, scale: _Scale) -> None:
    axes.plot([_AXIS, _AXIS], [scale.place(_FIRST), scale.place(_LAST)], color=INK, linewidth=1.0)
    for minutes in range(round(_FIRST), round(_LAST) + 1, 10):
        place = scale.place(minutes)
        axes.plot([_AXIS - 0.04, _AXIS + 0.04], [place, place], color=INK, linewidth=0.8)
    places = [scale.place(minutes) for minutes, _ in _RUNBOOK]
    for (minutes, name), place, label in zip(
        _RUNBOOK, places, spread(places, _LINE, _TOP, scale.bottom), strict=True
    ):
        axes.plot(
            [_AXIS - 0.25, _AXIS - 0.08, _AXIS - 0.04], [label, place, place], color=PALE, linewidth=0.6
        )
        axes.text(_AXIS - 0.28, label, f"{name} T{minutes:+d}", ha="right", va="center", size=SMALL)


def _draw_spans(axes: Axes, scale: _Scale, shown: Sequence[Event]) -> None:
    """Draw rollbacks and phases as bars next to the axis."""
    for event in shown:
        if event.seconds is None or event.kind not in {Kind.ROLLBACK, Kind.PHASE}:
            continue
        start, end = scale.place(scale.minutes(event.at)), scale.place(scale.minutes(event.ends))
        look = LOOKS[event.verdict] if event.verdict is not None else Look("none", "")
        left = _BARS if event.kind is Kind.ROLLBACK else _BARS + _BAR + 0.03
        axes.add_patch(
            Rectangle(
                (left, start),
                _BAR,
                end - start,
                facecolor=look.colour,
                hatch=look.hatch,
                edgecolor=INK,
                linewidth=0.7,
            )
        )


def _draw_events(axes: Axes, scale: _Scale, shown: Sequence[Event]) -> None:
    places = [scale.place(scale.minutes(event.at)) for event in shown]
    labels = spread(places, _LINE, _TOP, scale.bottom)
    bars = _BARS + 2 * _BAR + 0.06
    for event, place, label in zip(shown, places, labels, strict=True):
        wrong = event.verdict in {Verdict.FAILED, Verdict.BROKEN} or event.late
        axes.plot(
            [_AXIS, bars, _LABELS - 0.12, _LABELS - 0.03],
            [place, place, label, label],
            color=PALE,
            linewidth=0.5,
        )
        axes.plot(
            [_AXIS],
            [place],
            _MARKERS.get(event.kind, "."),
            color=INK,
            markersize=4,
            markerfacecolor=INK if wrong else "white",
            markeredgewidth=0.8,
        )
        time = _clock(scale.minutes(event.at))
        axes.text(_LABELS, label, time, va="center", size=SMALL, weight="bold")
        left = _LABELS + width_of(time, SMALL, "bold") + 0.08
        weight = "bold" if wrong else "normal"
        text = fitting(_label(event), WIDTH - 0.08 - left, SMALL, weight)
        axes.text(left, label, text, va="center", size=SMALL, weight=weight)


def _draw_foot(axes: Axes, place: float, left_out: int, doubts: int) -> None:
    text = "filled: went wrong, or took too long; what is beyond T-30 or T+60 is at that end"
    if left_out:
        text += f"; {left_out} more have no room"
    if doubts:
        text += f"; {doubts} doubts about the record"
    axes.text(0.07, place, text, va="center", size=SMALL - 0.5)


def _label(event: Event) -> str:
    """Return the event in words, with its duration if that is known."""
    took = f" ({event.seconds:.1f} s{', late' if event.late else ''})" if event.seconds is not None else ""
    kind = (
        "" if event.kind in {Kind.PHASE, Kind.INCIDENT, Kind.ROLLBACK, Kind.RESPONSE} else f"{event.kind}: "
    )
    return f"{kind}{event.text}{took}"


def _clock(minutes: float) -> str:
    seconds = round(abs(minutes) * _MINUTE)
    sign = "-" if minutes < 0 and seconds else "+"
    hours, rest = divmod(seconds, 3600)
    clock = f"{rest // 60:02d}:{rest % 60:02d}"
    return f"T{sign}{hours}:{clock}" if hours else f"T{sign}{clock}"
