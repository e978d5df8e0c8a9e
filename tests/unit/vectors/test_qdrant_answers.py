"""Qdrant's answers through its client: cut at the deadline, read as they are, and refused in words."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
from pydantic import SecretStr

from rollproof.engines.engine import Endpoint
from rollproof.errors import Meaning, Unverifiable
from rollproof.profile.sections import Account
from rollproof.stores.qdrant.client import Rest
from rollproof.stores.reach import Reach

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
POINTS = b'{"result": {"points": [{"vector": {"s": {"indices": [1], "values": [null]}}, "new": 1.0}]}}'


@contextmanager
def server(answer: Callable[[socket.socket], object]) -> Iterator[Rest]:
    """Give the interface of a server that answers each request by `answer`; its deadline is a second."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    try:
                        answer(connection)
                    except OSError:
                        continue  # cut

        Thread(target=serve, daemon=True).start()
        account = Account(user="the holder of the key", password=SecretStr("sesame"))
        endpoint = Endpoint("127.0.0.1", listening.getsockname()[1])
        try:
            yield Rest(Reach("qdrant", endpoint, account, 1.0))
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def trickle(connection: socket.socket) -> None:
    """Send a byte now and then: no single read takes long."""
    connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
    for _ in range(100):
        connection.sendall(b" ")
        time.sleep(0.1)


def answering(body: bytes, head: bytes = HEAD) -> Callable[[socket.socket], object]:
    return lambda connection: connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)


@pytest.mark.parametrize(
    "ask",
    [lambda rest: rest.call("GET", "/x"), lambda rest: rest.download("/x", io.BytesIO())],
    ids=["call", "download"],
)
def test_an_answer_that_trickles_is_cut_at_the_deadline(ask: Callable[[Rest], object]) -> None:
    started = time.monotonic()
    with server(trickle) as rest, pytest.raises(Unverifiable, match="none after 1 s") as caught:
        ask(rest)
    assert caught.value.means is Meaning.TIMEOUT
    assert time.monotonic() - started < 5


def test_a_point_is_read_as_the_server_says_it() -> None:
    with server(answering(POINTS)) as rest:
        (point,) = rest.call("POST", "/collections/c/points/scroll", {"limit": 1})["points"]
    assert point == {"vector": {"s": {"indices": [1], "values": [None]}}, "new": 1.0}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"a page of a proxy", "JSONDecodeError"),
        (b'{"time": 1}', "KeyError: 'result'"),
        (b"[]", "ValidationError"),
    ],
)
def test_an_answer_that_is_not_qdrants_is_told(body: bytes, said: str) -> None:
    with server(answering(body)) as rest, pytest.raises(Unverifiable, match=said):
        rest.call("GET", "/collections")


def test_a_refusal_is_told_in_the_servers_words_without_the_key() -> None:
    refused = answering(b'{"status": {"error": "no right: sesame"}}', b"HTTP/1.1 403 Forbidden\r\n")
    with (
        server(refused) as rest,
        pytest.raises(Unverifiable, match=r"HTTP 403: no right: \[redacted\]") as caught,
    ):
        rest.count("files")
    assert caught.value.means is Meaning.OTHER
    with server(refused) as rest:
        assert rest.call("GET", "/x", absent={403}) is None
