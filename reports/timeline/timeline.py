"""The timeline of an incident: all its events, in order, from its folder alone.

Times of the same boot count from the incident's start by the machine's own clock. To set the wall
clock during the incident does therefore not change the order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reports.incident.converted import Converter
from reports.incident.event import Event, Kind
from reports.incident.incident_record import IncidentRecord
from reports.timeline.checks import check_events
from reports.timeline.contacts import contact_events
from reports.timeline.journal import journal_events, reopening_events
from reports.timeline.monitored import bands_and_beat
from reports.timeline.response import response_events, sample_events
from reports.timeline.rollback import rollback_events
from rollproof.incident.downtime import incident_began, outage_began
from rollproof.incident.incident import Incident
from rollproof.record_names import CLOSED, INCIDENT

_SOURCES = (
    sample_events,
    response_events,
    contact_events,
    journal_events,
    rollback_events,
    check_events,
    reopening_events,
)

# In the runbook, the issue is detected this long after the migration's start.
DETECTED_MINUTES = 10.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """The events of `incident`, in order, and in `doubts` the parts of its record that cannot be trusted.

    `zero` is T+0, the moment that the runbook counts from, and `zero_is` names it: the beginning of the
    incident's first outage, see `rollproof.incident.downtime`. `down` is that of its last one, `down_is` its
    name: they differ once a rollback was verified and another one began.
    """

    incident: Incident
    zero: datetime
    zero_is: str
    down: datetime
    down_is: str
    events: tuple[Event, ...]
    doubts: tuple[str, ...]

    def of(self, *kinds: Kind) -> tuple[Event, ...]:
        """Return the events of the given kinds."""
        return tuple(event for event in self.events if event.kind in kinds)

    @property
    def migration_began(self) -> tuple[datetime, str]:
        """The T+0 of the runbook's own timeline, and in words the event it is aligned by."""
        deployed = next((event.at for event in self.events if event.kind is Kind.DEPLOYMENT), None)
        if deployed is not None:
            return deployed, f"T+0 is the deployment, {deployed:%d %B %Y, %H:%M:%S} UTC"
        aligned = f"T+{DETECTED_MINUTES:g} is {self.zero_is}, {self.zero:%d %B %Y, %H:%M:%S} UTC"
        return self.zero - timedelta(minutes=DETECTED_MINUTES), aligned

    @property
    def end(self) -> datetime:
        """The end of the last event, as far as the record says."""
        return max([self.zero, *(event.ends for event in self.events)])

    def after(self, moment: datetime) -> float:
        """Return the seconds from T+0 to `moment`, negative if it is earlier."""
        return (moment - self.zero).total_seconds()


def timeline_of(record: IncidentRecord) -> Timeline:
    """Return the timeline of a record."""
    converter = Converter(record.incident)
    events = [*_of_incident(record, converter)]
    for source in _SOURCES:
        events += source(record, converter)
    bands, beat, _ = bands_and_beat(record)
    zero_is, zero = incident_began(record.incident, bands, beat)
    down_is, down = outage_began(record.incident, bands, beat)
    doubts = dict.fromkeys([*record.doubts, *converter.doubts])
    return Timeline(
        incident=record.incident,
        zero=converter.at(zero).astimezone(UTC),
        zero_is=zero_is,
        down=converter.at(down).astimezone(UTC),
        down_is=down_is,
        events=tuple(sorted(events, key=lambda event: event.at)),
        doubts=tuple(doubts),
    )


def _of_incident(record: IncidentRecord, converter: Converter) -> Iterator[Event]:
    incident = record.incident
    text = f"the record of {incident.kind} {incident.id} of target {incident.target} begins"
    yield Event(converter.at(incident.started), Kind.INCIDENT, text, INCIDENT)
    closed = [record.closed] if record.closed else []
    yield from converter.each(
        closed,
        lambda moment: [Event(converter.at(moment), Kind.INCIDENT, "closed: verified in full", CLOSED)],
        CLOSED,
    )
