"""One message to many channels at once, through Apprise; each has a deadline, and a reason when it fails."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import SecretStr

from rollback_actions.session.journal import Journal
from rollproof.profile.channels import sender_of
from rollproof.system.side_by_side import Question, wait_for

_MOST = 300  # characters of a reason
_logged: ContextVar[list[str]] = ContextVar("_logged")
"""What Apprise logs of the message that is sent in this thread: it gives its reasons nowhere else."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of the message to one channel; `reason` is empty if it was delivered."""

    delivered: bool
    reason: str
    seconds: float

    def __str__(self) -> str:
        how = "delivered" if self.delivered else f"NOT DELIVERED: {self.reason}"
        return f"{how} ({self.seconds:.1f} s)"


def deliver(
    urls: Sequence[SecretStr], title: str, body: str, seconds: float, redact: Callable[[str], str]
) -> list[Delivery]:
    """Send a message to every channel; return the results after at most `seconds`, in the channels' order.

    A channel that takes longer counts as not delivered, and its thread is left alone.
    """
    with _reasons():
        # Before the clock starts: a library with a plugin for each kind of channel takes a while to load.
        senders = [
            Question(f"channel {number}", partial(_sent, sender_of(url), title, body, seconds))
            for number, url in enumerate(urls)
        ]
        for sender in senders:
            sender.start()
        wait_for(senders, seconds)
        late = Delivery(delivered=False, reason=f"no answer within {seconds:g} s", seconds=seconds)
        done = [late if sender.waiting else sender.answer() for sender in senders]
    return [Delivery(one.delivered, redact(one.reason)[:_MOST], one.seconds) for one in done]


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
    _logged.set([])
    delivered = False
    try:
        if channel is None:
            reason = "a URL that Apprise does not understand"
        else:
            channel.socket_connect_timeout = channel.socket_read_timeout = seconds
            delivered = bool(channel.notify(title=title, body=body))
            reason = "; ".join(_logged.get()) or "refused without a reason"
    except BaseException as error:  # noqa: BLE001 - whatever a channel's plugin raises, it has not delivered
        reason = f"{type(error).__name__}: {error}"
    return Delivery(delivered, "" if delivered else reason, time.monotonic() - started)


class _Reasons(logging.Handler):
    """Keeps Apprise's log lines, each with the error that it was logged for, which it does not name."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        error = sys.exc_info()[1]
        # The libraries between wrap the system's own error several times, and quote the whole URL.
        while error is not None and (behind := error.__cause__ or error.__context__) is not None:
            error = behind
        cause = "" if error is None else f"{type(error).__name__}: {error}"
        _logged.get([]).append(" ".join(f"{record.getMessage()} {cause}".split()))


@contextmanager
def _reasons() -> Iterator[None]:
    """Take Apprise's log lines, and keep them from everybody else: they may name secrets."""
    logger, reasons = logging.getLogger("apprise"), _Reasons(logging.WARNING)
    before = logger.propagate, logger.level
    logger.addHandler(reasons)
    logger.propagate = False
    # Its debug lines are requests, with their headers.
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(reasons)
        logger.propagate = before[0]
        logger.setLevel(before[1])
