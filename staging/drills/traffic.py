"""Real requests to the application, and a proxy in front of it that delays chosen paths."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

PAUSE_SECONDS = 0.1
DEADLINE_SECONDS = 10.0
# The application answers an invalid token with 500, as LAYRA does.
FAILING = "/api/v1/auth/verify-token"
ANSWERED = ("/", "/api/v1/health/check")


@dataclass
class Load:
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


@dataclass
class SlowProxy:
    """The proxy's address, and the seconds that each path waits."""

    url: str
    seconds: dict[str, float] = field(default_factory=dict)


@contextmanager
def slow_proxy(upstream: str) -> Iterator[SlowProxy]:
    """Run a proxy in front of `upstream`."""
    # One client for all requests: to make a client takes longer than many requests.
    client = httpx2.Client(base_url=upstream, timeout=DEADLINE_SECONDS, trust_env=False)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Forward a request after its path's delay."""
            time.sleep(proxy.seconds.get(self.path, 0.0))
            agent = {"User-Agent": self.headers.get("User-Agent", "")}
            try:
                answer = client.get(self.path, headers=agent)
            except httpx2.HTTPError:
                self.send_error(502)
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("content-type", "text/plain"))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with client, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy = SlowProxy(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, name="slow proxy", daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join(DEADLINE_SECONDS)
