"""The steps of actions in a timeline, from the journal of the incident, and its reopenings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fixtures.clock import Moment
from fixtures.incident import JOURNAL
from fixtures.rehearsals import BEGAN, ENDED
from fixtures.reopening import reopening_journal
from fixtures.rollbacks import ROLLBACK_BEGAN
from fixtures.verdict import Verdict
from reports.converted import Converter, line_of
from reports.event import Event, Kind
from reports.incident_record import IncidentRecord

_VERDICTS = {"ended": Verdict.PASSED, "failed": Verdict.FAILED}
_DEPLOY = "deploy "
# What the rollback's own events say, and single programs, of which a step tells what matters.
_ELSEWHERE = frozenset({ROLLBACK_BEGAN, "runs", "ran"})
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Step:
    """A step that began, and the record of its end, None where there is none."""

    began: Mapping[str, Any]
    end: Mapping[str, Any] | None


def journal_events(record: IncidentRecord, converter: Converter) -> Iterator[Event]:
    """Yield an event a step, and one for each thing besides that the journals say."""
    for name, journal in [*record.earlier.items(), (JOURNAL, record.journal)]:
        steps, others = _told_apart(journal)

        def event(step: Step, source: str = name) -> list[Event]:
            return [_event_of(step, converter, source)]

        def other(entry: Mapping[str, Any], source: str = name) -> list[Event]:
            return [_other(entry, converter, source)]

        yield from converter.each(steps, event, name)
        yield from converter.each(others, other, name)


def reopening_events(record: IncidentRecord, converter: Converter) -> Iterator[Event]:
    """Yield that the incident was reopened for a fix."""
    name = reopening_journal(record.incident).name

    def event(entry: Mapping[str, Any]) -> list[Event]:
        text = f"{entry['name']} reopened it for the fix {str(entry['fix'])[:12]}: {entry['root_cause']}"
        at = converter.at(Moment.from_record(entry["at"]))
        return [Event(at, Kind.REOPENING, line_of(text), name)]

    yield from converter.each(record.reopenings, event, name)


def _told_apart(journal: Sequence[Mapping[str, Any]]) -> tuple[list[Step], list[Mapping[str, Any]]]:
    """Return the steps, and what is none. Steps of one name end in the order of a stack."""
    steps: list[Step] = []
    others: list[Mapping[str, Any]] = []
    for record in journal:
        match record["event"]:
            case "started":
                steps.append(Step(record, None))
            case "ended" | "failed":
                open_ones = (
                    number
                    for number in range(len(steps) - 1, -1, -1)
                    if steps[number].end is None and steps[number].began.get("step") == record.get("step")
                )
                number = next(open_ones, None)
                if number is None:
                    others.append(record)
                else:
                    steps[number] = Step(steps[number].began, record)
            case event if event not in _ELSEWHERE:
                others.append(record)
            case _:
                pass
    return steps, others


def _event_of(step: Step, converter: Converter, source: str) -> Event:
    name, end = str(step.began["step"]), step.end
    deadline = step.began.get("deadline_seconds")
    text = "it has no end in the journal" if end is None else _said(end)
    return Event(
        at=converter.at(Moment.from_record(step.began["at"])),
        kind=Kind.DEPLOYMENT if name.startswith(_DEPLOY) else Kind.ACTION,
        text=line_of(f"{name}: {text}" if text else name),
        source=source,
        verdict=Verdict.BROKEN if end is None else _VERDICTS[end["event"]],
        seconds=None if end is None else float(end["seconds"]),
        deadline=None if deadline is None else float(deadline),
    )


def _said(end: Mapping[str, Any]) -> str:
    """Return the result of a step, or the first line of its error."""
    text = str(end.get("result") or end.get("error") or "").partition("\n")[0]
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _other(entry: Mapping[str, Any], converter: Converter, source: str) -> Event:
    verdict = None
    match entry["event"]:
        case "noted":
            text = str(entry["text"])
        case "journal broken":
            text = f"an earlier journal was broken and is kept as {entry['kept']}: {entry['reason']}"
        case "took over":
            text = f"the lock was taken over from {entry.get('user')} on {entry.get('host')}"
        case event if event == BEGAN:
            text = f"rehearsal of {entry['migration']} began"
        case event if event == ENDED:
            text = f"rehearsal ended: migrated {entry['migrated']}, rolled back {entry['rolled_back']}"
            verdict = Verdict(entry["rolled_back"])
        case event:
            text = f"{event}: {_said(entry)}" if _said(entry) else str(event)
    at = converter.at(Moment.from_record(entry["at"]))
    return Event(at, Kind.NOTE, line_of(text), source, verdict)
