"""The state of an incident's contact flow, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from fixtures.team.contact_flow import Flow, State, t_plus
from fixtures.team.contact_record import ALERTED, ALERTING, ContactRecord


def status_lines(flow: Flow, record: ContactRecord) -> Iterator[str]:
    """Yield the state of the flow, for people."""
    yield f"{t_plus(flow.elapsed)}: {record.severity}"
    for step in flow.steps:
        when = f" at {t_plus(step.at)}" if step.at is not None else ""
        by = f", by {t_plus(step.limit)}" if step.state in {State.DUE, State.OVERDUE} else ""
        begins = f", at {t_plus(step.begins)}" if step.state is State.WAITING else ""
        yield f"{step.name}: {step.state}{when}{by}{begins}{f' ({step.text})' if step.text else ''}"
    latest = {(one.alert, one.fingerprint): one for one in record.attempts}
    for one in latest.values():
        if one.event == ALERTED:
            how = "delivered"
        else:
            how = "unknown: no end is recorded" if one.event == ALERTING else f"NOT DELIVERED: {one.reason}"
        yield f"{one.alert}, channel {one.channel}: {how}"
    for due in flow.due:
        yield f"to be done now: {due.alert}, {due.because}"
    if not flow.due and flow.wait_seconds is not None and not flow.over:
        yield f"next: at {t_plus(flow.elapsed + flow.wait_seconds)}"
