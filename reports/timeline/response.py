"""The response in a timeline: samples, assessments, decisions, and the flow's later steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reports.incident.converted import Converter, line_of
from reports.incident.event import Event, Kind
from reports.incident.incident_record import IncidentRecord
from reports.timeline.monitored import monitored
from rollproof.errors import ExitCode
from rollproof.incident.response_record import (
    AGREED,
    ALLOWABLE,
    ALLOWED,
    ASSESSED,
    DECIDED,
    ENDED,
    INVESTIGATING,
    LAPSED,
    ROLLED_BACK,
    VERIFIED,
    Ending,
    first_bad_in,
    names_in,
)
from rollproof.monitoring.samples import Sample
from rollproof.monitoring.severity import Severity, Standing
from rollproof.record_names import RESPONSE, RESPONSE_SAMPLES, SAMPLES
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict, verdict_of

_ENDINGS = {
    Ending.RESUMED: Verdict.PASSED,
    Ending.MONITORING: Verdict.PASSED,
    Ending.CUT_OFF: Verdict.BROKEN,
}


def sample_events(record: IncidentRecord, converter: Converter) -> Iterator[Event]:
    """Yield the first assessment's samples, else the monitor's up to the rollback."""
    seen = monitored(record)
    samples, source = (record.samples, RESPONSE_SAMPLES) if seen is None else (seen.samples, SAMPLES)

    def event(sample: Sample) -> list[Event]:
        wrong = [
            f"{name} {probe.text}" if probe.ok is False else f"{name} did not answer"
            for name, probe in sample.probes.items()
            if probe.ok is not True
        ]
        missed = f"; {sample.missed} beats before it were missed" if sample.missed else ""
        same = line_of(f"{'; '.join(wrong) or 'every probe has answered'}{missed}")
        verdict = Verdict.FAILED if any(probe.ok is False for probe in sample.probes.values()) else None
        if verdict is None and wrong:
            verdict = Verdict.BROKEN
        text = f"beat {sample.beat}: {same}"
        return [Event(converter.at(sample.at), Kind.SAMPLE, text, source, verdict, same=same)]

    yield from converter.each(samples, event, source)


def response_events(record: IncidentRecord, converter: Converter) -> Iterator[Event]:
    """Yield the events of the response's journal."""

    def event(entry: Mapping[str, Any]) -> list[Event]:
        return [_event_of(entry, converter)]

    yield from converter.each(record.response, event, RESPONSE)


def findings_of(entry: Mapping[str, Any], standing: Standing) -> list[str]:
    """Return an assessment's findings with `standing` in words; raise for a record of another shape."""
    return [
        f"{finding['severity']}, {finding['band']}: {finding['text']}"
        for finding in entry["findings"]["findings"]
        if finding["standing"] == standing
    ]


def _event_of(entry: Mapping[str, Any], converter: Converter) -> Event:
    at = converter.at(Moment.from_record(entry["at"]))
    kind, text = Kind.RESPONSE, str(entry["event"])
    verdict: Verdict | None = None
    severity: Severity | None = None
    deadline: float | None = None
    ending = ""
    match entry["event"]:
        case event if event == ASSESSED:
            # The value is not used here: the call raises for an assessment without it.
            first_bad_in(entry)
            kind, severity = Kind.ASSESSMENT, Severity(entry["severity"])
            text = f"{severity}: {'; '.join(findings_of(entry, Standing.MET)) or 'no band is met'}"
        case event if event == INVESTIGATING:
            text, deadline = "not critical: the cause is looked for", float(entry["seconds"])
        case event if event == DECIDED:
            # As above: no decision is without its names.
            names_in(entry)
            kind, severity = Kind.DECISION, Severity(entry["severity"])
            text = f"{entry['action']}: {entry['reason']}"
        case event if event == ALLOWED:
            text = f"allowed by {entry['by']}: {', '.join(_allowed(entry))}"
        case event if event == AGREED:
            kind, text = Kind.DECISION, f"agreed by {entry['by']}"
        case event if event == LAPSED:
            kind, text = Kind.DECISION, f"assessed and asked anew: {entry['reason']}"
        case event if event in {ROLLED_BACK, VERIFIED}:
            code = ExitCode(int(entry["code"]))
            text, verdict = f"{event}: exit code {code:d}", verdict_of(code)
        case event if event == ENDED:
            ending = line_of(f"{entry['ending']}: {entry['reason']}")
            text = f"ended: {ending}"
            verdict = _ENDINGS.get(entry["ending"], Verdict.FAILED)
        case _:
            pass
    return Event(at, kind, line_of(text), RESPONSE, verdict, severity, deadline=deadline, ending=ending)


def _allowed(entry: Mapping[str, Any]) -> list[str]:
    """Return the allowed options as typed; raise for a record of another shape."""
    confirm = [] if entry["confirm"] is None else [f"--confirm {entry['confirm']}"]
    return [*confirm, *(f"--{name.replace('_', '-')}" for name in ALLOWABLE if entry[name] is True)]
