"""The post-mortem's severity and decision, with the facts behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reports.incident.converted import Converter
from reports.incident.event import Kind
from reports.incident.incident_record import OTHER_SHAPE, IncidentRecord
from reports.text.page import Page
from reports.timeline.monitored import Monitored, monitored
from reports.timeline.response import findings_of
from reports.timeline.timeline import Timeline
from rollproof.incident.response_record import ASSESSED, DECIDED, names_in
from rollproof.monitoring.severity import Standing
from rollproof.record_names import RESPONSE_SAMPLES, SAMPLES
from rollproof.system.clock import t_plus


def severity_section(page: Page, record: IncidentRecord, timeline: Timeline) -> None:
    """Write each assessment with its bands, and each decision with its reason."""
    page.heading("Severity and decision")
    page.table(
        ("assessment", "met", "lasting", "unknown", "samples of a running monitor"),
        (row for entry in record.response if entry["event"] == ASSESSED for row in _assessment(entry)),
        "No assessment by samples is recorded: nobody ran respond in this incident.",
    )
    if record.samples:
        page.paragraph(
            f"The first one was made from {len(record.samples)} samples, kept in {RESPONSE_SAMPLES}: "
            "assess --samples says the same of them at any time."
        )
    seen = monitored(record)
    if seen is not None:
        page.paragraph(_seen(seen, _since(seen, record, timeline)))
    page.table(
        ("when", "decision", "severity", "by"),
        (
            (
                t_plus(timeline.after(event.at)),
                event.text,
                event.severity,
                event.source,
            )
            for event in timeline.of(Kind.DECISION)
        ),
        "No decision is recorded.",
    )
    names = [name for entry in record.response if entry["event"] == DECIDED for name in _names(entry)]
    if names:
        page.paragraph(f"In trouble, by the newest sample: {', '.join(names)}.")


def _seen(seen: Monitored, since: str) -> str:
    """Return in words the severity by the monitor's samples, its start `since`, and the bands."""
    until = "all" if seen.began is None else "until the rollback began"
    met = "; ".join(f"{one.severity}, {one.band}: {one.text}" for one in seen.assessment.of(Standing.MET))
    unknown = seen.assessment.of(Standing.UNKNOWN)
    why = ", ".join(dict.fromkeys(one.text for one in unknown))
    none = f"no band is met, and {len(unknown)} are unknown ({why})" if unknown else "no band is met"
    whose = "the profile's" if seen.recorded else "the runbook's: none are recorded"
    return (
        f"By the {len(seen.samples)} samples of the monitor that are kept in {SAMPLES}, {until}, it was "
        f"{seen.assessment.severity}: {met or none}{since}. The bands are {whose}."
    )


def _since(seen: Monitored, record: IncidentRecord, timeline: Timeline) -> str:
    try:
        first = None if seen.first_bad is None else Converter(record.incident).at(seen.first_bad)
    except OTHER_SHAPE:
        # The timeline's doubts include that sample.
        return ""
    return "" if first is None else f", from {t_plus(timeline.after(first))} on"


def _assessment(entry: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    try:
        found = [
            findings_of(entry, standing) for standing in (Standing.MET, Standing.LASTING, Standing.UNKNOWN)
        ]
        cells = ["; ".join(texts) or None for texts in found]
        row = (str(entry["severity"]), *cells, str(entry["monitored"]))
    except OTHER_SHAPE:
        # The timeline reports the doubt.
        return
    yield row


def _names(entry: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        return names_in(entry)
    except OTHER_SHAPE:
        # The timeline reports the doubt.
        return ()
