"""The times of the verification's phases, against their windows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports.incident.contradictions import RecordedRun
from reports.incident.incident_record import IncidentRecord
from reports.pictures.style import INK, LOOKS, PALE, SMALL, TEXT, WIDTH, fitting, new_figure, plain, svg
from reports.text.stages import TITLES
from reports.verdict.verdict import read_verdict
from rollproof.errors import Unverifiable
from rollproof.record_names import LEDGER, VERDICT
from rollproof.runbook import PHASES
from rollproof.system.clock import Moment
from rollproof.verdict import PhaseVerdict, RunVerdict, Verdict

# The first four in inches; window and bar as fractions of a row.
_ROW, _HEAD, _FOOT, _LEFT = 0.68, 0.6, 0.5, 2.75
_WINDOW, _BAR = 0.5, 0.26
_COUNTS = ("passed", "failed", "broken", "blocked")


@dataclass(frozen=True, slots=True)
class _Span:
    """Start and end of a phase's checks, and the ends of its unpassed ones, in seconds after its zero."""

    start: float
    end: float
    wrong: tuple[float, ...]


def draw(record: IncidentRecord) -> bytes | None:
    """Return the picture, or None if no phase has run.

    Raises:
        UsageProblem: the verdict cannot be read.
        Unverifiable: the verdict includes a phase, and the ledger does not say when it ran.
    """
    folder = record.incident.folder
    if not (folder / VERDICT).exists():
        return None
    verdict = read_verdict(folder)
    phases = {name: phase for name, phase in verdict.phases.items() if name in PHASES}
    if not phases:
        return None
    if (record.rollback is None) is not (verdict.rollback is None):
        raise _unknown(record, "the phases")
    spans = _spans(record, phases)
    height = _HEAD + _ROW * len(PHASES) + _FOOT
    figure = new_figure(height)
    axes = figure.add_axes(
        (_LEFT / WIDTH, _FOOT / height, 0.98 - _LEFT / WIDTH, 1 - (_HEAD + _FOOT) / height)
    )
    _draw_axes(axes, phases, spans)
    axes.set_xlabel(f"seconds after {_zero(record)}")
    for place, name in enumerate(PHASES):
        _draw_row(axes, place, phases.get(name), spans.get(name))
    figure.text(
        0.01, 1 - 0.2 / height, "Phases of the verification, and their windows", size=TEXT + 2, weight="bold"
    )
    figure.text(0.01, 1 - 0.42 / height, _subtitle(verdict), size=TEXT)
    lines = [_lines(name, phases.get(name), spans.get(name)) for name in PHASES]
    _draw_names(figure, height, lines)
    said = "; ".join(", ".join(line) for line in lines)
    return svg(figure, f"Phases of incident {record.incident.id}", said)


def _draw_axes(axes: Axes, phases: Mapping[str, PhaseVerdict], spans: Mapping[str, _Span]) -> None:
    ends = [phase.window[1] for phase in phases.values() if phase.window is not None]
    last = max([1.0, *ends, *(span.end for span in spans.values())])
    axes.set_xlim(min([0.0, *(span.start for span in spans.values())]), last * 1.03)
    axes.set_ylim(len(PHASES) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def _draw_row(axes: Axes, place: int, phase: PhaseVerdict | None, span: _Span | None) -> None:
    if phase is None:
        return
    if phase.window is not None:
        start, end = phase.window
        axes.add_patch(
            Rectangle(
                (start, place - _WINDOW / 2),
                end - start,
                _WINDOW,
                facecolor="none",
                edgecolor=PALE,
                linestyle="--",
            )
        )
        # Above the window, which other bars may cross; on the side with more room.
        left = start + end < sum(axes.get_xlim())
        axes.text(
            start if left else end,
            place - _WINDOW / 2 - 0.03,
            f"window {start:g} to {end:g} s",
            ha="left" if left else "right",
            va="bottom",
            size=SMALL,
        )
    if span is not None:
        look = LOOKS[phase.verdict]
        # A line, so that a phase too short for this axis is seen.
        axes.plot([span.start] * 2, [place - _BAR / 2, place + _BAR / 2], color=INK, linewidth=1.2)
        axes.barh(
            place,
            span.end - span.start,
            _BAR,
            left=span.start,
            color=look.colour,
            hatch=look.hatch,
            edgecolor=INK,
            linewidth=0.8,
        )
        below = [place + _BAR / 2 + 0.1] * len(span.wrong)
        axes.plot(span.wrong, below, "x", color=INK, markersize=4, markeredgewidth=1.2)


def _draw_names(figure: Figure, height: float, lines: Sequence[tuple[str, ...]]) -> None:
    """Write each phase's title, result and time, left of its row."""
    for place, (title, *rest) in enumerate(lines):
        middle = height - _HEAD - _ROW * (place + 0.5)
        for number, text in enumerate([title, *rest]):
            line = (middle + (1 - number) * 0.15) / height
            weight = "normal" if number else "bold"
            figure.text(
                0.01, line, fitting(text, _LEFT - 0.2, SMALL, weight), size=SMALL, va="center", weight=weight
            )


def _spans(record: IncidentRecord, phases: Mapping[str, PhaseVerdict]) -> dict[str, _Span]:
    """Return each phase's span, from the runs that the verdict counts; a blocked phase has none."""
    zero = record.rollback.finished if record.rollback is not None else None
    counted = [run for run in record.runs if run.zero is not None and (zero is None or run.zero == zero)]
    spans: dict[str, _Span] = {}
    oldest = 0
    for name, phase in phases.items():
        run = next((one for one in reversed(counted) if name in one.plan and one.number >= oldest), None)
        if run is None or run.zero is None:
            raise _unknown(record, name)
        oldest = run.number
        found = [*_checks(run, name, run.zero)]
        if found:
            wrong = tuple(end for _, end, verdict in found if verdict is not Verdict.PASSED)
            spans[name] = _Span(min(start for start, _, _ in found), max(end for _, end, _ in found), wrong)
        elif phase.checks.passed or phase.checks.failed:
            raise _unknown(record, name)
    return spans


def _checks(run: RecordedRun, phase: str, zero: Moment) -> Iterator[tuple[float, float, Verdict]]:
    """Yield start, end and verdict of each check of `phase` that was not blocked."""
    for check in run.plan[phase].checks:
        result = run.results.get(check)
        if result is not None and result.verdict is not Verdict.BLOCKED:
            end = result.finished.seconds_since(zero)
            yield end - result.seconds, end, result.verdict


def _zero(record: IncidentRecord) -> str:
    return "the start of the run" if record.rollback is None else "the end of the rollback"


def _subtitle(verdict: RunVerdict) -> str:
    text = f"{plain(verdict.target)}: {verdict.verdict}"
    if verdict.rollback is not None:
        text += f"; the rollback {verdict.rollback.verdict} in {verdict.rollback.seconds:.1f} s"
    if verdict.rto_seconds is not None:
        text += f", verified {verdict.rto_seconds:.0f} s after its start"
    if verdict.late_phases is not None:
        text += "; late: not within the windows"
    if verdict.late is not None:
        text += "; late: down for longer than the objective"
    return text


def _lines(name: str, phase: PhaseVerdict | None, span: _Span | None) -> tuple[str, ...]:
    """Return a phase's title, result and time in words."""
    if phase is None:
        return TITLES[name], "has not run"
    counts = ", ".join(f"{count} {word}" for word in _COUNTS if (count := getattr(phase.checks, word)))
    result = f"{phase.verdict}: {counts or 'no checks'}"
    if span is None:
        return TITLES[name], result
    late = phase.window is not None and span.end > phase.window[1]
    return (
        TITLES[name],
        result,
        f"{span.start:.1f} to {span.end:.1f} s{', later than its window' if late else ''}",
    )


def _unknown(record: IncidentRecord, phase: str) -> Unverifiable:
    return Unverifiable(
        what=f"time of {phase}",
        expected=f"a run that {VERDICT} tells of",
        observed="none that can be read",
        source=str(record.incident.folder / LEDGER),
        hint="the verdict stands; what is wrong with the ledger is among the doubts of the post-mortem",
    )
