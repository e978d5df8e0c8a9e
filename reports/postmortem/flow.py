"""The post-mortem's timeline, and the incident compared with the runbook's timeline and flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby

from reports.incident.event import Event, Kind
from reports.incident.incident_record import IncidentRecord
from reports.incident.limits import ASSESSMENT_SECONDS, limit_of
from reports.text.page import MARKS, Page
from reports.timeline.timeline import Timeline
from rollproof.incident.journal_steps import Step
from rollproof.system.clock import t_plus
from rollproof.team.contact_record import Alert
from rollproof.verdict import RunVerdict, Verdict

_PREPARING = frozenset({Step.BACKUP, Step.BACK_UP, Step.CAPTURE, Step.SAVE_COMMIT, Step.PASS_GATE})
_ENDED = {
    Verdict.FAILED: "failed",
    Verdict.BROKEN: "ended, and not everything could be verified",
    Verdict.BLOCKED: "ended, and nothing was tried",
}
# A monitor that changes its word with each beat would fill pages that tell no more.
_MOST_SAMPLES = 40


def timeline_section(page: Page, record: IncidentRecord, timeline: Timeline, verdict: RunVerdict) -> None:
    """Write all events except single steps of actions, and the runbook's timeline for comparison."""
    page.heading("Timeline")
    rows = []
    for events in _spared(_grouped(timeline)):
        first = events[0]
        more = f" (and {len(events) - 1} more{_like(events)})" if len(events) > 1 else ""
        rows.append(
            (
                t_plus(timeline.after(first.at)),
                first.at.strftime("%Y-%m-%d %H:%M:%S"),
                first.kind,
                f"{MARKS[first.verdict]} {first.text}{more}" if first.verdict else f"{first.text}{more}",
                None if first.seconds is None else f"{first.seconds:.1f} s",
            )
        )
    page.table(("when", "UTC", "what", "", "took"), rows, "Nothing is recorded.")
    page.heading("The runbook's timeline", 3)
    # The runbook's "T+12" counts from another moment than the page's times.
    page.paragraph(
        f"The runbook counts from the start of its migration. On its clock {timeline.migration_began[1]}; "
        "the pictures have that clock too, the rest of this page its own T+0."
    )
    header = ("runbook", "", "here, by the runbook's clock", "by this page's", "")
    page.table(header, _milestones(record, timeline, verdict), "")


def flow_section(page: Page, record: IncidentRecord, timeline: Timeline, verdict: RunVerdict) -> None:
    """Write each box of the runbook's emergency flow: its limit, and the incident's actions."""
    page.heading("Emergency flow")
    page.table(("step", "runbook", "here"), _boxes(record, timeline, verdict), "")


def _grouped(timeline: Timeline) -> list[list[Event]]:
    """Return all events except single steps of actions, with equal neighbours grouped."""
    shown = (event for event in timeline.events if event.kind is not Kind.ACTION)
    groups = groupby(shown, key=lambda event: (event.kind, _alike(event), event.verdict))
    return [list(events) for _, events in groups]


def _spared(groups: Sequence[list[Event]]) -> list[list[Event]]:
    """Return `groups`; above `_MOST_SAMPLES` groups of samples, merge all between the first and the last."""
    samples = [number for number, events in enumerate(groups) if events[0].kind is Kind.SAMPLE]
    half = _MOST_SAMPLES // 2
    between = samples[half:-half] if len(samples) > _MOST_SAMPLES else []
    if not between:
        return list(groups)
    first, rest = between[0], set(between[1:])
    merged = [event for number in between for event in groups[number]]
    return [
        merged if number == first else events for number, events in enumerate(groups) if number not in rest
    ]


def _like(events: Sequence[Event]) -> str:
    alike = len({(_alike(event), event.verdict) for event in events}) == 1
    return " like it" if alike else f", which say one thing and another: see {events[0].source}"


def _alike(event: Event) -> str:
    """Return the text that repeated samples share, without the number of the beat."""
    return event.same or event.text


def _milestones(
    record: IncidentRecord, timeline: Timeline, verdict: RunVerdict
) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield the runbook's steps with their times here, by the runbook's clock and by the page's.

    An ended step counts as complete only if it passed: otherwise the last cell says so.
    """
    zero, _ = timeline.migration_began
    began = _first(timeline, Kind.ROLLBACK)
    prepared = [
        event
        for event in timeline.of(Kind.ACTION)
        if event.step in _PREPARING and (began is None or event.at < began.at)
    ]
    called = [
        attempt
        for attempt in (record.contacts.attempts if record.contacts else ())
        if attempt.alert is Alert.POST_MORTEM and attempt.delivered
    ]
    ended = _rolled_back(timeline)
    verified = _last_end(timeline.of(Kind.PHASE))
    rows: list[tuple[str, str, datetime | None, str]] = [
        ("T-30 min", "PREPARATION", _at(prepared), "in the record of the change, if anywhere"),
        ("T+0 min", "MIGRATION START", _at(timeline.of(Kind.DEPLOYMENT)), "not recorded in this incident"),
        ("T+5 min", "EARLY CHECKS", _early(timeline, zero), "no sample of that time is in this incident"),
        ("T+10 min", "ISSUE DETECTED", timeline.zero, ""),
        ("T+12 min", "ROLLBACK DECISION", _at(timeline.of(Kind.DECISION)), "no decision is recorded"),
        ("T+17 min", "ROLLBACK COMPLETE", ended.ends if ended else None, "no end of a rollback is recorded"),
        ("T+20 min", "VERIFICATION COMPLETE", verified, "no check has run"),
    ]
    moment = datetime.fromisoformat(called[0].at.wall).astimezone(UTC) if called else None
    rows.append(("T+60 min", "POST-MORTEM", moment, "nobody was called to one"))
    short = {
        "ROLLBACK COMPLETE": ended.verdict if ended else None,
        "VERIFICATION COMPLETE": _of_checks(verdict) if verified else None,
    }
    for planned, name, at, none in rows:
        result = short.get(name)
        ill = ""
        if result is not None and result is not Verdict.PASSED:
            ill = f"{MARKS[result]} not complete: it has {_ENDED[result]}"
        if at is None:
            yield planned, name, "", "", none
        else:
            yield planned, name, t_plus((at - zero).total_seconds()), t_plus(timeline.after(at)), ill


def _boxes(
    record: IncidentRecord, timeline: Timeline, verdict: RunVerdict
) -> Iterator[tuple[str, str | None, str]]:
    assessed, decided = timeline.of(Kind.ASSESSMENT), timeline.of(Kind.DECISION)
    first = next((event for event in assessed if event.severity is not None), None)
    told = "no assessment is recorded"
    if first is not None:
        told = f"{first.severity}, {t_plus(timeline.after(first.at))}"
    yield "ASSESS SEVERITY", f"{ASSESSMENT_SECONDS:g} s", told
    looked = [event for event in timeline.of(Kind.RESPONSE) if event.deadline is not None]
    if looked:
        after = [event for event in decided if event.at >= looked[0].at]
        seconds = f"{(after[0].at - looked[0].at).total_seconds():.0f} s" if after else "no end is recorded"
        yield "INVESTIGATE", f"{looked[0].deadline:g} s", seconds
    yield "DECISION: ROLLBACK?", None, _listed(decided, timeline) or "no decision is recorded"
    budget = limit_of(record, "rollback")
    ended = [
        f"{event.text}, {event.seconds:.1f} s{', LATE' if event.seconds > budget.seconds else ''}"
        for event in timeline.of(Kind.ROLLBACK)
        if event.seconds is not None
    ]
    yield "EXECUTE ROLLBACK", f"< {budget}", "; ".join(ended) or _not_ended(record)
    yield "VERIFY ROLLBACK", f"< {limit_of(record, 'verification')}", _verified(timeline, verdict)
    yield "RESUME OPERATIONS or MANUAL INTERVENTION", None, _ending(timeline, verdict)


def _not_ended(record: IncidentRecord) -> str:
    if record.unfinished is not None:
        return "it has begun and not succeeded"
    return "no rollback is recorded"


def _verified(timeline: Timeline, verdict: RunVerdict) -> str:
    phases = timeline.of(Kind.PHASE)
    if not phases:
        return "no check has run"
    runs = {event.source: [e for e in phases if e.source == event.source] for event in phases}
    took = [
        f"run {source.rpartition('/')[2].lstrip('0')}: "
        f"{(_required(_last_end(events)) - events[0].at).total_seconds():.1f} s"
        for source, events in runs.items()
    ]
    return f"{_of_checks(verdict)}; {'; '.join(took)}"


def _of_checks(verdict: RunVerdict) -> Verdict:
    """Return the checks' verdict alone, whatever was late."""
    return Verdict.PASSED if verdict.verified else verdict.found or verdict.verdict


def _ending(timeline: Timeline, verdict: RunVerdict) -> str:
    ends = [event for event in timeline.of(Kind.RESPONSE) if event.ending]
    if ends:
        return f"{ends[-1].ending}, {t_plus(timeline.after(ends[-1].at))}"
    if not verdict.verified:
        return "not verified; no end of a response is recorded"
    late = ", later than the windows of its phases" if verdict.late_phases is not None else ""
    late += ", later than the objective" if verdict.late is not None else ""
    return f"verified{late}; nobody ran a response"


def _rolled_back(timeline: Timeline) -> Event | None:
    ended = [event for event in timeline.of(Kind.ROLLBACK) if event.seconds is not None]
    return ended[-1] if ended else None


def _first(timeline: Timeline, kind: Kind) -> Event | None:
    return next(iter(timeline.of(kind)), None)


def _at(events: Sequence[Event]) -> datetime | None:
    return events[0].at if events else None


def _early(timeline: Timeline, zero: datetime) -> datetime | None:
    """Return the time of the first sample since the migration began, else of the first sample."""
    samples = timeline.of(Kind.SAMPLE)
    return _at([event for event in samples if event.at >= zero]) or _at(samples)


def _last_end(events: Sequence[Event]) -> datetime | None:
    return max((event.ends for event in events), default=None)


def _required(moment: datetime | None) -> datetime:
    if moment is None:
        raise ValueError("a run without a stage")
    return moment


def _listed(events: Sequence[Event], timeline: Timeline) -> str:
    return "; ".join(f"{event.text} ({t_plus(timeline.after(event.at))})" for event in events)
