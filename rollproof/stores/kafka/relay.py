"""A way to a broker that sends its clients to an address which only its own network knows.

A Kafka client asks any broker for the cluster, and connects to the addresses that the answer names. Many a
broker in a compose project names its service alone, which no client on the host can look up. A relay on
loopback hands the bytes on, and puts its own address in the place of the broker's. Only a cluster of one
broker can be reached so, and only without TLS.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

from rollproof.stores.reach import Reach

# Keys of Kafka's protocol: https://kafka.apache.org/protocol
FETCH, PRODUCE, METADATA, FIND_COORDINATOR, API_VERSIONS = 1, 0, 3, 10, 18
# The newest versions whose answers a relay reads, or which name no broker.
NEWEST = {FETCH: 15, PRODUCE: 9, METADATA: 8, FIND_COORDINATOR: 2}
UNSUPPORTED_VERSION = 35
_NO_TOPICS = 0
_CLIENT = b"rollproof"
_CHUNK = 1 << 16
_MOST = 1 << 30


class _Strange(ValueError):
    """Bytes that are no answer of a version that a relay reads."""


class _Reader:
    """Reads an answer from its beginning, one field after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, length: int) -> bytes:
        if length < 0 or self.at + length > len(self.data):
            raise _Strange(f"{length} bytes at {self.at} of {len(self.data)}")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, form: str) -> int:
        (found,) = struct.unpack(f">{form}", self.take(struct.calcsize(f">{form}")))
        return int(found)

    def text(self) -> bytes | None:
        length = self.number("h")
        return None if length == -1 else self.take(length)

    def varint(self) -> int:
        found = shift = 0
        while True:
            byte = self.number("B")
            found |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the last byte has no high bit
                return found
            shift += 7

    def skip_tags(self) -> None:
        for _ in range(self.varint()):
            self.varint()
            self.take(self.varint())


def rewritten(key: int, version: int, answer: bytes, host: bytes, port: int) -> bytes:
    """Return the body of an answer with `host` and `port` in the place of every broker's.

    Raises:
        ValueError: the answer is of no version that the relay lets through.
    """
    if key == API_VERSIONS:
        return _with_older_versions(version, answer)
    if key not in {METADATA, FIND_COORDINATOR}:
        return answer
    if version > NEWEST[key]:
        raise _Strange(f"version {version} of {key}")
    read, ours = _Reader(answer), struct.pack(">h", len(host)) + host + struct.pack(">i", port)
    if key == FIND_COORDINATOR:
        read.take(4 * (version >= 1) + 2)
        if version >= 1:
            read.text()
        read.take(4)
        start = read.at
        named = read.text()
        read.take(4)
        # Without a coordinator there is no host: it stays so.
        return answer if not named else answer[:start] + ours + answer[read.at :]
    read.take(4 * (version >= 3))  # noqa: PLR2004 - Metadata has its throttle time since version 3
    pieces = [answer[: read.at]]
    count = read.number("i")
    pieces.append(struct.pack(">i", count))
    for _ in range(count):
        pieces += [read.take(4), ours]
        read.text()
        read.take(4)
        if version >= 1:
            start = read.at
            read.text()
            pieces.append(answer[start : read.at])
    return b"".join([*pieces, answer[read.at :]])


def _with_older_versions(version: int, answer: bytes) -> bytes:
    """Return an ApiVersions answer that offers no version which the relay cannot read."""
    read, changed = _Reader(answer), bytearray(answer)
    if read.number("h") == UNSUPPORTED_VERSION:
        version = 0
    flexible = version >= 3  # noqa: PLR2004 - ApiVersions is flexible since version 3
    for _ in range(read.varint() - 1 if flexible else read.number("i")):
        key = read.number("h")
        read.take(2)
        newest = read.number("h")
        struct.pack_into(">h", changed, read.at - 2, min(newest, NEWEST.get(key, newest)))
        if flexible:
            read.skip_tags()
    return bytes(changed)


class _Relay(ThreadingTCPServer):
    """Listens on a free port of loopback, and connects each client to the broker."""

    daemon_threads = True

    def __init__(self, broker: tuple[str, int], seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.broker, self.seconds = broker, seconds


class _Connection(BaseRequestHandler):
    """One client's connection, and the one to the broker that belongs to it."""

    def handle(self) -> None:
        """Hand frames on in both directions until one side closes."""
        relay: Any = self.server
        with suppress(OSError, ValueError), socket.create_connection(relay.broker, relay.seconds) as broker:
            broker.settimeout(None)
            asked: dict[int, tuple[int, int]] = {}
            back = threading.Thread(target=self._answers, args=(broker, asked), daemon=True)
            back.start()
            try:
                for frame in _frames(self.request):
                    key, version, correlation = struct.unpack_from(">hhi", frame)
                    asked[correlation] = key, version
                    broker.sendall(struct.pack(">i", len(frame)) + frame)
            finally:
                _close(broker)
                back.join(relay.seconds)

    def _answers(self, broker: socket.socket, asked: dict[int, tuple[int, int]]) -> None:
        relay: Any = self.server
        host, port = relay.server_address
        with suppress(OSError, ValueError):
            for frame in _frames(broker):
                (correlation,) = struct.unpack_from(">i", frame)
                key, version = asked.pop(correlation)
                body = rewritten(key, version, frame[4:], host.encode(), port)
                self.request.sendall(struct.pack(">i", len(body) + 4) + frame[:4] + body)
        _close(self.request)


def _close(connection: socket.socket) -> None:
    """Close both directions: whoever waits there for bytes is woken."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _frames(connection: socket.socket) -> Iterator[bytes]:
    """Yield the frames that come, each without its length, until the other side closes."""
    while (head := _received(connection, 4)) is not None:
        (length,) = struct.unpack(">i", head)
        if not 0 < length < _MOST:
            raise _Strange(f"a frame of {length} bytes")
        body = _received(connection, length)
        if body is None:
            return
        yield body


def _received(connection: socket.socket, length: int) -> bytes | None:
    """Return exactly `length` bytes, or None when the other side closed before."""
    found = bytearray()
    while len(found) < length:
        chunk = connection.recv(min(length - len(found), _CHUNK))
        if not chunk:
            return None
        found += chunk
    return bytes(found)


def named_brokers(reach: Reach) -> list[tuple[str, int]]:
    """Return the addresses to which the broker at `reach` sends its clients, as it tells without a log-in.

    Raises:
        OSError: it does not answer in time. `ValueError`: its answer is none.
    """
    name = struct.pack(">h", len(_CLIENT)) + _CLIENT
    ask = struct.pack(">hhi", METADATA, 1, 0) + name + struct.pack(">i", _NO_TOPICS)
    address = (reach.endpoint.host, reach.endpoint.port)
    with socket.create_connection(address, reach.deadline) as connection:
        connection.settimeout(reach.deadline)
        connection.sendall(struct.pack(">i", len(ask)) + ask)
        frame = next(_frames(connection), None)
    if frame is None:
        raise _Strange("no answer")
    read = _Reader(frame)
    read.take(4)
    found: list[tuple[str, int]] = []
    for _ in range(read.number("i")):
        read.take(4)
        host = read.text() or b""
        found.append((host.decode(), read.number("i")))
        read.text()
    return found


_relays: dict[tuple[int, str], _Relay] = {}
_one_at_a_time = threading.Lock()


def way_to(reach: Reach) -> str:
    """Return the address at which a client of this process finds the broker: its own, or a relay's.

    A broker's silence is left to the client to tell.
    """
    return known_way(reach) or reach.address


def known_way(reach: Reach) -> str | None:
    """Return the address of `way_to`, or None while the broker does not answer.

    A relay is there when the broker is its cluster's only one, and names another address than the one at
    which it was found. It lives as long as this process.
    """
    if reach.endpoint.tls:
        return reach.address
    # A relay's threads do not outlive a fork.
    place = os.getpid(), reach.address
    with _one_at_a_time:
        relay = _relays.get(place)
    if relay is None:
        # Not under the lock: other clients need not wait for a broker that hangs.
        own = reach.endpoint.host, reach.endpoint.port
        try:
            named = named_brokers(reach)
        except (OSError, ValueError):
            return None
        if len(named) != 1 or named == [own]:
            return reach.address
        with _one_at_a_time:
            relay = _relays.get(place)
            if relay is None:
                relay = _relays[place] = _Relay(own, reach.deadline)
                threading.Thread(target=relay.serve_forever, name="kafka-relay", daemon=True).start()
    host, port = relay.server_address[:2]
    return f"{host!s}:{port}"
