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
from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.errors import Meaning, Unverifiable
from rollproof.profile.profile import load_target
from rollproof.profile.sections import Account, Address
from rollproof.stores.keepers import open_keeper
from rollproof.stores.qdrant.client import Rest
from rollproof.stores.reach import Reach
from tests.conftest import write_profile
from tests.world.application import Exchange, Handler, Served, running
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


def _answering(body: str, status: int = 200) -> Handler:
    def answer(exchange: Exchange) -> None:
        exchange.start(status, {"Content-Type": "application/json", "Content-Length": str(len(body))})
        exchange.write(body.encode())

    return answer


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


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("a page of a proxy", "JSONDecodeError"),
        ('{"time": 1}', "KeyError: 'result'"),
        ("[]", "ValidationError"),
    ],
)
def test_an_answer_that_is_not_qdrants_is_told(body: str, said: str) -> None:
    with qdrant(_answering(body)) as rest, pytest.raises(Unverifiable, match=said):
        rest.call("GET", "/collections")


def test_a_refusal_is_told_in_the_servers_words_without_the_key() -> None:
    with qdrant(_answering('{"status": {"error": "no right: sesame"}}', 403)) as rest:
        with pytest.raises(Unverifiable, match=r"HTTP 403: no right: \[redacted\]") as caught:
            rest.count("files")
        assert caught.value.means is Meaning.OTHER
        assert rest.call("GET", "/x", absent={403}) is None


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
