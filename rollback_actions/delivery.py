"""One message to many channels at once, through Apprise; each has a deadline, and a reason when it fails."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

_LOGGER = "apprise"
_MOST = 300  # characters of a reason


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of the message to one channel; `reason` is empty when it was delivered."""

    delivered: bool
    reason: str
    seconds: float


def deliver(
    urls: Sequence[SecretStr], title: str, body: str, seconds: float, redact: Callable[[str], str]
) -> list[Delivery]:
    """Send a message to every channel and return, in their order, what became of it within `seconds`.

    A channel that takes longer counts as one that did not take it, and is left to itself.
    """
    with _reasons() as reasons:
        # Before the clock starts: a library with a plugin for each kind of channel takes a while to load.
        senders = [_Sender(_channel(url), (title, body), seconds, reasons) for url in urls]
        started = time.monotonic()
        for number, sender in enumerate(senders):
            # Not in the way of the program's end when it hangs.
            threading.Thread(target=sender.run, daemon=True, name=f"channel {number}").start()
        done = [sender.outcome(started + seconds) for sender in senders]
    return [Delivery(one.delivered, redact(one.reason)[:_MOST], one.seconds) for one in done]


def _channel(url: SecretStr) -> Any:  # noqa: ANN401 - the library has no type for it
    """Return what sends to a channel; None when Apprise does not understand its URL."""
    with warnings.catch_warnings():
        # Plugins of channels that are not ours import what is about to be deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        from apprise import Apprise, AppriseAsset  # noqa: PLC0415 - half a second, only a message is worth it

        # Whoever follows a redirect asks for a page instead of sending, and takes that page for a success:
        # a log-in, or the same path under https. A URL may say `redirect=yes` where its service is so.
        asset = AppriseAsset(http_redirects=False)
        return Apprise.instantiate(url.get_secret_value(), asset=asset, suppress_exceptions=True)


class _Sender:
    """Sends to one channel, in a thread of its own."""

    def __init__(self, channel: Any, message: tuple[str, str], seconds: float, reasons: _Reasons) -> None:  # noqa: ANN401 - the library has no type for it
        self._channel = channel
        self._message = message
        self._seconds = seconds
        self._reasons = reasons
        self._ended = threading.Event()
        self._delivery: Delivery | None = None

    def run(self) -> None:
        """Send, and keep what came of it."""
        started = time.monotonic()
        try:
            reason = self._sent()
        except Exception as error:  # noqa: BLE001 - whatever a channel's plugin raises, it has not delivered
            reason = f"{type(error).__name__}: {error}"
        self._delivery = Delivery(not reason, reason, time.monotonic() - started)
        self._ended.set()

    def outcome(self, until: float) -> Delivery:
        """Return what has come of it by then."""
        self._ended.wait(max(0.0, until - time.monotonic()))
        late = Delivery(
            delivered=False, reason=f"no answer within {self._seconds:g} s", seconds=self._seconds
        )
        return self._delivery or late

    def _sent(self) -> str:
        """Send; return why it was not delivered, "" when it was."""
        if self._channel is None:
            return "a URL that Apprise does not understand"
        self._channel.socket_connect_timeout = self._channel.socket_read_timeout = self._seconds
        title, body = self._message
        if self._channel.notify(title=title, body=body):
            return ""
        return "; ".join(self._reasons.of(threading.get_ident())) or "refused without a reason"


class _Reasons(logging.Handler):
    """Keeps what Apprise logs, by thread: it gives its reasons to nobody else.

    Not by a thread's name: one of an earlier attempt may hang still, and say then why it has failed.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: dict[int | None, list[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self._said.setdefault(record.thread, []).append(" ".join(record.getMessage().split()))

    def of(self, thread: int) -> list[str]:
        """Return what was said in the thread of that id."""
        return self._said.get(thread, [])


@contextmanager
def _reasons() -> Iterator[_Reasons]:
    """Take what Apprise logs, and let nobody else have it: it may name secrets."""
    logger, reasons = logging.getLogger(_LOGGER), _Reasons()
    before = logger.propagate, logger.level
    logger.addHandler(reasons)
    logger.propagate = False
    # Its details are requests, with their headers.
    logger.setLevel(logging.WARNING)
    try:
        yield reasons
    finally:
        logger.removeHandler(reasons)
        logger.propagate = before[0]
        logger.setLevel(before[1])
