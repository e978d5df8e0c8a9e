"""What an environment may lack: an optional driver, the library of pictures, what only developers have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shlex import quote
from types import SimpleNamespace
from typing import cast

import pytest

from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.errors import ExitCode, Unverifiable
from rollproof.profile.sections import Address
from rollproof.stores.milvus.descriptor import MilvusProfile
from rollproof.stores.registry import open_reader
from tests.conftest import ROOT, write_profile

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
    *("docker", "requests", "urllib3", "rich", "typer", "sqlglot", "apprise", "prometheus_client"),
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
