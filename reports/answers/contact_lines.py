"""The state of an incident's contact flow, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from rollproof.system.clock import t_plus
from rollproof.team.contact_flow import Flow
from rollproof.team.contact_record import ContactRecord


def status_lines(flow: Flow, record: ContactRecord) -> Iterator[str]:
    """Yield the state of the flow: its steps, the last attempt of each alert by each channel, what is due."""
    yield f"{t_plus(flow.elapsed)}: {record.severity}"
    for step in flow.steps:
        when = f"by {t_plus(step.limit)}" if step.at is None else f"at {t_plus(step.at)}"
        late = "" if step.at is None or step.at <= step.limit else f", {step.at - step.limit:.0f} s late"
        yield f"{step.name}: {step.state} {when}{late}{f' ({step.text})' if step.text else ''}"
    for one in {(one.alert, one.channel): one for one in record.attempts}.values():
        how = "delivered" if one.delivered else f"NOT DELIVERED: {one.reason}"
        yield f"{one.alert}, channel {one.channel}: {how}"
    for due in flow.due:
        yield f"to be done now: {due.alert}, {due.because}"
