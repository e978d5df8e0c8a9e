#!/usr/bin/python3
"""Healthy: the broker answers a Metadata request for all topics, which it reads from its log's storage.

The request is version 1 of Kafka's Metadata API, written out here so that the image needs no client library.
"""

from __future__ import annotations

import socket
import struct
import sys

DEADLINE_SECONDS = 3
METADATA, VERSION, CORRELATION = 3, 1, 7
ALL_TOPICS = -1
CLIENT = b"healthcheck"


def receive(connection: socket.socket, length: int) -> bytes:
    """Return exactly `length` bytes; a connection that ends early is a `ConnectionError`."""
    received = b""
    while len(received) < length:
        chunk = connection.recv(length - len(received))
        if not chunk:
            raise ConnectionError(f"expected {length} bytes, observed {len(received)}")
        received += chunk
    return received


def brokers() -> int:
    """Return how many brokers the answer names."""
    client = struct.pack(">h", len(CLIENT)) + CLIENT
    body = struct.pack(">hhi", METADATA, VERSION, CORRELATION) + client + struct.pack(">i", ALL_TOPICS)
    with socket.create_connection(("127.0.0.1", 9092), timeout=DEADLINE_SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        (length,) = struct.unpack(">i", receive(connection, 4))
        correlation, count = struct.unpack(">ii", receive(connection, length)[:8])
    if correlation != CORRELATION:
        raise ConnectionError(f"expected answer {CORRELATION}, observed {correlation}")
    return int(count)


def main() -> int:
    """Return 0 when healthy, else print why not and return 1."""
    try:
        count = brokers()
    except (OSError, struct.error) as error:
        print(f"kafka: expected an answer to a metadata request, observed {error!r}")
        return 1
    if count < 1:
        print("kafka: expected at least one broker in the answer, observed none")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
