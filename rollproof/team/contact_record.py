"""The record of an incident's contacts: attempts to alert them, acknowledgements, decisions, assessments.

It is kept in its own hash-chained journal in the incident's folder, since a rollback may write the incident's
journal at the same time. `rollback_actions.contacts.contacts` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rollproof.incident.journal import DETECTED, records_of, verify_journal
from rollproof.record_names import CONTACTS
from rollproof.system.clock import Moment
from rollproof.team.change import ACKNOWLEDGED

# After each attempt to reach one channel.
ALERTED = "alerted"
DECIDED, ASSESSED, CLOSED = "decided", "assessed", "closed"


class Alert(StrEnum):
    """The kinds of alert, in the order of the flow."""

    ON_CALL = "on-call alert"
    TECH_LEAD = "tech lead alert"
    UNASSESSED = "assessment overdue"
    POST_MORTEM = "post-mortem"


class ContactDecision(StrEnum):
    """The answer to the flow's question whether the problem is critical."""

    ROLL_BACK = "roll back"
    INVESTIGATE = "investigate"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to reach a channel: `at` is when its result was known, `reason` why it was not delivered."""

    alert: Alert
    at: Moment
    channel: str
    delivered: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Word:
    """A statement by `name`: a decision, or an assessment; `text` is empty for a plain acknowledgement."""

    at: Moment
    name: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class ContactRecord:
    """One incident's records, in order. `detected` is T+0, or None before the clock has begun.

    `last` is the moment of the last record.
    """

    detected: Moment | None = None
    severity: str = ""
    last: Moment | None = None
    attempts: tuple[Attempt, ...] = ()
    acknowledgements: tuple[Word, ...] = ()
    decisions: tuple[Word, ...] = ()
    assessments: tuple[Word, ...] = ()
    closed: Moment | None = None

    def attempts_of(self, alert: Alert) -> list[Attempt]:
        """Return the attempts to deliver one alert."""
        return [one for one in self.attempts if one.alert is alert]


def read_contacts(folder: Path) -> ContactRecord:
    """Return the contacts' record in the incident's folder `folder`."""
    return contact_record_of(verify_journal(folder / CONTACTS))


def contact_record_of(records: Sequence[Mapping[str, Any]]) -> ContactRecord:
    """Return a journal's records as one; raises `WrongRecord` or `KeyError` for another shape."""
    detected = next((record for record in records if record["event"] == DETECTED), None)
    closed = next((record for record in records if record["event"] == CLOSED), None)
    return ContactRecord(
        detected=Moment.from_record(detected["at"]) if detected else None,
        severity=str(detected["severity"]) if detected else "",
        last=Moment.from_record(records[-1]["at"]) if records else None,
        attempts=records_of(Attempt, ALERTED, records),
        acknowledgements=records_of(Word, ACKNOWLEDGED, records),
        decisions=records_of(Word, DECIDED, records),
        assessments=records_of(Word, ASSESSED, records),
        closed=Moment.from_record(closed["at"]) if closed else None,
    )
