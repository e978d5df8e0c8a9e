"""A load of real requests: users load the page, ask for health, and have their tokens verified."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

PAUSE_SECONDS = 0.1
DEADLINE_SECONDS = 5.0
# The application answers an invalid token with 500, as LAYRA does.
FAILING = "/api/v1/auth/verify-token"
ANSWERED = ("/", "/api/v1/health/check")


class Load:
    """About ten requests per second until its context ends; the share `failing` of them fails."""

    def __init__(self, url: str) -> None:
        """Prepare the load; no request is sent yet."""
        self.failing = 0.0
        self.asked = 0
        self._url = url
        self._ended = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send requests in the background."""
        thread = threading.Thread(target=self._run, name="load", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(2 * DEADLINE_SECONDS)

    def _run(self) -> None:
        due = 0.0
        with httpx2.Client(base_url=self._url, timeout=DEADLINE_SECONDS, trust_env=False) as user:
            while not self._ended.wait(PAUSE_SECONDS):
                self.asked += 1
                due += self.failing
                # Failures are spread evenly, so that the share holds even for a few requests.
                fails = due >= 1
                due -= fails
                path = FAILING if fails else ANSWERED[self.asked % len(ANSWERED)]
                headers = {"Authorization": "Bearer none"} if fails else {}
                try:
                    user.get(path, headers=headers)
                except httpx2.HTTPError:
                    # A user of a failing target tries again; only the proxy's log counts.
                    continue
