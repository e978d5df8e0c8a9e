"""The contact flow as a clock: done, due and overdue steps, from the record and the time alone.

The same record and the same moment give the same answer, so a process that resumes after a kill repeats no
alert whose delivery is recorded. An alert that was being sent at that moment is sent again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretStr

from rollproof.profile.channels import Channel, described
from rollproof.profile.contacts import LONGEST_WAIT_SECONDS, Contacts
from rollproof.profile.profile import Target
from rollproof.system.clock import Moment
from rollproof.team.contact_record import Alert, Attempt, ContactRecord, Word

_MINUTE = 60.0


class ContactState(StrEnum):
    """The state of a step in the flow."""

    DONE = "done"
    WAITING = "not yet due"
    DUE = "due"
    OVERDUE = "OVERDUE"
    NOT_DELIVERED = "NOT DELIVERED"
    NOT_NEEDED = "not needed"


@dataclass(frozen=True, slots=True)
class ContactStep:
    """One step: `begins` and `limit` are seconds after T+0, `at` is the time when it was done, `text` how."""

    name: str
    state: ContactState
    begins: float
    limit: float
    at: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """An alert that is due now, the channels to try, and the reason."""

    alert: Alert
    channels: tuple[Channel, ...]
    because: str


@dataclass(frozen=True, slots=True)
class Flow:
    """The state of the flow `elapsed` seconds after T+0.

    `due` are the alerts to send now, in that order. After `wait_seconds` the next one becomes due by itself,
    or never if it is None; it is `retrying` while a channel has attempts left. The flow is `over` once the
    post-mortem was called, or could not be called. `undelivered` are the last attempts of alerts that are
    still needed and have reached nobody.
    """

    elapsed: float
    steps: tuple[ContactStep, ...]
    due: tuple[Due, ...]
    wait_seconds: float | None
    retrying: bool
    over: bool
    undelivered: tuple[Attempt, ...]

    @property
    def overdue(self) -> tuple[ContactStep, ...]:
        """The steps past their limit."""
        return tuple(step for step in self.steps if step.state is ContactState.OVERDUE)


class _Sent:
    """The attempts of one alert, by its channels' fingerprints."""

    def __init__(self, contacts: Contacts, attempts: Sequence[Attempt]) -> None:
        self._contacts = contacts
        self.of = {
            one.fingerprint: [a for a in attempts if a.fingerprint == one.fingerprint] for one in attempts
        }
        self.reached = next((attempt for attempt in attempts if attempt.delivered), None)
        self.latest = [several[-1] for several in self.of.values()]
        self.retrying = any(self._left(several) for several in self.of.values())
        self.failed = bool(attempts) and self.reached is None and not self.retrying

    def _left(self, attempts: Sequence[Attempt]) -> bool:
        return not attempts[-1].delivered and len(attempts) < self._contacts.attempts

    def wait(self, channel: Channel) -> tuple[Moment, float] | None:
        """Return when the last attempt failed, and the seconds until the next one; None if none is needed."""
        attempts = self.of[channel.fingerprint]
        if self._left(attempts):
            seconds = self._contacts.retry_seconds * 2.0 ** (len(attempts) - 1)
            return attempts[-1].at, min(seconds, LONGEST_WAIT_SECONDS)
        if attempts[-1].delivered or self.reached is not None:
            return None
        return attempts[-1].at, self._contacts.again_minutes * _MINUTE

    @property
    def reasons(self) -> str:
        """The reasons why it was not delivered, channel by channel."""
        return "; ".join(f"{one.channel}: {one.reason}" for one in self.latest if one.reason)


@dataclass(frozen=True, slots=True)
class _Clock:
    """One reading of the flow, `elapsed` seconds after `zero`."""

    contacts: Contacts
    channels: Mapping[Alert, Sequence[Channel]]
    record: ContactRecord
    zero: Moment
    elapsed: float
    sent: Mapping[Alert, _Sent]

    def passed(self, minutes: float) -> bool:
        """Return whether `minutes` were over before the incident was closed, if it was."""
        until = self.record.closed.seconds_since(self.zero) if self.record.closed else self.elapsed
        return until >= minutes * _MINUTE

    def tries(self) -> Iterator[tuple[Alert, Channel, float]]:
        """Yield each channel of an alert that is wanted, and the seconds after T+0 of its next attempt."""
        for alert, sent in self.sent.items():
            for channel in self.channels[alert] if self.wanted(alert) else ():
                if channel.fingerprint not in sent.of:
                    if sent.reached is None:
                        yield alert, channel, 0.0
                elif wait := sent.wait(channel):
                    yield alert, channel, wait[0].seconds_since(self.zero) + wait[1]

    def wanted(self, alert: Alert) -> bool:
        """Return whether the alert's time has come, and its reason still holds."""
        minutes, record = self.contacts.minutes, self.record
        if record.closed is not None:
            return alert is Alert.POST_MORTEM
        unreached = not record.acknowledgements and self.sent[Alert.ON_CALL].failed
        late = unreached or self._unacknowledged or self._undecided
        return {
            Alert.ON_CALL: self.passed(minutes.on_call) and not record.acknowledgements,
            # From then on the tech lead's own update includes it.
            Alert.ESCALATION: late and not self.passed(minutes.tech_lead),
            Alert.TECH_LEAD: self.passed(minutes.tech_lead),
            Alert.UNASSESSED: self._unassessed and not self.passed(minutes.post_mortem),
            Alert.POST_MORTEM: self.passed(minutes.post_mortem),
        }[alert]

    @property
    def _unacknowledged(self) -> bool:
        return self.passed(self.contacts.minutes.acknowledge) and not self.record.acknowledgements

    @property
    def _undecided(self) -> bool:
        return self.passed(self.contacts.minutes.decision) and not self.record.decisions

    @property
    def _unassessed(self) -> bool:
        return self.passed(self.contacts.minutes.assessment) and not self.record.assessments

    def because(self, alert: Alert) -> str:
        """Return the reason for an alert, in words."""
        if alert is Alert.ON_CALL:
            return "you are on call"
        own = ["status update"] if alert is Alert.TECH_LEAD else []
        if alert is Alert.POST_MORTEM:
            own = ["the incident is closed" if self.record.closed else "its time has come"]
        return "; ".join([*own, *self._late()])

    def _late(self) -> Iterator[str]:
        """Yield the overdue steps, in words."""
        minutes, on_call = self.contacts.minutes, self.sent[Alert.ON_CALL]
        if on_call.failed and not self.record.acknowledgements:
            yield f"no channel of the engineer on call took the alert ({on_call.reasons})"
        if self._unacknowledged:
            yield f"nobody has acknowledged within {minutes.acknowledge:g} minutes"
        if self._undecided:
            yield f"nothing is decided after {minutes.decision:g} minutes"
        if self._unassessed:
            yield f"the assessment is not complete after {minutes.assessment:g} minutes"

    def steps(self) -> Iterator[ContactStep]:
        """Yield the six steps."""
        minutes, record = self.contacts.minutes, self.record
        acknowledged = record.acknowledgements[:1]
        yield self._alerting("on-call engineer alerted", Alert.ON_CALL, minutes.on_call, acknowledged)
        yield self._said("acknowledged", minutes.on_call, minutes.acknowledge, acknowledged)
        yield self._said("decided", minutes.on_call, minutes.decision, record.decisions)
        yield self._alerting("tech lead alerted", Alert.TECH_LEAD, minutes.tech_lead)
        yield self._said("assessment complete", minutes.decision, minutes.assessment, record.assessments)
        yield self._alerting("post-mortem called", Alert.POST_MORTEM, minutes.post_mortem)

    def _alerting(self, name: str, alert: Alert, begins: float, known: Sequence[Word] = ()) -> ContactStep:
        sent, start = self.sent[alert], begins * _MINUTE
        limit = start + self.contacts.whole_seconds
        if sent.reached is not None:
            at = sent.reached.at.seconds_since(self.zero)
            return ContactStep(name, ContactState.DONE, start, limit, at, sent.reached.channel)
        if known:
            return ContactStep(
                name, ContactState.NOT_NEEDED, start, limit, text=f"{known[0].name} knew by another way"
            )
        if sent.failed:
            return ContactStep(name, ContactState.NOT_DELIVERED, start, limit, text=sent.reasons)
        if alert is Alert.POST_MORTEM and self.record.closed:
            return ContactStep(name, ContactState.DUE, start, limit, text="the incident is closed")
        return ContactStep(name, self._state(start, limit), start, limit)

    def _said(self, name: str, begins: float, by: float, words: Sequence[Word]) -> ContactStep:
        """Return a step completed by a person's word: the first word's time, and the newest word."""
        start, limit = begins * _MINUTE, by * _MINUTE
        if not words:
            return ContactStep(name, self._state(start, limit), start, limit)
        at, word = words[0].at.seconds_since(self.zero), words[-1]
        text = f"{word.text}, by {word.name}" if word.text else f"by {word.name}"
        late = f", {at - limit:.0f} s late" if at > limit else ""
        return ContactStep(name, ContactState.DONE, start, limit, at, f"{text}{late}")

    def _state(self, start: float, limit: float) -> ContactState:
        if self.passed(limit / _MINUTE):
            return ContactState.OVERDUE
        if self.record.closed is not None:
            return ContactState.NOT_NEEDED
        return ContactState.DUE if self.passed(start / _MINUTE) else ContactState.WAITING


def flow_of(
    contacts: Contacts, channels: Mapping[Alert, Sequence[Channel]], record: ContactRecord, now: Moment
) -> Flow:
    """Return the state of an incident's flow at `now`; `channels` has each alert's channels.

    Raises:
        ValueError: the clock has not begun.
    """
    if (zero := record.detected) is None:
        raise ValueError("the clock has not begun")
    # After a reboot the wall clock decides: recorded events have happened, even if that clock differs.
    last = record.last.seconds_since(zero) if record.last else 0.0
    elapsed = max(0.0, now.seconds_since(zero), last)
    sent = {alert: _Sent(contacts, [one for one in record.attempts if one.alert is alert]) for alert in Alert}
    clock = _Clock(contacts, channels, record, zero, elapsed, sent)
    tries = list(clock.tries())
    ready = {
        alert: [channel for one, channel, at in tries if one is alert and at <= elapsed] for alert in Alert
    }
    # Channels that failed before come last: they delay nobody else.
    due = sorted(
        (alert for alert in Alert if ready[alert]),
        key=lambda one: (
            sent[one].failed and all(channel.fingerprint in sent[one].of for channel in ready[one])
        ),
    )
    times = [*(at for *_, at in tries), *(minutes * _MINUTE for _, minutes in contacts.minutes)]
    wanted = [alert for alert in Alert if clock.wanted(alert)]
    post_mortem = sent[Alert.POST_MORTEM]
    return Flow(
        elapsed=elapsed,
        steps=tuple(clock.steps()),
        due=tuple(Due(alert, tuple(ready[alert]), clock.because(alert)) for alert in due),
        wait_seconds=0.0 if due else min((at - elapsed for at in times if at > elapsed), default=None),
        retrying=any(sent[alert].retrying and channels[alert] for alert in wanted),
        over=bool(post_mortem.of) and not post_mortem.retrying,
        undelivered=tuple(one for alert in wanted if sent[alert].failed for one in sent[alert].latest),
    )


@dataclass(frozen=True, slots=True)
class ContactChannels:
    """Each alert's channels, without repetition, and each channel's URL by fingerprint."""

    of: Mapping[Alert, tuple[Channel, ...]]
    urls: Mapping[str, SecretStr]


def contact_channels(target: Target, incident: str) -> ContactChannels:
    """Return the contact channels, fingerprinted for the record of `incident`."""
    contacts, record = target.contacts, f"{target.name} {incident}"
    on_call = described(contacts.on_call.channels, record, "on-call")
    tech_lead = described(contacts.tech_lead.channels, record, "tech lead")
    own = described(contacts.post_mortem, record, "post-mortem")
    both = _once((*on_call, *tech_lead))
    of = dict.fromkeys(Alert, _once(tech_lead))
    of |= {Alert.ON_CALL: _once(on_call), Alert.UNASSESSED: both, Alert.POST_MORTEM: _once(own) or both}
    every = zip((*on_call, *tech_lead, *own), contacts.urls, strict=True)
    return ContactChannels(of, {channel.fingerprint: url for channel, url in every})


def _once(channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    """Leave out a channel with the same URL as an earlier one."""
    return tuple({channel.fingerprint: channel for channel in reversed(channels)}.values())[::-1]
