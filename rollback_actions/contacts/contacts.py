"""Does what an incident's contact flow asks for: alerts people, and records the results.

The result of each attempt to reach a channel is on the disk directly after it. The record is locked only for
a moment, so that somebody can acknowledge while a channel hangs. One process at a time keeps the clock.
"""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from rollback_actions.session.session import Journal, sealed_journal
from rollproof.baseline.known_good import current_baseline
from rollproof.errors import ActionFailed, Problem, UsageProblem, did_you_mean, listed
from rollproof.git.repository import git
from rollproof.home import typed
from rollproof.incident.incident import Incident, find_or_create_change
from rollproof.incident.journal import DETECTED
from rollproof.profile.contacts import names_of, sender_of
from rollproof.profile.profile import Target
from rollproof.record_names import CONTACTS, ROLLBACK, UNFINISHED
from rollproof.system.clock import Moment, t_plus
from rollproof.system.holder import author, file_lock
from rollproof.system.side_by_side import Question, wait_for
from rollproof.team.change import (
    ACKNOWLEDGED,
    NOTIFIED,
    ChangeDocument,
    change_journal_path,
    read_change,
    read_document,
)
from rollproof.team.contact_flow import Due, Flow, answer_command, contact_channels, flow_of, message
from rollproof.team.contact_record import (
    ALERTED,
    ASSESSED,
    CLOSED,
    DECIDED,
    ContactDecision,
    ContactRecord,
    read_contacts,
)

_REFUSED = "Apprise did not deliver it; it says why: apprise -vv --body=test URL"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of the message to one channel; `reason` is empty if it was delivered."""

    delivered: bool
    reason: str
    seconds: float

    def __str__(self) -> str:
        how = "delivered" if self.delivered else f"NOT DELIVERED: {self.reason}"
        return f"{how} ({self.seconds:.1f} s)"


def deliver(channels: Mapping[str, SecretStr], title: str, body: str, seconds: float) -> dict[str, Delivery]:
    """Send a message to every channel, given by its name and URL; return the results by its name.

    A channel that takes longer than `seconds` counts as not delivered, and its thread is left alone.
    """
    # Before the clock starts: a library with a plugin for each kind of channel takes a while to load.
    senders = {
        name: Question(name, partial(_sent, sender_of(url), title, body, seconds))
        for name, url in channels.items()
    }
    for sender in senders.values():
        sender.start()
    wait_for(senders.values(), seconds)
    late = Delivery(delivered=False, reason=f"no answer within {seconds:g} s", seconds=seconds)
    return {name: late if sender.waiting else sender.answer() for name, sender in senders.items()}


def record(
    journal: Journal,
    event: str,
    done: Mapping[str, Delivery],
    message: str,
    **details: str | float | None,
) -> None:
    """Write what came of `message` in each channel."""
    for channel, delivery in done.items():
        journal.write(
            event,
            channel=channel,
            delivered=delivery.delivered,
            reason=delivery.reason,
            seconds=round(delivery.seconds, 3),
            message=message,
            **details,
        )


def _sent(channel: Any, title: str, body: str, seconds: float) -> Delivery:  # noqa: ANN401 - the library has no type for it
    """Send to one channel; return the result."""
    started = time.monotonic()
    delivered, reason = False, _REFUSED
    try:
        if channel is None:
            reason = "a URL that Apprise does not understand"
        else:
            channel.socket_connect_timeout = channel.socket_read_timeout = seconds
            delivered = bool(channel.notify(title=title, body=body))
    except BaseException as error:  # noqa: BLE001 - whatever a channel's plugin raises, it has not delivered
        # What it says may quote the URL, of which a part may be a token.
        reason = f"{type(error).__name__}: {_REFUSED}"
    return Delivery(delivered, "" if delivered else reason, time.monotonic() - started)


# Nobody gets its log lines: they may name secrets, and those for debugging are whole requests.
_LOGGER = logging.getLogger("apprise")
_LOGGER.addHandler(logging.NullHandler())
_LOGGER.setLevel(logging.WARNING)
_LOGGER.propagate = False


# Additions to the record by others are seen within the first time, signals within the second.
_POLL_SECONDS, _SLICE_SECONDS = 1.0, 0.2
_WAITS = (0.0, 1.0, 2.0)
"""Seconds before each attempt to deliver an alert by the channels that have not taken it."""


def contact_journal(
    target: Target, incident: Incident, say: Callable[[str], None]
) -> AbstractContextManager[Journal]:
    """Open the journal of the incident's contacts."""
    return sealed_journal(target, incident.folder / CONTACTS, "contacts", say)


def require_channels(channels: Sequence[SecretStr], whose: str, key: str) -> None:
    """Raise `UsageProblem` unless the profile has `channels`, under `key`."""
    if not channels:
        raise UsageProblem(
            what=f"channels of {whose}",
            expected="at least one",
            observed="none",
            source=f"{key} in the profile",
            hint='channels = [{file = "path"}] there; each file holds one Apprise URL',
        )


def require_contacts(target: Target) -> None:
    """Raise `UsageProblem` unless the profile has channels to the engineer on call and to the tech lead."""
    contacts = target.contacts
    require_channels(contacts.on_call.channels, "on call", "contacts.on_call.channels")
    require_channels(contacts.tech_lead.channels, "tech lead", "contacts.tech_lead.channels")


def require_begun(incident: Incident) -> ContactRecord:
    """Return the record of the incident's contacts."""
    record = read_contacts(incident.folder)
    if record.detected is None:
        raise UsageProblem(
            what=f"contact clock of {incident.id}",
            expected="one that has begun",
            observed="none",
            source=str(incident.folder / CONTACTS),
            hint=f"begin it: {typed(f'contacts run --incident {incident.id}')}",
        )
    return record


@dataclass
class ContactClock:
    """Keeps the contact flow of one incident.

    `stopped` tells whether the end was requested; a running delivery is finished first.
    """

    target: Target
    profile: Path
    incident: Incident
    say: Callable[[str], None]
    stopped: Callable[[], bool]

    def __post_init__(self) -> None:
        """Name the channels."""
        self._channels = contact_channels(self.target)
        self._redact = self.target.redactor().text

    def run(self, severity: str, *, once: bool) -> Flow:
        """Begin the clock unless it has begun; do what is due until the flow is over, or with `once`, now."""
        lock = self.incident.folder.with_name(f".{self.incident.id}.clock.lock")
        with file_lock(lock, f"keep the contact clock of {self.incident.id}"):
            self._begin(severity)
            if not read_contacts(self.incident.folder).acknowledgements:
                self.say(self._redact(f"to acknowledge: {answer_command(self.profile, self.incident)}"))
            return self._keep(once=once)

    def undelivered(self, flow: Flow) -> ActionFailed | None:
        """Return the error for alerts that no channel has taken, or None."""
        failed = [f"{one.alert}, channel {one.channel}: {one.reason}" for one in flow.undelivered]
        if not failed:
            return None
        return ActionFailed(
            what=f"alerts of incident {self.incident.id}",
            expected="one channel at least to take each",
            observed=self._redact("; ".join(dict.fromkeys(failed))),
            source=str(self.incident.folder / CONTACTS),
            hint=f"call them yourself, then: {answer_command(self.profile, self.incident)} --by 'a call'",
        )

    def _begin(self, severity: str) -> None:
        """Record that the incident was detected, unless it is recorded: this is T+0."""
        with self._journal() as journal:
            if read_contacts(self.incident.folder).detected is not None:
                return
            journal.write(
                DETECTED,
                target=self.target.name,
                incident=self.incident.id,
                severity=severity,
                minutes=self.target.contacts.minutes.model_dump(),
                **author(),
            )

    def _keep(self, *, once: bool) -> Flow:
        while True:
            self._observe()
            record = require_begun(self.incident)
            flow = flow_of(self.target.contacts, record, Moment.now())
            if self.stopped() or (not flow.due and (flow.over or once)):
                return flow
            if flow.due:
                self._send(flow, flow.due[0], record)
            else:
                self._sleep(_POLL_SECONDS)

    def _observe(self) -> None:
        """Record what the incident itself shows: a rollback has begun, or the incident is closed."""
        folder = self.incident.folder
        record = read_contacts(folder)
        rolling_back = (folder / UNFINISHED).exists() or (folder / ROLLBACK).exists()
        if rolling_back and not record.decisions:
            with self._journal() as journal:
                text, name = ContactDecision.ROLL_BACK, "the rollback in this incident"
                journal.write(DECIDED, name=name, text=text, **author())
        if self.incident.closed and record.closed is None:
            with self._journal() as journal:
                journal.write(CLOSED, **author())

    def _send(self, flow: Flow, due: Due, known: ContactRecord) -> None:
        """Send one alert to all its channels side by side, then again to those that failed; record each."""
        title, body = map(self._redact, message(self.target, self.profile, self.incident, known, flow, due))
        self.say(f"{t_plus(flow.elapsed)} {due.alert}: {self._redact(due.because)}")
        left = dict(self._channels[due.alert])
        for wait in _WAITS:
            self._sleep(wait)
            seconds = self.target.contacts.delivery_seconds
            done = deliver(left, title, body, seconds)
            with self._journal() as journal:
                details = {"alert": due.alert, "because": due.because, **author()}
                record(journal, ALERTED, done, f"{title}\n{body}", **details)
            for channel, delivery in done.items():
                self.say(self._redact(f"channel {channel}: {delivery}"))
            left = {channel: url for channel, url in left.items() if not done[channel].delivered}
            if not left or self.stopped():
                break

    def _journal(self) -> AbstractContextManager[Journal]:
        return contact_journal(self.target, self.incident, self.say)

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.stopped():
            time.sleep(min(left, _SLICE_SECONDS))


def alert_due(
    target: Target, profile: Path, incident: Incident, severity: str, say: Callable[[str], None]
) -> None:
    """Begin the contact clock of `incident` unless it has begun, and send the alerts that are due now."""
    require_contacts(target)
    clock = ContactClock(target, profile, incident, say, lambda: False)
    if (failed := clock.undelivered(clock.run(severity, once=True))) is not None:
        raise failed


def record_answer(
    target: Target,
    incident: Incident,
    name: str,
    decision: ContactDecision | None,
    assessment: str | None,
    by: str | None,
    say: Callable[[str], None],
) -> None:
    """Record that contact `name` has taken the incident, with what they decided and their assessment."""
    contacts = target.contacts
    names = (*contacts.on_call.names, *contacts.tech_lead.names) if contacts.on_call.names else ()
    keys = "contacts.on_call.names and contacts.tech_lead.names"
    require_name(name, names, what="contact", keys=keys, hint="name one of the contacts")
    with contact_journal(target, incident, say) as journal:
        require_begun(incident)
        for event, text in ((ACKNOWLEDGED, ""), (DECIDED, decision), (ASSESSED, assessment)):
            if text is not None:
                words = " ".join(text.split())
                journal.write(event, name=name, text=words, source=by, **author())


def require_name(name: str, names: Sequence[str], *, what: str, keys: str, hint: str) -> None:
    """Check that `name` is one of `names`, listed in the profile under `keys`; any name if it lists none."""
    if not name.strip() or (names and name not in names):
        raise UsageProblem(
            what=what,
            expected=f"one of {listed(names)}" if names else "a name",
            observed=repr(name[:80]),
            source=f"--as, against {keys} in the profile",
            hint=did_you_mean(name, names, hint),
        )


# A process that notifies the team keeps the journal locked while the channels answer.
_LONGER_SECONDS = 10.0


def notify(
    target: Target, profile: Path, migration: str, when: str | None, say: Callable[[str], None]
) -> dict[str, Delivery]:
    """Notify every channel of the migration to commit `migration`, a full id, and record the deliveries."""
    team = target.premigration.team
    require_channels(team.channels, "the team", "premigration.team.channels")
    document = read_document(target)
    redact = target.redactor().text
    title = f"Migration of {target.name} to {migration[:12]} is planned"
    body = redact(_message(target, profile, migration, document, when))
    channels = dict(zip(names_of(team.channels), team.channels, strict=True))
    with _change_journal(target, migration, say) as journal:
        deliveries = deliver(channels, redact(title), body, team.delivery_seconds)
        details = {"target": target.name, "migration": migration, "document": document.digest}
        record(journal, NOTIFIED, deliveries, body, **details, **author())
    return deliveries


def acknowledge(
    target: Target, migration: str, name: str, source: str | None, say: Callable[[str], None]
) -> None:
    """Record that `name` knows of the migration to commit `migration` and will be there.

    `source` is how `name` said so, such as "a call"; None if by this command.
    """
    on_call = target.premigration.team.on_call
    what, keys = "engineer who acknowledges", "premigration.team.on_call"
    require_name(name, on_call, what=what, keys=keys, hint="name somebody who is on call")
    with _change_journal(target, migration, say) as journal:
        notification = read_change(target, migration).latest
        if notification is None:
            raise UsageProblem(
                what=f"notification of the migration to {migration[:12]}",
                expected="one that was delivered",
                observed="none",
                source=str(journal.path),
                hint=f"notify the team first: {typed(f'notify {migration[:12]}')}",
            )
        journal.write(
            ACKNOWLEDGED,
            target=target.name,
            migration=migration,
            name=name,
            source=source,
            document=notification.document,
            **author(),
        )


def _change_journal(
    target: Target, migration: str, say: Callable[[str], None]
) -> AbstractContextManager[Journal]:
    """Open the journal of the change."""
    find_or_create_change(target.folders.incidents, target.name, migration)
    wait = target.premigration.team.delivery_seconds + _LONGER_SECONDS
    return sealed_journal(target, change_journal_path(target, migration), "change", say, wait)


def _message(
    target: Target, profile: Path, migration: str, document: ChangeDocument, when: str | None
) -> str:
    """Return the text of the notice to the team."""
    subject = git(target.application.repository, "log", "-1", "--format=%s", migration)
    try:
        baseline = current_baseline(target)
        known_good = f"{baseline.facts.commit} (baseline {baseline.id})"
    except Problem as problem:
        known_good = f"none yet: {problem.summary}"
    command = typed(shlex.join(["acknowledge", migration[:12], "--target", str(profile)]))
    return "\n".join(
        [
            f"Target: {target.name}",
            f"Migration: {migration} {subject}",
            f"Known good, to roll back to: {known_good}",
            f"When: {when or 'as soon as the gate passes'}",
            f"Sent: {Moment.now().wall}",
            f"Change document: {document.path} (SHA-256 {document.digest})",
            f"On call: {listed(target.premigration.team.on_call) or 'whoever acknowledges'}",
            f"Acknowledge: {command} --as NAME",
        ]
    )
