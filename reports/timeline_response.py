"""The response in a timeline: samples, assessments, decisions, and how the flow went on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fixtures.clock import Moment
from fixtures.errors import ExitCode
from fixtures.kept_samples import SAMPLES
from fixtures.response_record import (
    AGREED,
    ASSESSED,
    DECIDED,
    ENDED,
    INVESTIGATING,
    RESPONSE,
    RESPONSE_SAMPLES,
    ROLLED_BACK,
    VERIFIED,
    first_bad_in,
    first_bad_of,
)
from fixtures.samples import Sample
from fixtures.severity import Severity, Standing
from fixtures.verdict import Verdict
from reports.converted import Converter, line_of
from reports.event import Event, Kind
from reports.incident_record import OTHER_SHAPE, IncidentRecord
from reports.monitored import monitored

_GOOD_ENDINGS = frozenset({"resume operations", "continue monitoring"})


def first_bad(record: IncidentRecord) -> Moment | None:
    """Return when the first bad sample was taken by the first assessment; None where nothing says so."""
    try:
        return first_bad_of(record.response)
    except OTHER_SHAPE:
        # The event of this assessment is of another shape too, and is doubted.
        return None


def sample_events(record: IncidentRecord, converter: Converter) -> Iterator[Event]:
    """Yield the samples that the first assessment was made from, else the monitor's until a rollback."""
    seen = monitored(record)
    samples, source = (record.samples, RESPONSE_SAMPLES) if seen is None else (seen.samples, SAMPLES)

    def event(sample: Sample) -> list[Event]:
        wrong = [
            f"{name} {probe.text}" if probe.ok is False else f"{name} did not answer"
            for name, probe in sample.probes.items()
            if probe.ok is not True
        ]
        missed = f"; {sample.missed} beats before it were missed" if sample.missed else ""
        text = f"beat {sample.beat}: {'; '.join(wrong) or 'every probe has answered'}{missed}"
        verdict = Verdict.FAILED if any(probe.ok is False for probe in sample.probes.values()) else None
        if verdict is None and wrong:
            verdict = Verdict.BROKEN
        return [Event(converter.at(sample.at), Kind.SAMPLE, line_of(text), source, verdict)]

    yield from converter.each(samples, event, source)


def response_events(record: IncidentRecord, converter: Converter) -> Iterator[Event]:
    """Yield what the journal of the response says."""

    def event(entry: Mapping[str, Any]) -> list[Event]:
        return [_event_of(entry, converter)]

    yield from converter.each(record.response, event, RESPONSE)


def findings_of(entry: Mapping[str, Any], standing: Standing) -> list[str]:
    """Return what an assessment found to stand there, in words; raises what another shape raises."""
    return [
        f"{finding['severity']}, {finding['band']}: {finding['text']}"
        for finding in json.loads(entry["findings"])["findings"]
        if finding["standing"] == standing
    ]


def _event_of(entry: Mapping[str, Any], converter: Converter) -> Event:
    at = converter.at(Moment.from_record(entry["at"]))
    kind, text = Kind.RESPONSE, str(entry["event"])
    verdict: Verdict | None = None
    severity: Severity | None = None
    deadline: float | None = None
    match entry["event"]:
        case event if event == ASSESSED:
            # Not used here: an assessment that does not say it is of another shape.
            first_bad_in(entry)
            kind, severity = Kind.ASSESSMENT, Severity(entry["severity"])
            text = f"{severity}: {'; '.join(findings_of(entry, Standing.MET)) or 'no band is met'}"
        case event if event == INVESTIGATING:
            text, deadline = "not critical: the cause is looked for", float(entry["seconds"])
        case event if event == DECIDED:
            kind, severity = Kind.DECISION, Severity(entry["severity"])
            text = f"{entry['action']}: {entry['reason']}"
        case event if event == AGREED:
            kind, text = Kind.DECISION, f"agreed by {entry['by']}"
        case event if event in {ROLLED_BACK, VERIFIED}:
            code = ExitCode(int(entry["code"]))
            text, verdict = f"{event}: exit code {code:d}", _verdict_of(code)
        case event if event == ENDED:
            text = f"ended: {entry['ending']}: {entry['reason']}"
            verdict = Verdict.PASSED if entry["ending"] in _GOOD_ENDINGS else Verdict.FAILED
        case _:
            pass
    return Event(at, kind, line_of(text), RESPONSE, verdict, severity, deadline=deadline)


def _verdict_of(code: ExitCode) -> Verdict:
    return {ExitCode.VERIFIED: Verdict.PASSED, ExitCode.FAILED: Verdict.FAILED}.get(code, Verdict.BROKEN)
