"""One HTTP request on its own connection, ended at a deadline whatever the server does.

The latest exchanges of a process are kept as evidence, without secrets. So a check can also show an answer
that another check requested.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from ssl import SSLContext, create_default_context
from typing import Any, Self

import certifi
import httpx2
from pydantic import SecretStr

from rollproof.errors import Meaning, Unverifiable, unanswered
from rollproof.redaction.redactor import Redactor
from rollproof.redaction.secret import secrets_in
from rollproof.system.steps import step

LATEST = 10
BODY_BYTES = 4096
# Our own user agent: by it an access log shows which requests are ours.
AGENT = "rollproof-verifier"
# No answer of an API is longer; an endless body must not fill the memory.
MAXIMUM_BODY_BYTES = 8 * 1024 * 1024
# Key of a response's extension: the start of its body, as far as it was read.
_BODY = "rollproof.body"


_latest: deque[str] = deque(maxlen=LATEST)


def latest() -> Sequence[str]:
    """Return the latest exchanges of this process, oldest first: request, status, time, start of the body."""
    return tuple(_latest)


@dataclass(frozen=True, slots=True)
class Request:
    """A request. `form` and `body` are alternatives; secrets are unwrapped only when they are sent.

    A form with `files` is multipart: each is a field's name with the file's name and content. `bearer` is the
    header of the token, and its value with ``{token}`` in the token's place. `way_in` is the header, and its
    value, that a proxy in maintenance lets in.
    """

    method: str
    url: str
    token: SecretStr | None = None
    form: Mapping[str, str | SecretStr] | None = None
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    way_in: tuple[str, SecretStr] | None = None
    bearer: tuple[str, str] = ("Authorization", "Bearer {token}")
    files: Mapping[str, tuple[str, bytes]] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return its name in an error."""
        return f"{self.method} {self.url}"

    def without_secrets(self, text: str) -> str:
        """Return `text` with this request's own secrets removed."""
        return Redactor(secrets_in((self.token, self.form, self.way_in, self.body))).text(text)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer: `body` is parsed if it is JSON, else text."""

    status: int
    body: Any
    milliseconds: float

    def said(self, names: Iterable[str]) -> dict[str, object]:
        """Return the values under `names` of a JSON object; None for a missing name."""
        body = self.body if isinstance(self.body, dict) else {}
        return {name: body.get(name) for name in names}


class Cutoff:
    """Ends a connection at a moment in time.

    The client's own limits are per read: a server that sends a byte now and then never exceeds them.
    """

    def __init__(self, seconds: float) -> None:
        """Prepare the clock, which `with` starts."""
        self.seconds = seconds
        self.passed = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        """Start the clock."""
        self._timer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the clock."""
        self._timer.cancel()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the connection's socket: httpcore2's `trace` extension calls this."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._socket = info["return_value"].get_extra_info("socket")

    def _cut(self) -> None:
        self.passed = True
        if self._socket is not None:
            with suppress(OSError):  # it ended by itself at the same moment
                self._socket.shutdown(socket.SHUT_RDWR)


class _SecretHeaders(httpx2.Auth):
    """Keeps secrets out of every frame's variables, except httpx2's own headers, which hide them."""

    def __init__(self, request: Request) -> None:
        self._token, self._bearer, self._way_in = request.token, request.bearer, request.way_in

    def auth_flow(self, request: httpx2.Request) -> Iterator[httpx2.Request]:  # type: ignore[override]
        if self._token is not None:
            name, value = self._bearer
            request.headers[name] = value.replace("{token}", self._token.get_secret_value())
        if self._way_in is not None:
            name, secret = self._way_in
            request.headers[name] = secret.get_secret_value()
        yield request


def fetch(request: Request, seconds: float, transport: httpx2.BaseTransport | None = None) -> Answer:
    """Return the answer to `request`, whatever its status, complete within `seconds`, connection included."""
    started = time.perf_counter()
    with opened(request, seconds, transport) as (response, cutoff):
        body = whole_body(response, cutoff)
    milliseconds = 1000 * (time.perf_counter() - started)
    return Answer(response.status_code, body, milliseconds)


@contextmanager
def opened(
    request: Request, seconds: float, transport: httpx2.BaseTransport | None = None
) -> Iterator[tuple[httpx2.Response, Cutoff]]:
    """Send `request`; yield the answer, with its body still unread, and the cutoff that may end it.

    `transport` None is the network.
    """
    began, problem, response = time.monotonic(), "", None
    try:
        with (
            Cutoff(seconds) as cutoff,
            step(str(request)),
            # No proxy: the target itself is asked.
            httpx2.Client(
                verify=_certificates(), trust_env=False, timeout=seconds, transport=transport
            ) as client,
            client.stream(
                request.method,
                request.url,
                auth=_SecretHeaders(request),
                data=unwrapped(request.form),
                json=unwrapped(request.body),
                files=request.files,
                headers={"Connection": "close", "User-Agent": AGENT},
                extensions={"trace": cutoff.trace},
            ) as response,
        ):
            yield response, cutoff
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        late = f"none after {seconds:g} s" if cutoff.passed else f"{type(error).__name__}: {error}"
        problem = request.without_secrets(late)
        source = str(request)
        if isinstance(error, httpx2.ConnectError):
            # Nobody listens there: that is one cause, whatever was asked.
            source = f"{error.request.url.scheme}://{error.request.url.netloc.decode()}"
        raise Unverifiable(
            what="application",
            expected=f"a whole answer within {seconds:g} s",
            observed=problem,
            source=source,
            hint="see that the application's containers run and that the profile's url is right",
            means=Meaning.TIMEOUT if cutoff.passed else unanswered(error),
        ) from None
    finally:
        status = "no answer" if response is None else str(response.status_code)
        took = f"{1000 * (time.monotonic() - began):.0f} ms"
        body = b"" if response is None else bytes(response.extensions.get(_BODY, b""))
        cut = f"\n[cut after {BODY_BYTES} bytes]" if len(body) > BODY_BYTES else ""
        text = Redactor().text(body[:BODY_BYTES].decode(errors="replace"))
        _latest.append(f"{request}\n{status}, {took}{problem and ': '}{problem}\n\n{text}{cut}")


def whole_body(response: httpx2.Response, cutoff: Cutoff) -> Any:  # noqa: ANN401 - JSON
    """Read a body to its end; return its JSON value, or text if it is no JSON. For use within `opened`."""
    content = b"".join(limited_chunks(response))
    if cutoff.passed:
        raise httpx2.ReadTimeout("the body has no end")
    text = content.decode(errors="replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def limited_chunks(response: httpx2.Response) -> Iterator[bytes]:
    """Yield the body in chunks; raises `httpx2.DecodingError` past `MAXIMUM_BODY_BYTES`."""
    size, start = 0, response.extensions.setdefault(_BODY, bytearray())
    for chunk in response.iter_bytes():
        # One byte more shows that it was cut.
        start += chunk[: BODY_BYTES + 1 - len(start)]
        size += len(chunk)
        if size > MAXIMUM_BODY_BYTES:
            raise httpx2.DecodingError(f"the body is longer than {MAXIMUM_BODY_BYTES} bytes")
        yield chunk


def unwrapped(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return JSON with the secrets in it as plain texts, to be sent."""
    match value:
        case SecretStr():
            return value.get_secret_value()
        case Mapping():
            return {name: unwrapped(one) for name, one in value.items()}
        case list() | tuple():
            return [unwrapped(one) for one in value]
    return value


@cache
def _certificates() -> SSLContext:
    """Trust the authorities in the environment, else certifi's: an image may have none of its own."""
    if os.environ.keys() & {"SSL_CERT_FILE", "SSL_CERT_DIR"}:
        return httpx2.create_ssl_context()
    return create_default_context(cafile=certifi.where())
