"""The HTTP client on real sockets: whatever a server does, an answer is whole and in time, or an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from rollproof.application.client import ApplicationClient
from rollproof.errors import Unverifiable
from tests.world.application import SESSION, Exchange, Served, StandIn, answer, profile, running


@pytest.fixture
def served() -> Iterator[StandIn]:
    with running() as application:
        yield application


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch, served: StandIn) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    served.answers["GET /api/v1/health/check"] = answer(200, {})
    assert ApplicationClient(profile(served.url)).health().status == 200


def test_nobody_there_is_unverifiable() -> None:
    with pytest.raises(Unverifiable, match=r"observed ConnectError: .*refused") as caught:
        ApplicationClient(profile("http://127.0.0.1:9")).health()
    # One cause, whatever was asked.
    assert caught.value.source == "http://127.0.0.1:9"


def _hang(exchange: Served) -> None:
    exchange.application.ended.wait()


def _trickle_body(exchange: Served) -> None:
    exchange.start(200, {"Content-Length": "1000000"})
    exchange.trickle(lambda: exchange.write(b" "))


def _trickle_without_length(exchange: Served) -> None:
    exchange.start(200, {})
    exchange.trickle(lambda: exchange.write(b" "))


def _trickle_headers(exchange: Served) -> None:
    exchange.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    exchange.trickle(lambda: exchange.write(b"x"))


@pytest.mark.parametrize("slow", [_hang, _trickle_body, _trickle_without_length, _trickle_headers])
def test_no_way_of_being_slow_outlasts_the_deadline(
    served: StandIn, slow: Callable[[Exchange], None]
) -> None:
    """Each of them would go on for good."""
    served.answers["GET /api/v1/health/check"] = slow
    with pytest.raises(Unverifiable, match=r"expected a whole answer within 0\.3 s, observed"):
        ApplicationClient(profile(served.url, 0.3)).health()


def test_a_chat_that_trickles_for_good_ends_at_the_deadline(served: StandIn) -> None:
    def trickle(exchange: Exchange) -> None:
        assert isinstance(exchange, Served)
        exchange.start(200, {"Transfer-Encoding": "chunked"})
        exchange.trickle(lambda: exchange.chunk(b'data: {"type": "text", "data": "."}\n\n'))

    served.answers["POST /api/v1/sse/chat"] = trickle
    # Long enough for the first piece on any machine: without it, the chat would be refused.
    chat = ApplicationClient(profile(served.url, 3)).chat(SESSION, "canary_1", "how often?")
    assert (chat.complete, chat.ending) == (False, "no end within 3 s")


def test_an_answer_cut_short_is_unverifiable(served: StandIn) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Length": "100"})
        exchange.write(b'{"status": "UP"}')

    served.answers["GET /api/v1/health/check"] = cut
    with pytest.raises(Unverifiable, match="RemoteProtocolError"):
        ApplicationClient(profile(served.url)).health()


def test_a_body_without_end_does_not_fill_the_memory(served: StandIn) -> None:
    def flood(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Length": str(10**12)})
        while True:
            exchange.write(b"x" * 1_000_000)

    served.answers["GET /api/v1/health/check"] = flood
    with pytest.raises(Unverifiable, match=r"longer than \d+ bytes"):
        ApplicationClient(profile(served.url)).health()
