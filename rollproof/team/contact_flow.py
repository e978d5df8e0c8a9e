"""The contact flow: the contacts in their order, each with a deadline and message, by record and time alone.

The same record and the same moment give the same answer, so a process that resumes after a kill repeats no
alert whose delivery is recorded. An alert that was being sent at that moment is sent again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import SecretStr

from rollproof.errors import listed
from rollproof.home import COMMAND
from rollproof.incident.incident import Incident
from rollproof.incident.severity import Assessment, BandState
from rollproof.profile.contacts import Contacts, names_of
from rollproof.profile.profile import Target
from rollproof.system.clock import Moment, t_plus
from rollproof.system.command import Command
from rollproof.team.contact_record import Alert, Attempt, ContactRecord, Word

_ASSESS = "look at the monitoring dashboards, verify the severity, decide whether to roll back"
_TASKS = {
    Alert.ON_CALL: f"assess at once: {_ASSESS}",
    Alert.TECH_LEAD: f"escalate if needed; where nobody has taken it, take over: {_ASSESS}",
    Alert.UNASSESSED: "assess: root cause identified? fix developed? rollback successful?",
    Alert.POST_MORTEM: "post-mortem: document the incident, update procedures, plan the re-migration",
}
_SHOWN = 5  # findings of a severity


def message(
    target: Target, profile: Path, incident: Incident, record: ContactRecord, flow: Flow, due: Due
) -> tuple[str, str]:
    """Return the title and the text of a message, with its secrets still in it."""
    title = f"{due.alert.upper()}: {target.name}, incident {incident.id}"
    return title, "\n".join(_lines(target, profile, incident, record, flow, due))


def _lines(
    target: Target, profile: Path, incident: Incident, record: ContactRecord, flow: Flow, due: Due
) -> Iterator[str]:
    yield f"Target: {target.name}"
    yield f"Incident: {incident.id}"
    yield f"Severity: {record.severity}"
    if record.detected is not None:
        yield f"Detected: {record.detected.wall} (T+0); it is {t_plus(flow.elapsed)} now"
    yield f"Why you are told: {due.because}"
    yield f"To do: {_TASKS[due.alert]}"
    for what, words in (
        ("Acknowledged", record.acknowledgements),
        ("Decision", record.decisions),
        ("Assessment", record.assessments),
    ):
        said = words[-1] if words else None
        text = ", ".join(part for part in (said.text, f"by {said.name}") if part) if said else "none yet"
        yield f"{what}: {text}"
    if due.alert is Alert.POST_MORTEM:
        yield f"Record: {incident.folder}"
    elif due.alert is Alert.UNASSESSED:
        yield f"Then: {answer_command(profile, incident)} --assessment TEXT"
    else:
        yield f"Acknowledge: {answer_command(profile, incident)} --decision 'roll back'|investigate"


def answer_command(profile: Path, incident: Incident) -> Command:
    """Return the command by which a contact answers."""
    words = ("contacts", "answer", incident.id, f"--target={profile.resolve()}", "--as", "NAME")
    return Command((COMMAND, *words))


def clock_command(profile: Path, incident: Incident) -> Command:
    """Return the command that keeps the contact clock, or resumes it."""
    return Command((COMMAND, "contacts", "run", f"--incident={incident.id}", f"--target={profile.resolve()}"))


def assessment_text(assessment: Assessment) -> str:
    """Return an assessment's severity, in words."""
    found = [
        f"{finding.band}: {finding.text}"
        for state in (BandState.MET, BandState.LASTING)
        for finding in assessment.of(state)
    ]
    return f"{assessment.said}{f' ({listed(found, _SHOWN)})' if found else ''}"


ALERT_SECONDS = 60.0
"""An alert has to arrive within this time; one that no channel has taken is sent again after it."""
_MINUTE = 60.0
_REASONS = {
    Alert.ON_CALL: "you are on call",
    Alert.TECH_LEAD: "you are the tech lead",
    Alert.UNASSESSED: "somebody has to complete it",
    Alert.POST_MORTEM: "its time has come",
}


class ContactState(StrEnum):
    """The state of a step in the flow."""

    DONE = "done"
    OPEN = "open"
    OVERDUE = "OVERDUE"


@dataclass(frozen=True, slots=True)
class ContactStep:
    """One step: `limit` and `at`, when it was done, are seconds after T+0; `text` says how, or why not."""

    name: str
    state: ContactState
    limit: float
    at: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """An alert that is to be sent now, and the reason."""

    alert: Alert
    because: str


@dataclass(frozen=True, slots=True)
class Flow:
    """The state of the flow `elapsed` seconds after T+0.

    `due` are the alerts to send now, in that order. The flow is `over` once the post-mortem was called, or
    could not be called. `undelivered` are the attempts of alerts that are still needed and have reached
    nobody.
    """

    elapsed: float
    steps: tuple[ContactStep, ...]
    due: tuple[Due, ...]
    over: bool
    undelivered: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """The record of a flow, read `elapsed` seconds after `zero`."""

    contacts: Contacts
    record: ContactRecord
    zero: Moment
    elapsed: float

    def after(self, moment: Moment) -> float:
        return moment.seconds_since(self.zero)

    def passed(self, minutes: float) -> bool:
        """Return whether `minutes` were over before the incident was closed, if it was."""
        closed = self.record.closed
        return (self.elapsed if closed is None else self.after(closed)) >= minutes * _MINUTE

    def reached(self, alert: Alert) -> Attempt | None:
        return next((one for one in self.record.attempts_of(alert) if one.delivered), None)

    def failed(self, alert: Alert) -> str:
        """Return why an alert that was sent has reached nobody, channel by channel; "" if it has."""
        latest = {one.channel: one.reason for one in self.record.attempts_of(alert)}
        return "" if self.reached(alert) else "; ".join(f"{name}: {why}" for name, why in latest.items())

    def needed(self, alert: Alert) -> bool:
        """Return whether the alert's time has come, and nobody has taken it yet."""
        minutes, record = self.contacts.minutes, self.record
        if self.reached(alert) is not None:
            return False
        if record.closed is not None:
            return alert is Alert.POST_MORTEM
        return {
            Alert.ON_CALL: self.passed(minutes.on_call) and not record.acknowledgements,
            Alert.TECH_LEAD: self.passed(minutes.tech_lead) or any(self.late()),
            Alert.UNASSESSED: self.passed(minutes.assessment) and not record.assessments,
            Alert.POST_MORTEM: self.passed(minutes.post_mortem),
        }[alert]

    def due(self) -> list[Due]:
        """Return the alerts to send now: first those that were never sent, as others may fail again."""
        tried = {alert: self.record.attempts_of(alert) for alert in Alert if self.needed(alert)}
        ready = [
            alert
            for alert, attempts in tried.items()
            if not attempts or self.after(attempts[-1].at) + ALERT_SECONDS <= self.elapsed
        ]
        reasons = _REASONS if self.record.closed is None else dict.fromkeys(Alert, "the incident is closed")
        return [
            Due(alert, "; ".join([reasons[alert], *self.late()]))
            for alert in sorted(ready, key=lambda one: bool(tried[one]))
        ]

    def late(self) -> Iterator[str]:
        """Yield the overdue steps, in words."""
        minutes, record = self.contacts.minutes, self.record
        if not record.acknowledgements and (why := self.failed(Alert.ON_CALL)):
            yield f"no channel of the engineer on call took the alert ({why})"
        if not record.acknowledgements and self.passed(minutes.acknowledge):
            yield f"nobody has acknowledged within {minutes.acknowledge:g} minutes"
        if not record.decisions and self.passed(minutes.decision):
            yield f"nothing is decided after {minutes.decision:g} minutes"
        if not record.assessments and self.passed(minutes.assessment):
            yield f"the assessment is not complete after {minutes.assessment:g} minutes"

    def steps(self) -> Iterator[ContactStep]:
        """Yield the six steps."""
        minutes, record = self.contacts.minutes, self.record
        yield self._alerted("on-call engineer alerted", Alert.ON_CALL, minutes.on_call)
        yield self._said("acknowledged", minutes.acknowledge, record.acknowledgements[:1])
        yield self._said("decided", minutes.decision, record.decisions)
        yield self._alerted("tech lead alerted", Alert.TECH_LEAD, minutes.tech_lead)
        yield self._said("assessment complete", minutes.assessment, record.assessments)
        yield self._alerted("post-mortem called", Alert.POST_MORTEM, minutes.post_mortem)

    def _alerted(self, name: str, alert: Alert, begins: float) -> ContactStep:
        reached, failed = self.reached(alert), self.failed(alert)
        text = reached.channel if reached else failed and f"NOT DELIVERED: {failed}"
        done = None if reached is None else reached.at
        if alert is Alert.ON_CALL and done is None and self.record.acknowledgements:
            done, text = self.record.acknowledgements[0].at, "acknowledged by somebody who knew another way"
        return self._step(name, begins + ALERT_SECONDS / _MINUTE, done, text)

    def _said(self, name: str, by: float, words: Sequence[Word]) -> ContactStep:
        """Return a step completed by a person's word: the first word's time, and the newest word."""
        text = ", ".join(filter(None, (words[-1].text, f"by {words[-1].name}"))) if words else ""
        return self._step(name, by, words[0].at if words else None, text)

    def _step(self, name: str, by: float, done: Moment | None, text: str) -> ContactStep:
        if done is not None:
            return ContactStep(name, ContactState.DONE, by * _MINUTE, self.after(done), text)
        state = ContactState.OVERDUE if self.passed(by) else ContactState.OPEN
        return ContactStep(name, state, by * _MINUTE, text=text)


def flow_of(contacts: Contacts, record: ContactRecord, now: Moment) -> Flow:
    """Return the state of an incident's flow at `now`.

    Raises:
        ValueError: the clock has not begun.
    """
    if (zero := record.detected) is None:
        raise ValueError("the clock has not begun")
    # After a reboot the wall clock decides: recorded events have happened, even if that clock differs.
    last = record.last.seconds_since(zero) if record.last else 0.0
    reading = _Reading(contacts, record, zero, max(0.0, now.seconds_since(zero), last))
    lacking = [alert for alert in Alert if reading.needed(alert)]
    return Flow(
        elapsed=reading.elapsed,
        steps=tuple(reading.steps()),
        due=tuple(reading.due()),
        over=bool(record.attempts_of(Alert.POST_MORTEM)),
        undelivered=tuple(one for alert in lacking for one in record.attempts_of(alert)),
    )


def contact_channels(target: Target) -> Mapping[Alert, Mapping[str, SecretStr]]:
    """Return the URLs of each alert's channels, by their names."""
    contacts = target.contacts

    def of(whose: str, urls: Sequence[SecretStr]) -> dict[str, SecretStr]:
        return dict(zip(names_of(urls, whose), urls, strict=True))

    on_call = of("on-call", contacts.on_call.channels)
    tech_lead = of("tech lead", contacts.tech_lead.channels)
    both = {**on_call, **tech_lead}
    own = {Alert.ON_CALL: on_call, Alert.TECH_LEAD: tech_lead, Alert.UNASSESSED: both}
    return {**own, Alert.POST_MORTEM: of("post-mortem", contacts.post_mortem) or both}
