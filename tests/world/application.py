"""An application that answers as a test tells it to: in memory, or at a port of this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
from pydantic import SecretStr

from rollproof.application.client import LoggedIn
from rollproof.profile.application_profile import Application

PASSWORD = "correct horse"  # noqa: S105 - what must not be seen
TOKEN = "battery.staple"  # noqa: S105
SESSION = LoggedIn("canary", SecretStr(TOKEN))
NOWHERE = "http://application.invalid"

Handler = Callable[["Exchange"], None]


@dataclass
class Exchange:
    """One request, with the means to answer it; the answer is complete when its handler returns."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    application: StandIn
    status: int = 0
    sent: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    whole: bool = True

    def reply(self, status: int, body: object) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.start(status, {"Content-Length": str(len(content))})
        self.write(content)

    def start(self, status: int, headers: dict[str, str]) -> None:
        self.status, self.sent = status, headers

    def write(self, content: bytes) -> None:
        self.pieces.append(content)

    def chunk(self, content: bytes) -> None:
        self.write(content)

    def events(self, *events: object, ended: bool = True) -> None:
        """Send events of a stream; one that has not `ended` breaks off."""
        self.start(200, {"Transfer-Encoding": "chunked"})
        for event in events:
            data = event if isinstance(event, bytes) else json.dumps(event).encode()
            self.chunk(b"data: %s\n\n" % data)
        self.whole = ended
        if ended:
            self.chunk(b"")


class _Body(httpx2.SyncByteStream):
    """The pieces of an answer; one that is not whole ends as a broken connection does."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        yield from self._exchange.pieces
        if not self._exchange.whole:
            raise httpx2.RemoteProtocolError("peer closed connection without sending complete message body")


@dataclass
class StandIn(httpx2.BaseTransport):
    """An application by its `answers`; as a transport it answers in memory. No handler means no answer."""

    url: str = NOWHERE
    answers: dict[str, Handler] = field(default_factory=dict)
    seen: list[Exchange] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request."""
        headers = {name.title(): value for name, value in request.headers.items()}
        path = request.url.raw_path.decode()
        exchange = Exchange(request.method, path, headers, request.read(), self)
        self.seen.append(exchange)
        self.answers[f"{request.method} {path}"](exchange)
        if not exchange.status:
            raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")
        sent = {name: value for name, value in exchange.sent.items() if name != "Transfer-Encoding"}
        return httpx2.Response(exchange.status, headers=sent, stream=_Body(exchange))


class Nobody(httpx2.BaseTransport):
    """No application: nobody listens."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Refuse."""
        raise httpx2.ConnectError("refused", request=request)


@dataclass
class Served(Exchange):
    """A request that came over a socket: its answer leaves piece by piece."""

    handler: BaseHTTPRequestHandler = field(kw_only=True)

    def trickle(self, piece: Callable[[], None]) -> None:
        """Send a piece now and then, for as long as the client stays: nothing but its deadline ends that."""
        while not self.application.ended.wait(0.02):
            piece()

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


@contextmanager
def running() -> Iterator[StandIn]:
    """Serve a stand-in at a port of its own."""

    class Server(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            exchange = Served(self.command, self.path, dict(self.headers), body, application, handler=self)
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


def profile(url: str = NOWHERE, seconds: float = 60) -> Application:
    """Return an application's profile whose deadlines are `seconds`."""
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
    """Return what answers with that."""
    return lambda exchange: exchange.reply(status, body)
