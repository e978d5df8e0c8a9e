"""A load of real requests: users who load the page, ask for health, and have their tokens looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

PAUSE_SECONDS = 0.1
DEADLINE_SECONDS = 5.0
# The application answers a token that is none with 500, as LAYRA does.
FAILING = "/api/v1/auth/verify-token"
ANSWERED = ("/", "/api/v1/health/check")


class Load:
    """About ten requests a second, of which the share `failing` fails; ends with its context."""

    def __init__(self, url: str) -> None:
        """Ask nothing yet."""
        self.failing = 0.0
        self.asked = 0
        self._url = url
        self._ended = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask in the background."""
        thread = threading.Thread(target=self._run, name="load", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(2 * DEADLINE_SECONDS)

    def _run(self) -> None:
        due = 0.0
        with httpx.Client(base_url=self._url, timeout=DEADLINE_SECONDS, trust_env=False) as user:
            while not self._ended.wait(PAUSE_SECONDS):
                self.asked += 1
                due += self.failing
                # Spread evenly, so that a share of a few requests is that share.
                fails = due >= 1
                due -= fails
                path = FAILING if fails else ANSWERED[self.asked % len(ANSWERED)]
                headers = {"Authorization": "Bearer none"} if fails else {}
                try:
                    user.get(path, headers=headers)
                except httpx.HTTPError:
                    # A user of a target in trouble tries again; what the proxy logged is what counts.
                    continue
