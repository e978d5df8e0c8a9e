"""The ACL of Redis that `init` prints, typed as printed into the real server: `doctor` takes its accounts."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from redis.exceptions import NoPermissionError

from rollproof.doctor.examination import NeedState
from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target
from rollproof.stores.registry import endpoint_of
from staging.stack.stack import Stack
from staging.target.operators import undone
from tests.conftest import ROOT
from tests.stack.container_faults import Containers
from tests.stack.target.test_doctor import told
from tests.stack.verifier import Verifier

SECONDS = 300
READER, OPERATOR, CANARY = "rollproof_reader", "rollproof_operator", "rollproof_canary"


def _printed(stack: Stack, folder: Path) -> str:
    """Return the statements for Redis, for people, of a project that has no accounts there yet."""
    hint = f"docker compose ls --filter name={stack.project}"
    project = json.loads(stack.compose("config", "--format=json", seconds=SECONDS, hint=hint))
    service = project["services"]["redis"]
    own = {f"redis_{role}" for role in ("reader", "operator", "root")}
    service["secrets"] = [one for one in service["secrets"] if one["source"] not in own]
    (folder / "compose.json").write_text(json.dumps(project), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "rollproof", "init", "--file=compose.json", "--output=it.toml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )
    text = (folder / "it.accounts.sh").read_text(encoding="utf-8")
    part = text.partition("\n# --- redis (")[2].partition("\n# --- ")[0]
    return "\n".join(re.findall(r"^#   (.*)$", part, re.MULTILINE))


def _account(folder: Path, user: str, password: str) -> str:
    """Return an account as a variable of the environment has it, with its password in a file."""
    file = folder / f"password of {user}"
    file.touch(mode=0o600)
    file.write_text(password, encoding="utf-8")
    return json.dumps({"user": user, "password": {"file": str(file)}})


def test_the_acl_of_redis(
    target: Target,
    engine: ContainerEngine,
    stack: Stack,
    containers: Containers,
    verifier: Verifier,
    tmp_path: Path,
) -> None:
    operator = (stack.state.secrets / "redis_operator").read_text(encoding="utf-8").strip()
    cli = ("redis-cli", "--user", "operator", "--pass", operator, "--no-auth-warning")

    def said(text: str) -> list[str]:
        return subprocess.run(
            ["docker", "exec", "-i", containers.of("redis").id, *cli],
            input=text,
            text=True,
            capture_output=True,
            check=True,
            timeout=SECONDS,
        ).stdout.split()

    statements, place = _printed(stack, tmp_path), endpoint_of(target.stores["redis"], engine)
    passwords = {one: secrets.token_hex(12) for one in (READER, OPERATOR, CANARY)}
    for name, password in passwords.items():
        statements = statements.replace(f"PASSWORD_OF_{name.partition('_')[2].upper()}", password)
    with undone(lambda: said(f"ACL DELUSER {READER} {OPERATOR} {CANARY}\n")):
        assert said(f"{statements}\n") == ["OK"] * 5
        found = told(
            verifier,
            STORES__REDIS__READER=_account(tmp_path, READER, passwords[READER]),
            STORES__REDIS__OPERATOR=_account(tmp_path, OPERATOR, passwords[OPERATOR]),
        )
        states = {line.name: line.state for line in found.lines if line.name.startswith("redis")}
        assert states["redis reader"] is states["redis read-only"] is NeedState.OK
        with redis.Redis(place.host, place.port, username=CANARY, password=passwords[CANARY]) as canary:
            assert canary.unlink("token:nobody") == 0
            with pytest.raises(NoPermissionError):
                canary.set("token:nobody", "x")
            with pytest.raises(NoPermissionError):
                canary.unlink("user:nobody")
