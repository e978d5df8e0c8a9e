"""A relay to a broker whose advertised address nobody here can look up."""

from __future__ import annotations

import socket
import socketserver
import struct
from collections.abc import Iterator, Sequence
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollproof.engines.engine import Endpoint
from rollproof.stores.kafka import relay
from rollproof.stores.kafka.relay import (
    API_VERSIONS,
    FETCH,
    FIND_COORDINATOR,
    METADATA,
    named_brokers,
    rewritten,
)
from rollproof.stores.reach import NOBODY, Reach

HOST, PORT = b"127.0.0.1", 40001
INSIDE = ("kafka", 9092)
AFTER = b"\x00\x00\x00\x07whatever follows"


def text(value: bytes | None) -> bytes:
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value


def metadata(version: int, brokers: Sequence[tuple[bytes, int]], rack: bytes | None = None) -> bytes:
    """The body of a Metadata answer."""
    body = struct.pack(">i", 0) if version >= 3 else b""
    body += struct.pack(">i", len(brokers))
    for number, (host, port) in enumerate(brokers):
        body += struct.pack(">i", number) + text(host) + struct.pack(">i", port)
        body += text(rack) if version >= 1 else b""
    return body + AFTER


def coordinator(version: int, host: bytes, port: int) -> bytes:
    body = struct.pack(">i", 0) if version >= 1 else b""
    body += struct.pack(">h", 0) + (text(None) if version >= 1 else b"")
    return body + struct.pack(">i", 1) + text(host) + struct.pack(">i", port)


@given(
    version=st.integers(0, 8),
    host=st.binary(max_size=300),
    port=st.integers(0, 65535),
    rack=st.none() | st.binary(max_size=20),
)
def test_metadata_names_the_relay_and_is_else_as_it_was(
    version: int, host: bytes, port: int, rack: bytes | None
) -> None:
    answer = rewritten(METADATA, version, metadata(version, [(host, port)], rack), HOST, PORT)
    assert answer == metadata(version, [(HOST, PORT)], rack)


@given(version=st.integers(0, 2), host=st.binary(min_size=1, max_size=300), port=st.integers(0, 65535))
def test_a_coordinator_is_the_relay(version: int, host: bytes, port: int) -> None:
    answer = rewritten(FIND_COORDINATOR, version, coordinator(version, host, port), HOST, PORT)
    assert answer == coordinator(version, HOST, PORT)


def test_no_coordinator_stays_none() -> None:
    none = coordinator(2, b"", -1)
    assert rewritten(FIND_COORDINATOR, 2, none, HOST, PORT) == none


@pytest.mark.parametrize("version", [0, 2, 3])
def test_newer_versions_are_not_offered(version: int) -> None:
    def answer(newest: dict[int, int]) -> bytes:
        flexible = version == 3
        body = struct.pack(">h", 0)
        body += bytes([len(newest) + 1]) if flexible else struct.pack(">i", len(newest))
        for key, version_of_key in newest.items():
            body += struct.pack(">hhh", key, 0, version_of_key) + (b"\x01\x05\x02ab" if flexible else b"")
        return body + AFTER

    offered = {METADATA: 12, FETCH: 17, FIND_COORDINATOR: 1, 32: 4}
    found = rewritten(API_VERSIONS, version, answer(offered), HOST, PORT)
    assert found == answer({METADATA: 8, FETCH: 15, FIND_COORDINATOR: 1, 32: 4})


def test_an_answer_that_is_cut_or_too_new_is_not_handed_on() -> None:
    whole = metadata(8, [(b"kafka", 9092)])
    with pytest.raises(ValueError, match="bytes at"):
        rewritten(METADATA, 8, whole[:12], HOST, PORT)
    with pytest.raises(ValueError, match="version 9 of 3"):
        rewritten(METADATA, 9, whole, HOST, PORT)


def test_other_answers_are_handed_on_as_they_are() -> None:
    assert rewritten(FETCH, 11, AFTER, HOST, PORT) == AFTER


class _Broker(socketserver.BaseRequestHandler):
    """Answers every request as version 1 of Metadata would be."""

    named: Sequence[tuple[bytes, int]]

    def handle(self) -> None:
        while head := self.request.recv(4):
            (length,) = struct.unpack(">i", head)
            asked = self.request.recv(length, socket.MSG_WAITALL)
            frame = asked[4:8] + metadata(1, self.named)
            self.request.sendall(struct.pack(">i", len(frame)) + frame)


@pytest.fixture
def broker() -> Iterator[tuple[Reach, type[_Broker]]]:
    class Handler(_Broker):
        named = ((INSIDE[0].encode(), INSIDE[1]),)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield (
            Reach("kafka", Endpoint("127.0.0.1", server.server_address[1], tls=False), NOBODY, 60.0),
            Handler,
        )
        server.shutdown()
        thread.join()


def test_a_client_is_sent_to_the_relay_and_through_it_to_the_broker(
    broker: tuple[Reach, type[_Broker]],
) -> None:
    reach, _ = broker
    assert named_brokers(reach) == [INSIDE]
    way = relay.way_to(reach)
    host, port = way.split(":")
    assert (host, way) != (INSIDE[0], reach.address)
    through = Reach("kafka", Endpoint(host, int(port), tls=False), NOBODY, 60.0)
    assert named_brokers(through) == [(host, int(port))]
    assert relay.way_to(reach) == way


def test_there_is_no_relay_where_none_is_needed_or_none_would_do(
    broker: tuple[Reach, type[_Broker]],
) -> None:
    reach, handler = broker
    handler.named = [(b"127.0.0.1", reach.endpoint.port)]
    assert relay.way_to(reach) == reach.address
    handler.named = [(b"one", 9092), (b"two", 9092)]
    assert relay.way_to(reach) == reach.address
    tls = Reach("kafka", Endpoint("127.0.0.1", reach.endpoint.port, tls=True), NOBODY, 60.0)
    assert relay.way_to(tls) == reach.address


def test_a_broker_that_does_not_answer_is_left_to_the_client() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        silent = Reach("kafka", Endpoint("127.0.0.1", port, tls=False), NOBODY, 1.0)
        assert relay.way_to(silent) == silent.address
