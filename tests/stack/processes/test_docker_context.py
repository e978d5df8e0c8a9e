"""Which engine is asked: the SDK and the command line of docker get the same one, of a context too."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from rollproof.engines.address import DEFAULT_HOST, endpoint, engine_is_here
from rollproof.system.command import inherited
from rollproof.system.docker_context import context_name

HOSTS = {"rootless": "unix:///run/user/1000/docker.sock", "remote": "tcp://192.0.2.1:2375"}


@pytest.fixture
def contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's own settings with two contexts, of which none is in use."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name, host in HOSTS.items():
        folder = tmp_path / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
        folder.mkdir(parents=True)
        meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
        (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    use(tmp_path, "{}")
    return tmp_path


def use(folder: Path, settings: str) -> None:
    (folder / "config.json").write_text(settings, encoding="utf-8")


def cli_endpoint() -> str:
    """What docker itself says that a program of ours would ask."""
    form = "{{.Endpoints.docker.Host}}"
    done = subprocess.run(
        ["docker", "context", "inspect", inherited()["DOCKER_CONTEXT"], "--format", form],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=inherited(),
    )
    return done.stdout.strip()


def _agree(host: str) -> None:
    assert endpoint() == host
    assert engine_is_here() == host.startswith("unix://")
    if shutil.which("docker"):
        assert cli_endpoint() == host


def test_without_a_context_it_is_this_hosts_engine(contexts: Path) -> None:
    assert context_name() == "default"
    _agree(DEFAULT_HOST)
    use(contexts, '{"currentContext": ')
    _agree(DEFAULT_HOST)


@pytest.mark.parametrize(("name", "host"), HOSTS.items())
def test_the_context_in_use_is_asked(
    contexts: Path, name: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(contexts, json.dumps({"currentContext": name}))
    assert context_name() == inherited()["DOCKER_CONTEXT"] == name
    _agree(host)
    other = next(one for one in HOSTS if one != name)
    monkeypatch.setenv("DOCKER_CONTEXT", other)
    _agree(HOSTS[other])
    monkeypatch.setenv("DOCKER_HOST", "unix:///mine.sock")
    _agree("unix:///mine.sock")
