"""The state of an incident's contact flow, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rollproof.system.clock import t_plus
from rollproof.team.contact_flow import ContactStep, Due, Flow
from rollproof.team.contact_record import Alert, ContactRecord


@dataclass(frozen=True, slots=True)
class Sent:
    """The last attempt of an alert by one channel."""

    alert: Alert
    channel: str
    delivered: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ContactsRecord:
    """The state of an incident's contact flow, `elapsed` seconds after T+0."""

    incident: str
    severity: str
    elapsed: float
    steps: tuple[ContactStep, ...]
    sent: tuple[Sent, ...]
    due: tuple[Due, ...]
    over: bool


def contacts_record(incident: str, flow: Flow, record: ContactRecord) -> ContactsRecord:
    """Return the state of the flow of `incident`, by its record."""
    latest = {(one.alert, one.channel): one for one in record.attempts}
    return ContactsRecord(
        incident,
        record.severity,
        flow.elapsed,
        flow.steps,
        tuple(Sent(one.alert, one.channel, one.delivered, one.reason) for one in latest.values()),
        flow.due,
        flow.over,
    )


def status_lines(found: ContactsRecord) -> Iterator[str]:
    """Yield the state of the flow, for people."""
    yield f"{t_plus(found.elapsed)}: {found.severity}"
    for step in found.steps:
        when = f"by {t_plus(step.limit)}" if step.at is None else f"at {t_plus(step.at)}"
        late = "" if step.at is None or step.at <= step.limit else f", {step.at - step.limit:.0f} s late"
        yield f"{step.name}: {step.state} {when}{late}{f' ({step.text})' if step.text else ''}"
    for one in found.sent:
        how = "delivered" if one.delivered else f"NOT DELIVERED: {one.reason}"
        yield f"{one.alert}, channel {one.channel}: {how}"
    for due in found.due:
        yield f"to be done now: {due.alert}, {due.because}"
