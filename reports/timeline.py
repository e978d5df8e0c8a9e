"""The timeline of an incident: all that happened, in order, from what lies in its folder alone.

Times count from the incident's start by the machine's own clock where they are of the same boot, so a wall
clock that was set in the middle of it does not turn the order around.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fixtures.incident import Incident
from reports.converted import Converter
from reports.event import Event, Kind
from reports.incident_record import CLOSED, OTHER_SHAPE, IncidentRecord, read_record
from reports.monitored import monitored
from reports.timeline_checks import check_events
from reports.timeline_contacts import contact_events
from reports.timeline_journal import journal_events, reopening_events
from reports.timeline_response import first_bad, response_events, sample_events
from reports.timeline_rollback import rollback_began, rollback_events

_SOURCES = (
    sample_events,
    response_events,
    contact_events,
    journal_events,
    rollback_events,
    check_events,
    reopening_events,
)

# So long after the start of its migration the runbook has the issue detected.
DETECTED_MINUTES = 10.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened in `incident`, in order, and in `doubts` what of its record cannot be trusted.

    `zero` is the moment that the runbook counts from, T+0, and `zero_is` says which that is: the first bad
    sample that the response knows of; else the earliest of the first bad sample of the monitor, the detection
    that the contact flow counts from and the beginning of the rollback; else the start of the incident.
    """

    incident: Incident
    zero: datetime
    zero_is: str
    events: tuple[Event, ...]
    doubts: tuple[str, ...]

    def of(self, *kinds: Kind) -> tuple[Event, ...]:
        """Return the events of these kinds."""
        return tuple(event for event in self.events if event.kind in kinds)

    @property
    def migration_began(self) -> tuple[datetime, str]:
        """Return where the runbook's own timeline has its T+0, and in words what it is aligned by."""
        deployed = next((event.at for event in self.events if event.kind is Kind.DEPLOYMENT), None)
        if deployed is not None:
            return deployed, f"T+0 is the deployment, {deployed:%d %B %Y, %H:%M:%S} UTC"
        aligned = f"T+{DETECTED_MINUTES:g} is {self.zero_is}, {self.zero:%d %B %Y, %H:%M:%S} UTC"
        return self.zero - timedelta(minutes=DETECTED_MINUTES), aligned

    @property
    def end(self) -> datetime:
        """When the last of it was over, as far as the record says."""
        return max([self.zero, *(event.ends for event in self.events)])

    def after(self, moment: datetime) -> float:
        """Return the seconds from T+0 to `moment`, negative before."""
        return (moment - self.zero).total_seconds()


def read_timeline(folder: Path) -> Timeline:
    """Return the timeline of the incident in `folder`; nothing outside of it is read.

    Raises:
        UsageProblem: the folder is none of an incident, or its incident.json cannot be read.
    """
    return timeline_of(read_record(folder))


def timeline_of(record: IncidentRecord) -> Timeline:
    """Return the timeline of what is recorded."""
    converter = Converter(record.incident)
    events = [*_of_incident(record, converter)]
    for source in _SOURCES:
        events += source(record, converter)
    zero, zero_is = _zero(record, converter)
    doubts = dict.fromkeys([*record.doubts, *converter.doubts])
    return Timeline(
        incident=record.incident,
        zero=zero.astimezone(UTC),
        zero_is=zero_is,
        events=tuple(sorted(events, key=lambda event: event.at)),
        doubts=tuple(doubts),
    )


def _of_incident(record: IncidentRecord, converter: Converter) -> Iterator[Event]:
    incident = record.incident
    text = f"the record of {incident.kind} {incident.id} of target {incident.target} begins"
    yield Event(converter.at(incident.started), Kind.INCIDENT, text, "incident.json")
    closed = [record.closed] if record.closed else []
    yield from converter.each(
        closed,
        lambda moment: [Event(converter.at(moment), Kind.INCIDENT, "closed: verified in full", CLOSED)],
        CLOSED,
    )


def _zero(record: IncidentRecord, converter: Converter) -> tuple[datetime, str]:
    detected = record.contacts.detected if record.contacts else None
    seen = monitored(record)
    wanted = [
        ("the first bad sample", first_bad(record)),
        ("the first bad sample of the monitor", seen.first_bad if seen is not None else None),
        ("the detection", detected),
        *(("the beginning of the rollback", moment) for moment in rollback_began(record)),
    ]
    found = []
    for name, moment in wanted:
        if moment is None:
            continue
        try:
            found.append((converter.at(moment), name))
        except OTHER_SHAPE:
            # Its event is missing for the same reason, and the doubts say so.
            continue
    if found and found[0][1] == wanted[0][0]:
        return found[0]
    return min(found, default=(converter.at(record.incident.started), "the start of the incident"))
