"""One message to many channels at once, through Apprise; each has a deadline, and a reason when it fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import SecretStr

from rollback_actions.session.journal import Journal
from rollproof.profile.channels import sender_of
from rollproof.system.side_by_side import Question, wait_for

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
