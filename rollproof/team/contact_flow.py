"""The contact flow as a clock: done, due and overdue steps, from the record and the time alone.

The same record and the same moment give the same answer, so a process that resumes after a kill repeats no
delivered alert. Only an alert that was begun, with an unknown delivery, is sent again, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretStr

from rollproof.profile.channels import Channel, described
from rollproof.profile.contacts import Contacts
from rollproof.profile.profile import Target
from rollproof.system.clock import Moment
from rollproof.team.contact_record import ALERTED, ALERTING, NOT_ALERTED, Alert, Attempt, ContactRecord, Word

_MINUTE = 60.0


class State(StrEnum):
    """The state of a step in the flow."""

    DONE = "done"
    WAITING = "not yet due"
    DUE = "due"
    OVERDUE = "OVERDUE"
    NOT_DELIVERED = "NOT DELIVERED"
    NOT_NEEDED = "not needed"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `begins` and `limit` are seconds after T+0, `at` is the time when it was done, `text` how."""

    name: str
    state: State
    begins: float
    limit: float
    at: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """An alert that is due now, the channels that it has not reached, and the reason.

    It is `repeated` if it may have arrived before.
    """

    alert: Alert
    channels: tuple[Channel, ...]
    because: str
    repeated: bool


@dataclass(frozen=True, slots=True)
class Flow:
    """The state of the flow `elapsed` seconds after T+0.

    `due` are the alerts to send now, in that order. After `wait_seconds` the next one becomes due by itself,
    or never if it is None. The flow is `over` once the post-mortem was called, or could not be called.
    `undelivered` are the last attempts of alerts that are still needed and have reached nobody.
    """

    elapsed: float
    steps: tuple[Step, ...]
    due: tuple[Due, ...]
    wait_seconds: float | None
    over: bool
    undelivered: tuple[Attempt, ...]

    @property
    def overdue(self) -> tuple[Step, ...]:
        """The steps past their limit."""
        return tuple(step for step in self.steps if step.state is State.OVERDUE)


def flow_of(
    contacts: Contacts, channels: Mapping[Alert, Sequence[Channel]], record: ContactRecord, now: Moment
) -> Flow:
    """Return the state of an incident's flow at `now`; `channels` has each alert's channels.

    Raises:
        ValueError: the clock has not begun.
    """
    return _Clock(contacts, channels, record, now).flow()


class _Sent:
    """One alert's attempts: the last record of each channel, by its fingerprint."""

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        self.latest = {attempt.fingerprint: attempt for attempt in attempts}
        self.begun = attempts[0].at if attempts else None
        self.reached = next((attempt for attempt in attempts if attempt.event == ALERTED), None)
        # A kill leaves attempts without an end, or before the last one.
        self.cut_off = any(
            attempt.event == ALERTING or (attempt.event == NOT_ALERTED and attempt.left)
            for attempt in self.latest.values()
        )

    @property
    def failed(self) -> bool:
        """Whether every attempt was made, and nobody was reached."""
        return bool(self.latest) and self.reached is None and not self.cut_off

    def tried(self, channels: Sequence[Channel]) -> bool:
        """Return whether all of `channels` were tried without success."""
        return self.failed and all(channel.fingerprint in self.latest for channel in channels)

    @property
    def reasons(self) -> str:
        """The reasons why it was not delivered, channel by channel."""
        return "; ".join(f"{one.channel}: {one.reason}" for one in self.latest.values() if one.reason)

    def pending(self, channels: Sequence[Channel], ready: Callable[[Moment], bool]) -> tuple[Channel, ...]:
        """Return the channels to alert now; `ready` tells whether a failure is long enough ago."""
        return tuple(one for one in channels if self._pending(one, ready))

    def _pending(self, channel: Channel, ready: Callable[[Moment], bool]) -> bool:
        last = self.latest.get(channel.fingerprint)
        if last is None:
            return self.reached is None
        if last.event == ALERTED:
            return False
        if last.event == ALERTING or last.left:
            return True
        return self.reached is None and ready(last.at)

    def repeated(self, channels: Sequence[Channel]) -> bool:
        """Return whether one of `channels` may have been reached without a record of it."""
        events = {one.event for key, one in self.latest.items() if key in {c.fingerprint for c in channels}}
        return ALERTING in events


class _Clock:
    """One reading of the flow."""

    def __init__(
        self,
        contacts: Contacts,
        channels: Mapping[Alert, Sequence[Channel]],
        record: ContactRecord,
        now: Moment,
    ) -> None:
        if record.detected is None:
            raise ValueError("the clock has not begun")
        self._zero = record.detected
        self._contacts = contacts
        self._minutes = contacts.minutes
        self._channels = channels
        self._record = record
        self._again = contacts.again_minutes * _MINUTE
        # After a reboot the wall clock decides: recorded events have happened, even if that clock differs.
        last = self._after(record.last) if record.last else 0.0
        self._elapsed = max(0.0, self._after(now), last)
        self._sent = {alert: _Sent([one for one in record.attempts if one.alert is alert]) for alert in Alert}

    def flow(self) -> Flow:
        """Return the flow at this reading."""
        post_mortem = self._sent[Alert.POST_MORTEM]
        due = tuple(self._due())
        return Flow(
            elapsed=self._elapsed,
            steps=tuple(self._steps()),
            due=due,
            wait_seconds=0.0 if due else self._wait(),
            over=bool(post_mortem.latest) and not post_mortem.cut_off,
            undelivered=tuple(
                attempt
                for alert, sent in self._sent.items()
                if sent.failed and self._wanted(alert)
                for attempt in sent.latest.values()
            ),
        )

    def _after(self, moment: Moment) -> float:
        return moment.seconds_since(self._zero)

    def _ready(self, failed: Moment) -> bool:
        """Return whether to try again now: not when that could make the flow's next step late."""
        until = self._elapsed + self._contacts.whole_seconds
        soon = any(self._elapsed < minutes * _MINUTE < until for _, minutes in self._minutes)
        return not soon and self._elapsed >= self._after(failed) + self._again

    def _passed(self, minutes: float) -> bool:
        """Return whether `minutes` were over before the incident was closed, if it was."""
        until = self._after(self._record.closed) if self._record.closed else self._elapsed
        return until >= minutes * _MINUTE

    def _due(self) -> Iterator[Due]:
        pending = {
            alert: self._sent[alert].pending(self._channels[alert], self._ready)
            for alert in Alert
            if self._wanted(alert)
        }
        # Untried alerts first: a channel that fails repeatedly delays nobody else.
        for alert in sorted(pending, key=lambda one: self._sent[one].tried(pending[one])):
            sent, channels = self._sent[alert], pending[alert]
            if channels:
                repeated = self._record.anew or sent.repeated(channels)
                yield Due(alert, channels, self._because(alert), repeated)

    def _wanted(self, alert: Alert) -> bool:
        """Return whether the alert's time has come, and its reason still holds."""
        minutes, record = self._minutes, self._record
        if record.closed is not None:
            return alert is Alert.POST_MORTEM
        # From then on the tech lead's own update includes all of these.
        before_update = not self._passed(minutes.tech_lead)
        unreached = not record.acknowledgements and self._sent[Alert.ON_CALL].failed
        return {
            Alert.ON_CALL: self._passed(minutes.on_call) and not record.acknowledgements,
            Alert.UNREACHED: before_update and unreached,
            Alert.UNACKNOWLEDGED: before_update and self._unacknowledged,
            Alert.UNDECIDED: before_update and self._undecided and not self._undecided_was_said,
            Alert.TECH_LEAD: not before_update,
            Alert.UNASSESSED: self._unassessed and not self._passed(minutes.post_mortem),
            Alert.POST_MORTEM: self._passed(minutes.post_mortem),
        }[alert]

    @property
    def _unacknowledged(self) -> bool:
        return self._passed(self._minutes.acknowledge) and not self._record.acknowledgements

    @property
    def _undecided(self) -> bool:
        return self._passed(self._minutes.decision) and not self._record.decisions

    @property
    def _undecided_was_said(self) -> bool:
        """Whether the escalation of a missing acknowledgement covers, or covered, the missing decision."""
        begun = self._sent[Alert.UNACKNOWLEDGED].begun
        if begun is None:
            return self._unacknowledged
        return self._after(begun) >= self._minutes.decision * _MINUTE

    @property
    def _unassessed(self) -> bool:
        return self._passed(self._minutes.assessment) and not self._record.assessments

    def _because(self, alert: Alert) -> str:
        """Return the reason for an alert, in words."""
        late = "; ".join(self._late())
        match alert:
            case Alert.ON_CALL:
                return "you are on call"
            case Alert.TECH_LEAD:
                return f"status update{f'; {late}' if late else ''}"
            case Alert.POST_MORTEM:
                reason = "the incident is closed" if self._record.closed else "its time has come"
                return f"{reason}{f'; {late}' if late else ''}"
            case _:
                return late

    def _late(self) -> Iterator[str]:
        """Yield the overdue steps, in words."""
        minutes, on_call = self._minutes, self._sent[Alert.ON_CALL]
        if on_call.failed and not self._record.acknowledgements:
            yield f"no channel of the engineer on call took the alert ({on_call.reasons})"
        if self._unacknowledged:
            yield f"nobody has acknowledged within {minutes.acknowledge:g} minutes"
        if self._undecided:
            yield f"nothing is decided after {minutes.decision:g} minutes"
        if self._unassessed:
            yield f"the assessment is not complete after {minutes.assessment:g} minutes"

    def _steps(self) -> Iterator[Step]:
        minutes, record = self._minutes, self._record
        acknowledged = record.acknowledgements[:1]
        yield self._alerting("on-call engineer alerted", Alert.ON_CALL, minutes.on_call, acknowledged)
        yield self._said(
            "acknowledged", minutes.on_call, minutes.acknowledge, record.acknowledgements, newest=False
        )
        yield self._said("decided", minutes.on_call, minutes.decision, record.decisions)
        yield self._alerting("tech lead alerted", Alert.TECH_LEAD, minutes.tech_lead)
        yield self._said("assessment complete", minutes.decision, minutes.assessment, record.assessments)
        yield self._alerting("post-mortem called", Alert.POST_MORTEM, minutes.post_mortem)

    def _alerting(self, name: str, alert: Alert, begins: float, known: Sequence[Word] = ()) -> Step:
        sent, start = self._sent[alert], begins * _MINUTE
        limit = start + self._contacts.whole_seconds
        if sent.reached is not None:
            at, text = self._after(sent.reached.at), sent.reached.channel
            return Step(name, State.DONE, start, limit, at, text)
        if known:
            return Step(name, State.NOT_NEEDED, start, limit, text=f"{known[0].name} knew by another way")
        if sent.failed:
            return Step(name, State.NOT_DELIVERED, start, limit, text=sent.reasons)
        if alert is Alert.POST_MORTEM and self._record.closed:
            return Step(name, State.DUE, start, limit, text="the incident is closed")
        return Step(name, self._state(start, limit), start, limit)

    def _said(
        self, name: str, begins: float, by: float, words: Sequence[Word], *, newest: bool = True
    ) -> Step:
        """Return a step completed by a person's word: the first word's time, and the word that counts."""
        start, limit = begins * _MINUTE, by * _MINUTE
        if not words:
            return Step(name, self._state(start, limit), start, limit)
        at, word = self._after(words[0].at), words[-1] if newest else words[0]
        text = f"{word.text}, by {word.name}" if word.text else f"by {word.name}"
        late = f", {at - limit:.0f} s late" if at > limit else ""
        return Step(name, State.DONE, start, limit, at, f"{text}{late}")

    def _state(self, start: float, limit: float) -> State:
        if self._passed(limit / _MINUTE):
            return State.OVERDUE
        if self._record.closed is not None:
            return State.NOT_NEEDED
        return State.DUE if self._passed(start / _MINUTE) else State.WAITING

    def _wait(self) -> float | None:
        limits = [minutes * _MINUTE for _, minutes in self._minutes]
        tries = [
            self._after(attempt.at) + self._again
            for alert, sent in self._sent.items()
            if sent.failed and self._wanted(alert)
            for attempt in sent.latest.values()
        ]
        left = [at - self._elapsed for at in [*limits, *tries] if at > self._elapsed]
        return min(left, default=None)


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
