"""A slow proxy of the application: forwards requests, and delays chosen paths."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

DEADLINE_SECONDS = 10.0


@dataclass
class SlowProxy:
    """The proxy's address, and the seconds that each path waits."""

    url: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


@contextmanager
def slow_proxy(upstream: str) -> Iterator[SlowProxy]:
    """Run a proxy in front of `upstream`."""
    proxy = SlowProxy()
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

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="slow proxy", daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join(DEADLINE_SECONDS)
        client.close()
