"""Real requests to the application, of which some fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2

PAUSE_SECONDS = 0.1
DEADLINE_SECONDS = 10.0
# The application answers an invalid token with 500, as LAYRA does.
FAILING = "/api/v1/auth/verify-token"
ANSWERED = ("/", "/api/v1/health/check")


@dataclass
class TrafficLoad:
    """About ten requests per second, of which the share `failing` fails; `asked` counts them."""

    url: str
    failing: float = 0.0
    asked: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send requests in the background."""
        ended = threading.Event()
        thread = threading.Thread(target=self._run, args=(ended,), name="load", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(2 * DEADLINE_SECONDS)

    def _run(self, ended: threading.Event) -> None:
        due = 0.0
        with httpx2.Client(base_url=self.url, timeout=DEADLINE_SECONDS, trust_env=False) as user:
            while not ended.wait(PAUSE_SECONDS):
                self.asked += 1
                # Failures are spread evenly, so that the share holds even for a few requests.
                due += self.failing
                fails = due >= 1
                due -= fails
                path = FAILING if fails else ANSWERED[self.asked % len(ANSWERED)]
                try:
                    user.get(path, headers={"Authorization": "Bearer none"} if fails else {})
                except httpx2.HTTPError:
                    # A user of a failing target tries again; only nginx's log counts.
                    continue
