"""What an environment has: which engine its docker context means, and which packages it may lack."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from shlex import quote
from types import SimpleNamespace
from typing import cast

import pytest

from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.engines.host import DEFAULT_HOST, endpoint, engine_is_here
from rollproof.errors import ExitCode, Unverifiable
from rollproof.profile.sections import Address
from rollproof.stores.milvus.descriptor import MilvusProfile
from rollproof.stores.registry import open_reader
from rollproof.system.command import context_name, inherited
from tests.conftest import ROOT, write_profile

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


# Of the group `dev`, what Python code imports.
DEVELOPERS = [
    "hypothesis",
    "sklearn",
    "aiokafka",
    "confluent_kafka",
    "jwt",
    "fastapi",
    "uvicorn",
]
# What the operator would wait for before the first check, which needs none of it.
SLOW = [
    *("pymysql", "psycopg", "pymongo", "redis", "minio", "kafka", "pymilvus", "numpy", "httpx", "matplotlib"),
    "qdrant_client",
    *("docker", "requests", "urllib3", "rich", "typer", "apprise", "prometheus_client"),
    *("cryptography", "distributed"),
]
WITHOUT = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {DEVELOPERS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
import pytest
code = pytest.main(sys.argv[1:])
print("IMPORTED", sorted(set({SLOW}) & set(sys.modules)))
sys.exit(code)
"""


def test_a_store_whose_driver_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("rollproof.stores.milvus")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    profile = MilvusProfile(
        kind="milvus", address=Address(host="127.0.0.1", port=9), services=("milvus",), risk="high"
    )
    engine = SimpleNamespace(resolve=lambda _: Endpoint("127.0.0.1", 9))
    with pytest.raises(Unverifiable) as caught:
        open_reader("milvus", profile, cast("ContainerEngine", engine))
    assert str(caught.value) == (
        "rollproof.stores.milvus.reader: expected the package pymilvus, observed none"
        f" (from the environment {sys.prefix})\n"
        f"HINT: install all that operators.lock names: uv pip install "
        f"--python={quote(sys.executable)} --requirement={quote(str(ROOT / 'operators.lock'))}"
    )


def test_a_run_of_an_operator_needs_nothing_that_only_developers_have_and_imports_nothing_slow(
    tmp_path: Path,
) -> None:
    options = ("-m", "phase1", "--collect-only", f"--target={write_profile(tmp_path)}")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ExitCode.VERIFIED, done.stdout + done.stderr
    assert "IMPORTED []" in done.stdout
