"""Hosts and their file systems; HTTP exchanges as evidence, without secrets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi
import pytest
from pydantic import SecretStr

from rollproof.engines import host
from rollproof.engines.engine import Container, Mount
from rollproof.engines.host import Host
from rollproof.errors import Unverifiable
from rollproof.system.http import Request, _certificates, fetch, latest
from tests.world import containers as made_container
from tests.world.application import Exchange, running


def container(*, running: bool) -> Container:
    status = "running" if running else "exited"
    return made_container.container("store-1", id="no-such-container", running=running, status=status)


def test_a_disk_that_only_root_can_write_to_is_full() -> None:
    # 1000 blocks, 950 used, 50 reserved for root: 5 percent "free", and none of it to be had.
    full = host.file_system_of("v", "4096 1000 50 0 100 40")
    assert (full.size, full.free_percent, full.inodes_free_percent) == (4_096_000, 0, 40)
    half = host.file_system_of("v", "4096 1000 500 400 100 0")
    assert half.free_percent == pytest.approx(100 * 400 / 900)
    assert half.inodes_free_percent == 0


def test_a_file_system_that_counts_no_inodes_is_not_out_of_them() -> None:
    assert host.file_system_of("v", "4096 1000 500 500 0 0").inodes_free_percent is None


@pytest.mark.parametrize("path", ["/no/such/path", "/tmp/$(touch x)' \"; false"])  # noqa: S108
def test_a_path_that_is_not_there_is_unverifiable(path: str) -> None:
    with pytest.raises(Unverifiable, match="No such file"):
        Host(5).file_system(path)


def test_a_volume_of_a_remote_engine_is_not_mistaken_for_a_folder_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    mount = Mount("data", "volume", "/data", str(tmp_path))
    with pytest.raises(Unverifiable, match="file system of data"):
        Host(10).volume(container(running=False), mount)


@contextmanager
def server(body: bytes) -> Iterator[str]:
    def answer(exchange: Exchange) -> None:
        exchange.start(418, {"Set-Cookie": "session=abcdef123456", "Content-Length": str(len(body))})
        exchange.write(body)

    with running() as served:
        served.answers["GET /x"] = answer
        yield f"{served.url}/x"


def test_an_exchange_is_kept_without_secrets() -> None:
    with server(b'{"access_token": "t0ken", "user": "ada"}') as url:
        answer = fetch(Request("GET", url, token=SecretStr("bearer-token-of-ada")), 10)

    assert answer.status == 418
    text = latest()[-1]
    assert text.startswith(f"GET {url}\n418, ")
    assert '{"access_token": "[redacted]", "user": "ada"}' in text
    for secret in ("t0ken", "abcdef123456", "bearer-token-of-ada"):
        assert secret not in text


def test_https_trusts_whom_the_environment_names_else_certifi_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    every = Path(certifi.where()).read_text(encoding="utf-8")
    ending = "-----END CERTIFICATE-----"
    assert len(_certificates.__wrapped__().get_ca_certs()) == every.count(ending)
    (tmp_path / "one.pem").write_text(every.partition(ending)[0] + ending, encoding="utf-8")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "one.pem"))
    assert len(_certificates.__wrapped__().get_ca_certs()) == 1
