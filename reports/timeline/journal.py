"""The steps of actions in a timeline, from the incident's journals, and its reopenings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reports.incident.converted import Converter, line_of
from reports.incident.event import Event, Kind
from reports.incident.incident_record import IncidentRecord
from rollproof.errors import shortened
from rollproof.incident.journal import JournalEvent
from rollproof.incident.journal_steps import RecordedStep, Step, said_in, steps_in
from rollproof.incident.rehearsals import BEGAN, ENDED
from rollproof.incident.reopening import reopening_journal
from rollproof.incident.rollbacks import ROLLBACK_BEGAN
from rollproof.record_names import JOURNAL
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict

_VERDICTS = {JournalEvent.ENDED: Verdict.PASSED, JournalEvent.FAILED: Verdict.FAILED}
# Events told elsewhere: by the rollback's own events, or by a step that sums up its programs.
_ELSEWHERE = frozenset({ROLLBACK_BEGAN, JournalEvent.RUNS, JournalEvent.RAN})
_LONGEST = 300


def journal_events(record: IncidentRecord, converter: Converter) -> Iterator[Event]:
    """Yield an event for each step, and for each other record of the journal."""
    steps, records = steps_in(record.journal)
    others = [record for record in records if record["event"] not in _ELSEWHERE]
    yield from converter.each(steps, lambda step: [_event_of(step, converter)], JOURNAL)
    yield from converter.each(others, lambda entry: [_other(entry, converter)], JOURNAL)


def reopening_events(record: IncidentRecord, converter: Converter) -> Iterator[Event]:
    """Yield an event for each reopening of the incident for a fix."""
    name = reopening_journal(record.incident).name

    def event(entry: Mapping[str, Any]) -> list[Event]:
        text = f"{entry['name']} reopened it for the fix {str(entry['fix'])[:12]}: {entry['root_cause']}"
        at = converter.at(Moment.from_record(entry["at"]))
        return [Event(at, Kind.REOPENING, line_of(text), name)]

    yield from converter.each(record.reopenings, event, name)


def _event_of(step: RecordedStep, converter: Converter) -> Event:
    name, end, known = step.name, step.end, step.id.step if step.id else None
    deadline = step.began.get("deadline_seconds")
    text = "it has no end in the journal" if end is None else _said(end)
    return Event(
        at=converter.at(Moment.from_record(step.began["at"])),
        kind=Kind.DEPLOYMENT if known is Step.DEPLOY else Kind.ACTION,
        text=line_of(f"{name}: {text}" if text else name),
        source=JOURNAL,
        step=known,
        verdict=Verdict.BROKEN if end is None else _VERDICTS[end["event"]],
        seconds=None if end is None else float(end["seconds"]),
        deadline=None if deadline is None else float(deadline),
    )


def _said(end: Mapping[str, Any]) -> str:
    """Return the first line of a step's result or error, shortened."""
    return shortened(said_in(end), _LONGEST)


def _other(entry: Mapping[str, Any], converter: Converter) -> Event:
    verdict = None
    match entry["event"]:
        case JournalEvent.NOTED:
            text = str(entry["text"])
        case JournalEvent.TOOK_OVER:
            text = f"the lock was taken over from {entry.get('user')} on {entry.get('host')}"
        case event if event == BEGAN:
            text = f"rehearsal of {entry['migration']} began"
        case event if event == ENDED:
            text = f"rehearsal ended: migrated {entry['migrated']}, rolled back {entry['rolled_back']}"
            verdict = Verdict(entry["rolled_back"])
        case event:
            text = f"{event}: {_said(entry)}" if _said(entry) else str(event)
    at = converter.at(Moment.from_record(entry["at"]))
    return Event(at, Kind.NOTE, line_of(text), JOURNAL, verdict)
