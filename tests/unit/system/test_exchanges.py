"""HTTP exchanges as evidence: without secrets, bounded, also of a request that had no answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi
import pytest
from pydantic import SecretStr

from rollproof.system.http import Request, _certificates, fetch, latest
from tests.world.application import Exchange, running


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
