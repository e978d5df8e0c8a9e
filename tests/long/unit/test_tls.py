"""A store with ``tls = true`` is spoken to in TLS alone, if its authority vouches for it, by each driver."""

from __future__ import annotations

import gc
import socket
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import pytest

from rollproof.engines.engine import Endpoint
from rollproof.errors import Unverifiable
from rollproof.profile.kinds import kinds
from rollproof.stores.registry import reader_at
from tests.unit.stores.test_readers_reach import section

SERVERS = sorted(set(kinds()) - {"mounts"})
# A server of MySQL speaks first: protocol 10, and that it knows TLS. The client asks for it in so many bytes.
_CAPABILITIES = 0x00088A0B | 0x00000200
GREETING = (
    b"\x0a9.7.0\0"
    + (1).to_bytes(4, "little")
    + b"saltsalt\0"
    + (_CAPABILITIES & 0xFFFF).to_bytes(2, "little")
    + b"\xff\x02\0"
    + (_CAPABILITIES >> 16).to_bytes(2, "little")
    + b"\x15"
    + bytes(10)
    + b"saltsaltsalt\0"
    + b"caching_sha2_password\0"
)
ASKS_FOR_TLS = 36
FIRST = {"mysql": len(GREETING).to_bytes(3, "little") + b"\0" + GREETING}
POSTGRESQL_ASKS_FOR_TLS = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
A_HANDSHAKE = b"\x16"


@dataclass
class Heard:
    """What a server was told so far: each client's first byte, and how many came to speak TLS with it."""

    first: list[bytes] = field(default_factory=list)
    shaken: int = 0


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Two servers' certificates for this address, each its own authority: certificate and key."""
    folder = tmp_path_factory.mktemp("authorities")
    made = {}
    for name in ("own", "other"):
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
                *("-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", str(key), "-out", str(certificate)),
            ],
            check=True,
            capture_output=True,
            timeout=60,
        )
        made[name] = (certificate, key)
    return made


@contextmanager
def server(kind: str, certificate: Path, key: Path) -> Iterator[tuple[int, Heard]]:
    """Run a server that begins as one of `kind`, speaks TLS with whoever does, and then hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    heard, ended = Heard(), Event()

    def serve() -> None:
        while not ended.is_set():
            with suppress(TimeoutError, OSError):
                client, _ = listener.accept()
                with closing(client), suppress(OSError):
                    talk(client)

    def talk(client: socket.socket) -> None:
        client.settimeout(2.0)
        if kind in FIRST:
            client.sendall(FIRST[kind])
            asked = client.recv(ASKS_FOR_TLS, socket.MSG_WAITALL)
            if len(asked) < ASKS_FOR_TLS or not asked[5] & 0x08:
                heard.first.append(b"no TLS")
                return
        if kind == "postgresql":
            # A client of PostgreSQL asks for TLS in eight bytes, and waits for one.
            asked = client.recv(8, socket.MSG_WAITALL)
            if asked != POSTGRESQL_ASKS_FOR_TLS:
                heard.first.append(b"no TLS")
                return
            client.sendall(b"S")
        heard.first.append(client.recv(1, socket.MSG_PEEK))
        with context.wrap_socket(client, server_side=True) as spoken:
            # A client that trusts nobody hangs up after the handshake of the newer protocol, too.
            if spoken.recv(1):
                heard.shaken += 1

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        thread = Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            ended.set()
            thread.join()


def _ask(kind: str, port: int, ca: Path | None, seconds: float) -> None:
    """Count what is in a store there, in TLS: it never answers, whatever it was told."""
    profile = section(kind).model_copy(update={"deadline_seconds": seconds})
    endpoint = Endpoint("127.0.0.1", port, tls=True, ca=str(ca) if ca else None)
    with pytest.raises(Unverifiable), closing(reader_at(kind, profile, endpoint)) as view:
        view.counts()
    if kind == "kafka":
        # The library leaves the socket of a handshake that failed to the garbage collector.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.mark.parametrize("kind", SERVERS)
def test_its_authority_is_trusted_and_no_other(kind: str, authorities: dict[str, tuple[Path, Path]]) -> None:
    own, other = authorities["own"], authorities["other"]
    # Without an authority of the profile's the system's are asked.
    for ca, trusted in ((own[0], True), (other[0], False), (None, False)):
        for seconds in (1.0, 20.0):  # on a busy machine no handshake may come to its end within the first
            with server(kind, *own) as (port, heard):
                _ask(kind, port, ca, seconds)
            if heard.first and bool(heard.shaken) is trusted:
                break
        assert {*heard.first} == {A_HANDSHAKE}
        assert bool(heard.shaken) is trusted, ca
