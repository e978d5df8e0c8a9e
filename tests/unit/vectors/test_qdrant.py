"""Qdrant: its answers through its client, the names in its payloads, and no backup of a cluster's node."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import create_autospec

import pytest
from pydantic import SecretStr

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import Endpoint
from rollproof.errors import ActionFailed, Meaning, Unverifiable
from rollproof.profile.sections import Account, Address
from rollproof.stores.names import names_at
from rollproof.stores.qdrant.client import Rest
from rollproof.stores.qdrant.descriptor import QdrantProfile
from rollproof.stores.qdrant.keeper import Keeper
from rollproof.stores.qdrant.reader import QdrantReader
from rollproof.stores.reach import Reach, Readable
from rollproof.stores.writable import Writable
from tests.unit.stores.test_readers_reach import NOWHERE

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


def _keeper(cluster: dict[str, Any] | None) -> Keeper:
    profile = QdrantProfile(
        kind="qdrant", risk="medium", services=("qdrant",), address=Address(host="127.0.0.1", port=1)
    )
    control = create_autospec(ComposeControl, instance=True)
    keeper = Keeper(Writable("qdrant", profile, Endpoint("127.0.0.1", 1), control=control, deadline=60.0))
    rest = create_autospec(Rest, instance=True)
    rest.call.return_value = cluster
    rest.collections.return_value = []
    rest.aliases.return_value = {}
    rest.version.return_value = "1.16.0"
    keeper._rest = cast("Any", rest)
    return keeper


@pytest.mark.parametrize("cluster", [None, {"status": "disabled"}, {"status": "enabled", "peers": {"1": {}}}])
def test_a_server_alone_is_backed_up(tmp_path: Path, cluster: dict[str, Any] | None) -> None:
    assert _keeper(cluster).back_up(tmp_path).records == {}


def test_a_node_of_a_cluster_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ActionFailed, match="observed a cluster of 3 nodes"):
        _keeper({"status": "enabled", "peers": {"1": {}, "2": {}, "3": {}}}).back_up(tmp_path)


Payload = Mapping[str, Any]


def view(*payloads: Payload) -> QdrantReader:
    """Return the view of a Qdrant with points of these payloads, which it filters as a server does."""
    profile = QdrantProfile(
        kind="qdrant", risk="medium", services=("qdrant",), address=Address(host="127.0.0.1", port=1)
    )

    def scrolled(_: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for number, payload in enumerate(payloads):
            if all(_matches(payload, one["key"], one["match"]) for one in request["filter"]["must"]):
                yield {"id": number, "payload": payload}

    found = QdrantReader(Readable("qdrant", profile, NOWHERE))
    found._rest = cast("Any", SimpleNamespace(scrolled=scrolled))
    return found


def _matches(payload: Payload, key: str, match: Mapping[str, Any]) -> bool:
    held = [name for (name,) in names_at(payload, [key])]
    return any(str(one) in held for one in match.get("any", [match.get("value")]))


def names(*payloads: Payload, fields: Sequence[str]) -> list[Any]:
    return list(view(*payloads).names("files", fields, {}))


def test_a_field_may_lie_below_another() -> None:
    deep = {"page_content": "text", "metadata": {"source": "a", "page": 1}}
    assert names(deep, fields=["metadata.source"]) == [("a",)]
    assert names(deep, fields=["metadata.source", "metadata.page"]) == [("a", "1")]
    assert view(deep).held("files", ["metadata.source"], [("a",), ("b",)]) == {("a",)}


def test_each_text_of_a_list_is_a_name() -> None:
    listed = {"files": ["a", "b"]}
    assert names(listed, fields=["files"]) == [("a",), ("b",)]
    assert view(listed).held("files", ["files"], [("a",), ("c",)]) == {("a",)}


def test_a_point_without_the_field_has_no_name_and_an_empty_list_names_nothing() -> None:
    assert names({}, {"metadata": {}}, {"metadata": None}, fields=["metadata.source"]) == [None] * 3
    assert names({"files": []}, fields=["files"]) == []


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"size": 4, "distance": "Cosine"}, ""),
        ({"size": {"size": 4, "distance": "Cosine"}}, "size"),
        ({"text": {"size": 4, "distance": "Cosine"}}, "text"),
    ],
)
def test_a_vector_may_be_called_as_a_setting_is(told: dict[str, Any], name: str) -> None:
    rest = cast("Any", SimpleNamespace(described=lambda _: ({"params": {"vectors": told}}, {})))
    assert Rest.dense_vectors(rest, "files") == {name: {"size": 4, "distance": "Cosine"}}
