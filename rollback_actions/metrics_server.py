"""Lets a Prometheus scrape metrics, in threads of its own: nobody waits for whoever scrapes."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import TCPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from fixtures.errors import UsageProblem

# How long a scraper may neither send nor take anything.
_SECONDS = 10.0
# Scrapers that are served at the same time; one more is turned away, not kept.
_MOST = 16

_Request = socket.socket | tuple[bytes, socket.socket]


class _Handler(WSGIRequestHandler):
    timeout = _SECONDS

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's own name
        """Log nothing: the terminal is the monitor's."""


class _Server(ThreadingWSGIServer):
    """A server whose threads are few, and end with the process whatever they wait for."""

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(_MOST)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind; the library's own asks a name server besides, which may take its time."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: _Request, client_address: Any) -> None:  # noqa: ANN401 - the library's
        """Serve it in a thread of its own, where there is one left."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: _Request, client_address: Any) -> None:  # noqa: ANN401 - as above
        """Serve it, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: _Request, client_address: Any) -> None:  # noqa: ANN401 - as above
        """Say nothing of a scraper that hangs or has gone: it is the scraper who misses something."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def scraped(collector: Collector, address: str, port: int) -> Iterator[None]:
    """Let `http://address:port/metrics` be scraped while the body runs.

    Raises:
        UsageProblem: the port is in use, or not for this user; the address is none of this machine.
    """
    registry = CollectorRegistry()
    registry.register(collector)

    class Server(_Server):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    try:
        server = make_server(address, port, make_wsgi_app(registry), Server, _Handler)
    except OSError as error:
        raise UsageProblem(
            what="port for the metrics of the monitor",
            expected="one that is free, on an address of this machine",
            observed=error.strerror or type(error).__name__,
            source=f"{address} port {port}",
            hint="name others: --prometheus-port and --prometheus-address; ss -ltnp says who has that one",
        ) from None
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(_SECONDS)
