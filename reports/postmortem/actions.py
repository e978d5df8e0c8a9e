"""The post-mortem's actions against their deadlines, and the downtime against the objective."""

from __future__ import annotations

from collections.abc import Iterator

from fixtures.errors import UsageProblem
from fixtures.incident.downtime import Downtime, downtime_of, is_late
from fixtures.incident.response_record import ENDED
from fixtures.system.clock import t_plus
from fixtures.verdict import RunVerdict
from reports.incident.event import Event, Kind
from reports.incident.incident_record import IncidentRecord
from reports.incident.limits import is_seconds, limit_of
from reports.text.page import MARKS, Page
from reports.timeline.timeline import Timeline


def actions_section(page: Page, record: IncidentRecord, timeline: Timeline) -> None:
    """Write the steps of all actions, each with its duration and its deadline."""
    page.heading("Actions")
    origin = record.rollback.origin if record.rollback else None
    if origin is not None:
        page.paragraph(f"Rolled back from {', '.join(origin.commits)}.")
    rows = (
        (
            t_plus(timeline.after(event.at)),
            f"{MARKS[event.verdict]} {event.text}" if event.verdict else event.text,
            None if event.seconds is None else f"{event.seconds:.1f} s",
            None if event.deadline is None else f"{event.deadline:.1f} s",
            "LATE" if event.late else None,
        )
        for event in timeline.of(Kind.ROLLBACK, Kind.DEPLOYMENT, Kind.ACTION)
    )
    page.table(("when", "step", "took", "deadline", ""), rows, "No action is recorded.")


def downtime_section(page: Page, record: IncidentRecord, timeline: Timeline, verdict: RunVerdict) -> None:
    """Write the downtime, and compare it with the recovery time objective."""
    page.heading("Downtime")
    page.table(("", "observed", "objective", ""), _downtime(record, timeline, verdict), "")


def _downtime(
    record: IncidentRecord, timeline: Timeline, verdict: RunVerdict
) -> Iterator[tuple[str, str, str, str]]:
    objective = limit_of(record, "objective")
    seconds, what = _seconds(record, timeline, verdict)
    if seconds is None:
        least = (timeline.end - timeline.down).total_seconds()
        judged = "exceeded" if is_late(least, objective.seconds) else "not known"
        yield "downtime", f"no verified end; {least:.0f} s to the end of the record", str(objective), judged
    else:
        judged = "EXCEEDED" if is_late(seconds, objective.seconds) else "within"
        yield f"downtime, {what}", f"{seconds:.0f} s", str(objective), judged
    if verdict.rto_seconds is not None and verdict.phases:
        # The objective does not apply here: the outage began before the rollback.
        text = f"{verdict.rto_seconds:.0f} s"
        yield "from the start of the rollback to the end of the last check", text, "", ""


def _recorded(record: IncidentRecord) -> Downtime | None:
    """Return the downtime that the verification recorded for this rollback, or None."""
    try:
        return downtime_of(record.incident, record.rollback)
    except UsageProblem:
        return None  # the verdict reports it


def _seconds(record: IncidentRecord, timeline: Timeline, verdict: RunVerdict) -> tuple[float | None, str]:
    """Return the downtime in seconds (None if no end is verified), and its two ends in words."""
    phases: tuple[Event, ...] = timeline.of(Kind.PHASE)
    verified = verdict.verified and bool(phases)
    downtime = _recorded(record) if verified else None
    if downtime is not None:
        return downtime.seconds, f"from {downtime.since_is} to the verified end"
    ended = [entry.get("downtime_seconds") for entry in record.response if entry["event"] == ENDED]
    if ended and is_seconds(ended[-1]):
        return float(ended[-1]), "from the first bad sample to the verified end, as the response has it"
    if not verified:
        return None, ""
    end = max(event.ends for event in phases)
    down = (end - timeline.down).total_seconds()
    return down, f"from {timeline.down_is} to the end of the last check"
