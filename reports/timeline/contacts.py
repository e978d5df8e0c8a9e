"""The people in a timeline: alerts, acknowledgements, decisions and assessments."""

from __future__ import annotations

from collections.abc import Iterator

from reports.incident.converted import Converter, line_of
from reports.incident.event import Event, Kind
from reports.incident.incident_record import IncidentRecord
from rollproof.record_names import CONTACTS
from rollproof.system.clock import Moment
from rollproof.team.contact_record import Attempt, Word
from rollproof.verdict import Verdict


def contact_events(record: IncidentRecord, converter: Converter) -> Iterator[Event]:
    """Yield the events of the contacts' journal."""
    contacts = record.contacts
    if contacts is None:
        return

    def moment(known: tuple[Moment, str]) -> list[Event]:
        at, text = known
        return [Event(converter.at(at), Kind.INCIDENT, line_of(text), CONTACTS)]

    def attempt(one: Attempt) -> list[Event]:
        verdict = Verdict.PASSED if one.delivered else Verdict.FAILED
        how = "told" if one.delivered else f"not delivered: {one.reason}"
        text = line_of(f"{one.alert} by {one.channel}: {how}")
        return [Event(converter.at(one.at), Kind.CONTACT, text, CONTACTS, verdict)]

    def word(said: tuple[Kind, str, Word]) -> list[Event]:
        kind, verb, one = said
        text = line_of(f"{one.name} {verb}{f': {one.text}' if one.text else ''}")
        return [Event(converter.at(one.at), kind, text, CONTACTS)]

    known = [(contacts.detected, f"detected: {contacts.severity or 'of no known severity'}")]
    known.append((contacts.closed, "closed, as the contacts were told"))
    yield from converter.each([(at, text) for at, text in known if at is not None], moment, CONTACTS)
    yield from converter.each(contacts.attempts, attempt, CONTACTS)
    words = [(Kind.ACKNOWLEDGEMENT, "acknowledged", one) for one in contacts.acknowledgements]
    words += [(Kind.DECISION, "decided", one) for one in contacts.decisions]
    words += [(Kind.ASSESSMENT, "assessed", one) for one in contacts.assessments]
    yield from converter.each(words, word, CONTACTS)
