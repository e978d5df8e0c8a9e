"""The post-mortem's contacts: the people to be told, their deadlines to answer, and their answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from reports.incident.converted import Converter
from reports.incident.event import Event, Kind
from reports.incident.incident_record import OTHER_SHAPE, IncidentRecord
from reports.text.page import MARKS, Page
from reports.timeline.timeline import Timeline
from rollproof.profile.contacts import Contacts
from rollproof.record_names import CONTACTS
from rollproof.system.clock import Moment, t_plus
from rollproof.team.contact_flow import Flow, flow_of
from rollproof.verdict import Verdict


def people_section(page: Page, record: IncidentRecord, timeline: Timeline) -> None:
    """Write the contact flow at the end of the record, each acknowledgement, and each failed alert."""
    page.heading("Contacts and acknowledgements")
    try:
        flow = _flow(record, timeline)
    except OTHER_SHAPE:
        page.paragraph("When it was detected cannot be told in a time that any calendar has.")
        return
    if flow is None:
        page.paragraph("The clock of the contacts was not started: nobody is recorded to have been told.")
        return
    if not record.contact_minutes:
        page.paragraph("The minutes are the runbook's: this record does not say what the profile had.")
    rows = (
        (
            step.name,
            t_plus(step.limit),
            None if step.at is None else t_plus(step.at),
            "LATE" if step.at is not None and step.at > step.limit else step.state,
            step.text,
        )
        for step in flow.steps
    )
    page.paragraph(
        f"Counted from the detection; as of {t_plus(flow.elapsed)}, with the last of this record. "
        f"{len(flow.overdue)} overdue."
    )
    page.table(("step", "by", "done", "", "how"), rows, "")
    said = timeline.of(Kind.ACKNOWLEDGEMENT, Kind.DECISION, Kind.ASSESSMENT)
    page.table(
        ("when", "what", "who, and what they said"),
        (_word(event, timeline) for event in said if event.source == CONTACTS),
        "Nobody has acknowledged.",
    )
    page.paragraph("Alerts that are not known to have arrived:")
    page.bullets(_undelivered(timeline), "None.")


def _flow(record: IncidentRecord, timeline: Timeline) -> Flow | None:
    """Return the contact flow at the end of the record, whatever the time is now."""
    contacts = record.contacts
    if contacts is None or contacts.detected is None:
        return None
    try:
        profile = Contacts.model_validate({"minutes": dict(record.contact_minutes)})
    except OTHER_SHAPE:
        profile = Contacts()
    passed = timeline.end - Converter(record.incident).at(contacts.detected)
    now = _later(contacts.detected, passed)
    return flow_of(profile, contacts, now)


def _later(moment: Moment, passed: timedelta) -> Moment:
    return replace(moment, since_boot=moment.since_boot + passed.total_seconds(), wall=moment.wall)


def _word(event: Event, timeline: Timeline) -> tuple[str, str, str]:
    return t_plus(timeline.after(event.at)), event.kind, event.text


def _undelivered(timeline: Timeline) -> Iterator[str]:
    for event in timeline.of(Kind.CONTACT):
        if event.verdict is not None and event.verdict is not Verdict.PASSED:
            yield f"{MARKS[event.verdict]} {event.text} ({t_plus(timeline.after(event.at))})"
