"""The events of an incident, in order, from its folder alone.

Times of the same boot count from the incident's start by the machine's own clock. To set the wall clock
during the incident does therefore not change the order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any

from reports.incident.record import OTHER_SHAPE, IncidentRecord, RecordedRun
from reports.text.page import TITLES
from rollproof.errors import shortened
from rollproof.incident import downtime as response
from rollproof.incident.downtime import incident_began, rollbacks_began
from rollproof.incident.journal import JournalEvent, RecordedStep, Step, first_line, steps_in
from rollproof.incident.ledger import Planned, RunFacts
from rollproof.incident.rehearsals import BEGAN, ENDED
from rollproof.incident.rollbacks import ROLLBACK_BEGAN
from rollproof.incident.samples import Sample
from rollproof.incident.severity import BandState
from rollproof.incident.tally import stage_verdict
from rollproof.record_names import (
    CLOSED,
    CONTACTS,
    INCIDENT,
    JOURNAL,
    LEDGER,
    REOPENING,
    RESPONSE,
    ROLLBACK,
    SAMPLES,
    SUPERSEDED,
    UNFINISHED,
)
from rollproof.verdict import PhaseVerdict, Verdict

_LONGEST, _COMMIT = 300, 12


class EventKind(StrEnum):
    """Kinds of events."""

    INCIDENT = "incident"  # opened, detected, closed
    DEPLOYMENT = "deployment"
    SAMPLE = "monitor"  # samples that follow each other and show the same
    ASSESSMENT = "assessment"
    DECISION = "decision"
    RESPONSE = "response"  # a step of the runbook's emergency flow, and its end
    ROLLBACK = "rollback"
    ACTION = "action"  # a step of an action
    PHASE = "phase"  # a stage of one run of checks
    CONTACT = "contact"
    ACKNOWLEDGEMENT = "acknowledgement"
    REOPENING = "reopening"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Event:
    """An event `at` a time in UTC, reported by the file `source` of the incident's folder.

    `text` is one line of untrusted origin: whoever shows it escapes it. `seconds` is the duration, None for
    an instant or an end that is not recorded. `deadline` is the time limit in seconds after `at`. `verdict`
    is *broken* if the end is not recorded. `step` is the id of an action's step.
    """

    at: datetime
    kind: EventKind
    text: str
    source: str
    verdict: Verdict | None = None
    seconds: float | None = None
    deadline: float | None = None
    step: Step | None = None

    @property
    def ends(self) -> datetime:
        """The event's end; its start if the duration is unknown."""
        return self.at + timedelta(seconds=self.seconds or 0.0)

    @property
    def late(self) -> bool:
        """Whether the event exceeded its deadline."""
        return self.deadline is not None and self.seconds is not None and self.seconds > self.deadline


@dataclass(frozen=True, slots=True)
class Timeline:
    """The events of the `incident` of that id, in order.

    `doubts` are the parts of its record that cannot be trusted.

    `zero` is T+0, and `zero_is` names it: the beginning of the outage, see `rollproof.incident.downtime`.
    """

    incident: str
    zero: datetime
    zero_is: str
    events: tuple[Event, ...]
    doubts: tuple[str, ...]

    def of(self, *kinds: EventKind) -> tuple[Event, ...]:
        """Return the events of the given kinds."""
        return tuple(event for event in self.events if event.kind in kinds)

    @property
    def end(self) -> datetime:
        """The end of the last event, as far as the record says."""
        return max([self.zero, *(event.ends for event in self.events)])

    def after(self, moment: datetime) -> float:
        """Return the seconds from T+0 to `moment`, negative if it is earlier."""
        return (moment - self.zero).total_seconds()


def timeline_of(record: IncidentRecord) -> Timeline:
    """Return the timeline of a record; of a file with a record of another shape, as far as that."""
    events, doubts = list[Event](), list(record.doubts)
    for source, of in _SOURCES.items():
        try:
            for event in of(record):
                # Raises for an end outside the calendar, or a duration that is no number.
                event.ends.astimezone()
                events.append(event)
        except OTHER_SHAPE as error:
            doubts.append(f"{source}: a record is of another shape ({type(error).__name__}: {error})")
    zero_is, zero = incident_began(record.incident, *record.bands)
    return Timeline(
        incident=record.incident.id,
        zero=record.at(zero).astimezone(UTC),
        zero_is=zero_is,
        events=tuple(sorted(events, key=lambda event: event.at)),
        doubts=tuple(dict.fromkeys(doubts)),
    )


def _incident(record: IncidentRecord) -> Iterator[Event]:
    incident = record.incident
    text = f"the record of {incident.kind} {incident.id} of target {incident.target} begins"
    yield Event(record.at(incident.started), EventKind.INCIDENT, text, INCIDENT)
    if record.closed is not None:
        yield Event(record.at(record.closed), EventKind.INCIDENT, "closed: verified in full", CLOSED)


def samples_before(record: IncidentRecord) -> tuple[Sample, ...]:
    """Return the samples up to the first rollback."""
    start = record.incident.started
    began = min(rollbacks_began(record.incident), key=lambda one: one.seconds_since(start), default=None)
    return tuple(one for one in record.samples if began is None or began.seconds_since(one.at) >= 0)


def _samples(record: IncidentRecord) -> Iterator[Event]:
    """Yield an event for samples that follow each other of which the same probes are wrong."""

    def wrong(sample: Sample) -> tuple[str, ...]:
        return tuple(name for name, probe in sample.probes.items() if probe.ok is not True)

    for _, group in groupby(samples_before(record), wrong):
        samples = list(group)
        first, last = samples[0], samples[-1]
        bad = {name: probe for name, probe in first.probes.items() if probe.ok is not True}
        verdict = Verdict.BROKEN if bad else None
        if any(probe.ok is False for probe in bad.values()):
            verdict = Verdict.FAILED
        texts = [
            f"{name} {probe.text if probe.ok is False else 'did not answer'}" for name, probe in bad.items()
        ]
        text = _line(f"{'; '.join(texts) or 'every probe answered'} ({len(samples)} samples)")
        seconds = last.at.seconds_since(first.at)
        yield Event(record.at(first.at), EventKind.SAMPLE, text, SAMPLES, verdict, seconds=seconds)


def _response(record: IncidentRecord) -> Iterator[Event]:
    for entry in record.response:
        kind, verdict = EventKind.RESPONSE, None
        match entry["event"]:
            case response.ASSESSED:
                kind = EventKind.ASSESSMENT
                text = f"{entry['severity']}: {'; '.join(met_in(entry)) or 'no band is met'}"
            case response.DECIDED:
                kind, text = EventKind.DECISION, f"{entry['action']}: {entry['reason']}"
            case response.ALLOWED:
                text = f"allowed by {entry['by']}: {', '.join(_allowed(entry))}"
            case response.AGREED:
                kind, text = EventKind.DECISION, f"agreed by {entry['by']}"
            case response.ENDED:
                text = f"ended: {entry['ending']}: {entry['reason']}"
                verdict = _ENDINGS.get(entry["ending"], Verdict.FAILED)
            case _:
                continue  # the rollback and the phases have events of their own
        yield Event(record.time_of(entry), kind, _line(text), RESPONSE, verdict)


_ENDINGS = {
    response.ResponseEnding.RESUMED: Verdict.PASSED,
    response.ResponseEnding.MONITORING: Verdict.PASSED,
    response.ResponseEnding.CUT_OFF: Verdict.BROKEN,
}


def met_in(assessed: Mapping[str, Any]) -> list[str]:
    """Return the bands that an assessment found to be met, in words."""
    return [
        f"{finding['band']}: {finding['text']}"
        for finding in assessed["findings"]["findings"]
        if finding["state"] == BandState.MET
    ]


def _allowed(entry: Mapping[str, Any]) -> list[str]:
    """Return the allowed options as typed."""
    confirm = [] if entry["confirm"] is None else [f"--confirm {entry['confirm']}"]
    return [*confirm, *(f"--{name.replace('_', '-')}" for name in response.ALLOWABLE if entry[name] is True)]


def _contacts(record: IncidentRecord) -> Iterator[Event]:
    contacts = record.contacts
    if contacts is None:
        return
    if contacts.detected is not None:
        text = f"detected: {contacts.severity or 'of no known severity'}"
        yield Event(record.at(contacts.detected), EventKind.INCIDENT, _line(text), CONTACTS)
    for attempt in contacts.attempts:
        how = "delivered" if attempt.delivered else f"not delivered: {attempt.reason}"
        verdict = Verdict.PASSED if attempt.delivered else Verdict.FAILED
        text = _line(f"{attempt.alert} by {attempt.channel}: {how}")
        yield Event(record.at(attempt.at), EventKind.CONTACT, text, CONTACTS, verdict)
    words = [(EventKind.ACKNOWLEDGEMENT, "acknowledged", one) for one in contacts.acknowledgements]
    words += [(EventKind.DECISION, "decided", one) for one in contacts.decisions]
    words += [(EventKind.ASSESSMENT, "assessed", one) for one in contacts.assessments]
    for kind, verb, word in words:
        text = _line(f"{word.name} {verb}{f': {word.text}' if word.text else ''}")
        yield Event(record.at(word.at), kind, text, CONTACTS)


# What these steps contain is checks, which write the pages while the step still runs.
_OF_CHECKS = frozenset(
    {
        *(Step.REHEARSE, Step.VERIFY, Step.RESTART),
        *(Step.PASS_GATE, Step.CHECK_MIGRATED, Step.TRY_OLD_CODE),
    }
)
_OF_STEP = {JournalEvent.ENDED: Verdict.PASSED, JournalEvent.FAILED: Verdict.FAILED}


def _journal(record: IncidentRecord) -> Iterator[Event]:
    steps, others = steps_in(record.journal)
    yield from (_step(record, step) for step in steps)
    begun = set[str]()
    for entry in others:
        verdict = None
        match entry["event"]:
            case event if event in {JournalEvent.RUNS, JournalEvent.RAN}:
                continue  # the step sums up its programs
            case event if event == ROLLBACK_BEGAN:
                what = wanted(str(entry["kind"]), tuple(entry["names"]), str(entry["commit"]))
                head = f" from {str(entry['head'])[:_COMMIT]}" if entry.get("head") else ""
                text = f"{what}{head} {'resumes' if what in begun else 'begins'}"
                begun.add(what)
                yield Event(record.time_of(entry), EventKind.ROLLBACK, _line(text), JOURNAL)
                continue
            case JournalEvent.NOTED:
                text = str(entry["text"])
            case JournalEvent.TOOK_OVER:
                text = f"the lock was taken over from {entry.get('user')} on {entry.get('host')}"
            case event if event == BEGAN:
                text = f"rehearsal of {entry['migration']} began"
            case event if event == ENDED:
                text = f"rehearsal ended: migrated {entry['migrated']}, rolled back {entry['rolled_back']}"
                verdict = Verdict(entry["rolled_back"])
            case event:
                text = ": ".join(filter(None, (str(event), shortened(first_line(entry), _LONGEST))))
        yield Event(record.time_of(entry), EventKind.NOTE, _line(text), JOURNAL, verdict)


def _step(record: IncidentRecord, step: RecordedStep) -> Event:
    end, known = step.end, step.id.step if step.id else None
    deadline = step.began.get("deadline_seconds")
    text = "no end is recorded" if end is None else shortened(first_line(end), _LONGEST)
    verdict: Verdict | None = Verdict.BROKEN if end is None else _OF_STEP[end["event"]]
    if end is None and known in _OF_CHECKS:
        text, verdict = "not ended when this was written", None
    return Event(
        at=record.time_of(step.began),
        kind=EventKind.DEPLOYMENT if known is Step.DEPLOY else EventKind.ACTION,
        text=_line(": ".join(filter(None, (step.name, text)))),
        source=JOURNAL,
        step=known,
        verdict=verdict,
        seconds=None if end is None else float(end["seconds"]),
        deadline=None if deadline is None else float(deadline),
    )


def _rollbacks(record: IncidentRecord) -> Iterator[Event]:
    if (rollback := record.rollback) is not None:
        what = wanted(rollback.kind, rollback.names, rollback.commit)
        yield Event(
            at=record.at(rollback.started),
            kind=EventKind.ROLLBACK,
            text=_line(f"{what}: {rollback.verdict}"),
            source=ROLLBACK,
            verdict=rollback.verdict,
            seconds=rollback.finished.seconds_since(rollback.started),
            deadline=record.limit("rollback"),
        )
    if (unfinished := record.unfinished) is not None:
        text = "the rollback has not succeeded"
        yield Event(record.at(unfinished.started), EventKind.ROLLBACK, text, UNFINISHED, Verdict.BROKEN)
    if (superseded := record.superseded) is not None:
        text = f"incident {superseded.by} has done what the rollback had to"
        yield Event(record.at(superseded.started), EventKind.ROLLBACK, _line(text), SUPERSEDED)


def wanted(kind: str, names: Sequence[str], commit: str) -> str:
    """Return a rollback's name in words.

    >>> wanted("service", ["api"], "0123456789abcdef")
    'service rollback of api to 0123456789ab'
    """
    of = f" of {', '.join(names)}" if names else ""
    return f"{kind} rollback{of} to {commit[:_COMMIT]}"


def _phases(record: IncidentRecord) -> Iterator[Event]:
    for run in record.runs:
        for name, planned in run.plan.items():
            if run.facts is not None:
                yield _phase(record, run, run.facts, name, planned)


def _phase(record: IncidentRecord, run: RecordedRun, facts: RunFacts, name: str, planned: Planned) -> Event:
    verdict = stage_verdict(planned, dict(run.results), None)
    results = [run.results[check] for check in planned.checks if check in run.results]
    ran = [one for one in results if one.verdict is not Verdict.BLOCKED] or results
    begins = [record.at(one.finished) - timedelta(seconds=one.seconds) for one in ran]
    start = min(begins, default=record.at(facts.started))
    window = getattr(run.windows, name, None)
    deadline = None
    if window is not None:
        # Of a phase that began after its window, nothing is left.
        due = record.at(facts.zero) + timedelta(seconds=window.end)
        deadline = max(0.0, (due - start).total_seconds())
    missing = len(planned.checks) - len(results)
    partial = f", in part only ({planned.partial})" if planned.partial else ""
    return Event(
        at=start,
        kind=EventKind.PHASE,
        text=_line(f"{TITLES.get(name, name)}, run {run.number}: {counted(verdict, missing)}{partial}"),
        source=f"{LEDGER}/{run.number:04d}",
        verdict=verdict.verdict,
        seconds=verdict.seconds,
        deadline=deadline,
    )


def counted(verdict: PhaseVerdict, missing: int = 0) -> str:
    """Return the counts of results in words; `missing` of the broken checks never reported."""
    counts = {
        "passed": verdict.checks.passed,
        "failed": verdict.checks.failed,
        "broken": verdict.checks.broken - missing,
        "never reported": missing,
        "blocked": verdict.checks.blocked,
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no checks"


def _reopenings(record: IncidentRecord) -> Iterator[Event]:
    for entry in record.reopenings:
        text = f"{entry['name']} reopened it for the fix {str(entry['fix'])[:_COMMIT]}: {entry['root_cause']}"
        yield Event(record.time_of(entry), EventKind.REOPENING, _line(text), REOPENING)


_SOURCES = {
    INCIDENT: _incident,
    SAMPLES: _samples,
    RESPONSE: _response,
    CONTACTS: _contacts,
    JOURNAL: _journal,
    "records of rollbacks": _rollbacks,
    LEDGER: _phases,
    REOPENING: _reopenings,
}


def _line(text: object) -> str:
    """Return `text` on one line."""
    return " ".join(str(text).split())
