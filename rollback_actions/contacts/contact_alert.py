"""One alert to the channels of a contact: attempt after attempt, each recorded before and after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from pydantic import SecretStr

from fixtures.system.holder import author
from fixtures.target.channels import Channel
from fixtures.target.contacts import Contacts
from fixtures.team.contact_flow import Due
from fixtures.team.contact_record import ALERTED, ALERTING, NOT_ALERTED
from rollback_actions.contacts.delivery import Delivery, deliver
from rollback_actions.session.journal import Journal


class Series:
    """The attempts of one alert: each channel is tried until it takes the message."""

    def __init__(
        self,
        contacts: Contacts,
        urls: Mapping[str, SecretStr],
        due: Due,
        message: tuple[str, str],
        journal: Callable[[], AbstractContextManager[Journal]],
        redact: Callable[[str], str],
        say: Callable[[str], None],
    ) -> None:
        """Attempt nothing yet. `urls` are by fingerprint, `message` is title and body, without secrets."""
        self._contacts = contacts
        self._urls = urls
        self._due = due
        self._title, self._body = message
        self._journal = journal
        self._redact = redact
        self._say = say
        self._failed: Mapping[Channel, Delivery] = {}
        self._pending: Sequence[Channel] = due.channels
        self._number = 0

    @property
    def reasons(self) -> list[str]:
        """Channels that have not taken the message, each with the reason of the last attempt."""
        return [f"channel {channel.name}: {one.reason}" for channel, one in self._failed.items()]

    def attempt(self) -> list[str]:
        """Send to every channel that has not taken the message yet; return `reasons`, empty when all have.

        Raises:
            Problem: the attempt could not be recorded.
        """
        self._number += 1
        body = self._body
        if self._number > 1:
            body += f"\nAttempt {self._number}: nobody confirmed that an earlier one had arrived"
        left = self._contacts.attempts - self._number
        details: dict[str, str | float] = {
            "alert": self._due.alert,
            "attempt": self._number,
            "left": left,
        }
        with self._journal() as journal:
            for channel in self._pending:
                journal.write(
                    ALERTING,
                    **details,
                    channel=channel.name,
                    fingerprint=channel.fingerprint,
                    because=self._due.because,
                    repeated=self._due.repeated,
                    message=f"{self._title}\n{body}",
                    **author("contacts"),
                )
        urls = [self._urls[channel.fingerprint] for channel in self._pending]
        deliveries = deliver(urls, self._title, body, self._contacts.delivery_seconds, self._redact)
        done = dict(zip(self._pending, deliveries, strict=True))
        with self._journal() as journal:
            for channel, delivery in done.items():
                journal.write(
                    ALERTED if delivery.delivered else NOT_ALERTED,
                    **details,
                    channel=channel.name,
                    fingerprint=channel.fingerprint,
                    reason=delivery.reason,
                    seconds=round(delivery.seconds, 3),
                )
        for channel, delivery in done.items():
            self._say(self._line(channel, delivery))
        self._failed = {channel: delivery for channel, delivery in done.items() if not delivery.delivered}
        self._pending = tuple(self._failed)
        return self.reasons

    def _line(self, channel: Channel, delivery: Delivery) -> str:
        how = "delivered" if delivery.delivered else f"NOT DELIVERED: {delivery.reason}"
        attempt = f"attempt {self._number} of {self._contacts.attempts}"
        return self._redact(f"channel {channel.name}: {how} ({attempt}, {delivery.seconds:.1f} s)")
