"""An application that answers as a test tells it to, and what a client of it needs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pydantic import SecretStr

from rollproof.application.client import LoggedIn
from rollproof.profile.application_profile import Application

PASSWORD = "correct horse"  # noqa: S105 - what must not be seen
TOKEN = "battery.staple"  # noqa: S105
SESSION = LoggedIn("canary", SecretStr(TOKEN))

Handler = Callable[["Exchange"], None]


@dataclass
class Exchange:
    """One request at the stand-in, with the means to answer it."""

    handler: BaseHTTPRequestHandler
    path: str
    headers: dict[str, str]
    body: bytes
    application: StandIn

    def trickle(self, piece: Callable[[], None]) -> None:
        """Send a piece now and then, for as long as the client stays: nothing but its deadline ends that."""
        while not self.application.ended.wait(0.02):
            piece()

    def reply(self, status: int, body: object) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.start(status, {"Content-Length": str(len(content))})
        self.write(content)

    def start(self, status: int, headers: dict[str, str]) -> None:
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()

    def write(self, content: bytes) -> None:
        self.handler.wfile.write(content)
        self.handler.wfile.flush()

    def chunk(self, content: bytes) -> None:
        self.write(b"%x\r\n%s\r\n" % (len(content), content))

    def events(self, *events: object, ended: bool = True) -> None:
        self.start(200, {"Transfer-Encoding": "chunked"})
        for event in events:
            self.chunk(b"data: %s\n\n" % json.dumps(event).encode())
        if ended:
            self.chunk(b"")


@dataclass
class StandIn:
    """An application that answers as a test tells it to."""

    url: str
    answers: dict[str, Handler] = field(default_factory=dict)
    seen: list[Exchange] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def running() -> Iterator[StandIn]:
    """Serve a stand-in at a port of its own."""

    class Server(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            exchange = Exchange(self, self.path, dict(self.headers), self.rfile.read(length), application)
            application.seen.append(exchange)
            with suppress(BrokenPipeError, ConnectionResetError):  # some tests make the client leave
                application.answers[f"{self.command} {self.path}"](exchange)
            self.close_connection = True

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the base class wants these names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.daemon_threads = True
        application = StandIn(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield application
        finally:
            application.ended.set()
            server.shutdown()
            thread.join()


def profile(url: str, seconds: float = 60) -> Application:
    return Application.model_validate(
        {
            "url": url,
            "canary": {
                "user": "canary",
                "password": SecretStr(PASSWORD),
                "knowledge_base": "canary_kb",
                "question": "?",
                "expected_file": "a.txt",
            },
            "services": ["backend"],
            "repository": ".",
            "deadline_seconds": seconds,
            "chat_seconds": seconds,
        }
    )


def answer(status: int, body: object) -> Handler:
    return lambda exchange: exchange.reply(status, body)
