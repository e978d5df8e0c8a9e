"""Servers that are silent, slow, or not what they should be: each call of a driver ends by its deadline."""

from __future__ import annotations

import io
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import create_autospec

import pytest
from pydantic import SecretStr

from rollback_actions.containers.compose import ComposeControl
from rollproof.application.client import ApplicationClient
from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.errors import Meaning, Unverifiable
from rollproof.profile.profile import load_target
from rollproof.profile.sections import Account, Address
from rollproof.stores.keepers import open_keeper
from rollproof.stores.qdrant.client import Rest
from rollproof.stores.reach import Reach
from tests.conftest import write_profile
from tests.world.application import SESSION, Exchange, Handler, Served, StandIn, answer, profile, running
from tests.world.sandbox import stand_in


@pytest.fixture
def silent_engine(tmp_path: Path) -> Iterator[str]:
    """An engine that takes every connection and never answers."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "engine"))
        server.listen()
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"unix://{tmp_path}/engine"
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


def test_an_engine_that_never_answers_is_unverifiable_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch, silent_engine: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", silent_engine)
    with pytest.raises(Unverifiable, match=r"within 0\.2 s"):
        ComposeEngine("p", 0.2).containers()


@contextmanager
def qdrant(answer: Handler, seconds: float = 60) -> Iterator[Rest]:
    """Give the interface of a server that answers each request by `answer`."""
    with running() as served:
        served.answers = defaultdict(lambda: answer)
        account = Account(user="the holder of the key", password=SecretStr("sesame"))
        endpoint = Endpoint("127.0.0.1", int(served.url.rpartition(":")[2]))
        yield Rest(Reach("qdrant", endpoint, account, seconds))


def _trickle(exchange: Exchange) -> None:
    """Send a byte now and then: no single read takes long."""
    assert isinstance(exchange, Served)
    exchange.start(200, {"Content-Type": "application/json", "Content-Length": "1000000"})
    exchange.trickle(lambda: exchange.write(b" "))


@pytest.mark.parametrize(
    "ask",
    [lambda rest: rest.call("GET", "/x"), lambda rest: rest.download("/x", io.BytesIO())],
    ids=["call", "download"],
)
def test_an_answer_that_trickles_is_cut_at_the_deadline(ask: Callable[[Rest], object]) -> None:
    """Nothing else ends it."""
    with qdrant(_trickle, 1) as rest, pytest.raises(Unverifiable, match="none after 1 s") as caught:
        ask(rest)
    assert caught.value.means is Meaning.TIMEOUT


def test_a_store_that_is_down_is_looked_for_on_no_host_of_its_services_name(tmp_path: Path) -> None:
    gone = Unverifiable(what="service", expected="a container", observed="none", source="engine", hint="up")
    engine = create_autospec(ContainerEngine, instance=True)
    engine.resolve.side_effect = gone
    with socket.create_server(("localhost", 0)) as another:
        # Another server, which this machine knows by the very name that the compose file has for the store.
        address = Address(service="localhost", port=another.getsockname()[1])
        profile = load_target(write_profile(tmp_path)).stores["redis"].model_copy(update={"address": address})
        keeper = open_keeper("redis", profile, engine, stand_in(ComposeControl), 2.0)
        with pytest.raises(Unverifiable, match=r"localhost\.invalid"):
            keeper.back_up(tmp_path)
        another.setblocking(False)
        with pytest.raises(BlockingIOError):
            another.accept()


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


def test_a_body_without_end_does_not_fill_the_memory(served: StandIn) -> None:
    def flood(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Length": str(10**12)})
        while True:
            exchange.write(b"x" * 1_000_000)

    served.answers["GET /api/v1/health/check"] = flood
    with pytest.raises(Unverifiable, match=r"longer than \d+ bytes"):
        ApplicationClient(profile(served.url)).health()
