"""Users of the application during a rollback, and the answers they get."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import groupby

from rollproof.profile.profile import Target

SECONDS = 120.0
POLL_SECONDS = 0.03


@dataclass
class User:
    """Asks for the page and for the API, again and again, on a connection of its own each time."""

    target: Target
    answers: list[str] = field(default_factory=list)

    def ask(self, path: str) -> str:
        """Return what one request comes to: its status, and whether it says when to come again."""
        url = self.target.application.url
        with closing(http.client.HTTPConnection(str(url.host), url.port, timeout=SECONDS)) as connection:
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                body = answer.read()
            except OSError as error:
                return type(error).__name__
        later = answer.getheader("Retry-After") is not None
        kind = "JSON" if answer.getheader("Content-Type") == "application/json" and body else "page"
        return f"{answer.status}{', come again' if later else ''}, {kind}"

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask until the body has ended."""
        ended = threading.Event()

        def go_on() -> None:
            while not ended.wait(POLL_SECONDS):
                self.answers += [self.ask("/api/v1/health/check"), self.ask("/")]

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def told(self, kind: str) -> list[str]:
        """Return what was told, each answer once as long as it stayed the same."""
        return [answer for answer, _ in groupby(one for one in self.answers if one.endswith(kind))]
