"""One message to many channels at once, through Apprise; each has a deadline, and a reason when it fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import SecretStr

from fixtures.system.side_by_side import Question, wait_for
from fixtures.target.channels import sender_of

_LOGGER = "apprise"
_MOST = 300  # characters of a reason


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of the message to one channel; `reason` is empty if it was delivered."""

    delivered: bool
    reason: str
    seconds: float


def deliver(
    urls: Sequence[SecretStr], title: str, body: str, seconds: float, redact: Callable[[str], str]
) -> list[Delivery]:
    """Send a message to every channel; return the results after at most `seconds`, in the channels' order.

    A channel that takes longer counts as not delivered, and its thread is left alone.
    """
    with _reasons() as reasons:
        # Before the clock starts: a library with a plugin for each kind of channel takes a while to load.
        senders = [
            Question(f"channel {number}", partial(_sent, sender_of(url), (title, body), seconds, reasons))
            for number, url in enumerate(urls)
        ]
        for sender in senders:
            sender.start()
        wait_for(senders, seconds)
        late = Delivery(delivered=False, reason=f"no answer within {seconds:g} s", seconds=seconds)
        done = [late if sender.waiting else sender.answer() for sender in senders]
    return [Delivery(one.delivered, redact(one.reason)[:_MOST], one.seconds) for one in done]


def _sent(channel: Any, message: tuple[str, str], seconds: float, reasons: _Reasons) -> Delivery:  # noqa: ANN401 - the library has no type for it
    """Send to one channel; return the result."""
    started = time.monotonic()
    # A thread that has ended leaves its id to the next one.
    reasons.forget(threading.get_ident())
    try:
        reason = _refusal(channel, message, seconds, reasons)
    except BaseException as error:  # noqa: BLE001 - whatever a channel's plugin raises, it has not delivered
        reason = f"{type(error).__name__}: {error}"
    return Delivery(not reason, reason, time.monotonic() - started)


def _refusal(channel: Any, message: tuple[str, str], seconds: float, reasons: _Reasons) -> str:  # noqa: ANN401 - the library has no type for it
    """Send; return the reason for a failure, or "" if the message was delivered."""
    if channel is None:
        return "a URL that Apprise does not understand"
    channel.socket_connect_timeout = channel.socket_read_timeout = seconds
    title, body = message
    if channel.notify(title=title, body=body):
        return ""
    return "; ".join(reasons.of(threading.get_ident())) or "refused without a reason"


class _Reasons(logging.Handler):
    """Keeps Apprise's log lines, by thread: Apprise gives its reasons nowhere else.

    Keyed by id, not by name: a thread of an earlier attempt may still hang, and give its reason later.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: dict[int | None, list[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self._said.setdefault(record.thread, []).append(" ".join(record.getMessage().split()))

    def forget(self, thread: int) -> None:
        """Drop the lines logged under a thread id so far."""
        self._said.pop(thread, None)

    def of(self, thread: int) -> list[str]:
        """Return the lines logged in the thread with id `thread`."""
        return self._said.get(thread, [])


@contextmanager
def _reasons() -> Iterator[_Reasons]:
    """Take Apprise's log lines, and keep them from everybody else: they may name secrets."""
    logger, reasons = logging.getLogger(_LOGGER), _Reasons()
    before = logger.propagate, logger.level
    logger.addHandler(reasons)
    logger.propagate = False
    # Its debug lines are requests, with their headers.
    logger.setLevel(logging.WARNING)
    try:
        yield reasons
    finally:
        logger.removeHandler(reasons)
        logger.propagate = before[0]
        logger.setLevel(before[1])
