"""The statements that `init` prints, run as printed on real servers: `doctor` takes their accounts."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
from redis.exceptions import NoPermissionError

from rollproof.doctor.examination import NeedState
from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.profile.profile import Target
from rollproof.stores.registry import endpoint_of
from staging.stack.stack import Stack
from staging.target.operators import undone
from tests.conftest import ROOT
from tests.stack.container_faults import Containers
from tests.stack.test_doctor import told
from tests.stack.verifier import Verifier

SECONDS = 300
# Whose secrets have another name than the service.
SECRETS = {"minio": "s3"}
READER, OPERATOR, CANARY = "rollproof_reader", "rollproof_operator", "rollproof_canary"
TAKEN = {"reader": NeedState.OK, "read-only": NeedState.OK}
# Of accounts that tell their rights.
TOLD = {**TAKEN, "operator": NeedState.OK}


@dataclass
class Printed:
    """The file of statements for a project that has no accounts for `store` yet, beside its profile."""

    folder: Path
    store: str
    passwords: Mapping[str, str] = field(
        default_factory=lambda: {one: secrets.token_hex(12) for one in (READER, OPERATOR, CANARY)}
    )

    @property
    def script(self) -> Path:
        """The file itself."""
        return self.folder / "it.accounts.sh"

    def remarks(self) -> str:
        """Return the statements that are for people, with passwords in their places."""
        text = self.script.read_text(encoding="utf-8")
        part = text.partition(f"\n# --- {self.store} (")[2].partition("\n# --- ")[0]
        said = "\n".join(re.findall(r"^#   (.*)$", part, re.MULTILINE))
        for name, password in self.passwords.items():
            said = said.replace(f"PASSWORD_OF_{name.partition('_')[2].upper()}", password)
        return said

    def account(self, name: str) -> str:
        """Return an account as a profile has it."""
        return as_account(self.folder, name, self.passwords[name])


def as_account(folder: Path, user: str, password: str) -> str:
    """Return an account as a variable of the environment has it, with its password in a file."""
    file = folder / f"password of {user}"
    file.touch(mode=0o600)
    file.write_text(password, encoding="utf-8")
    return json.dumps({"user": user, "password": {"file": str(file)}})


@pytest.fixture
def printed(request: pytest.FixtureRequest, stack: Stack, tmp_path: Path) -> Printed:
    """The statements for the store that the test names."""
    store = request.node.get_closest_marker("parametrize").args[1][0]
    hint = f"docker compose ls --filter name={stack.project}"
    project = json.loads(stack.compose("config", "--format=json", seconds=SECONDS, hint=hint))
    service = project["services"][store]
    own = {
        f"{name}_{role}"
        for name in (store, SECRETS.get(store, ""))
        for role in ("reader", "operator", "root")
    }
    service["secrets"] = [one for one in service["secrets"] if one["source"] not in own]
    (tmp_path / "compose.json").write_text(json.dumps(project), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "rollproof", "init", "--file=compose.json", "--output=it.toml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )
    return Printed(tmp_path, store)


def examined(verifier: Verifier, store: str, **accounts: str) -> dict[str, NeedState]:
    """Return what `doctor` says of a store with other accounts: of its reader, its operator, its rights."""
    found = told(verifier, **{f"STORES__{store.upper()}__{key}": value for key, value in accounts.items()})
    lines = {line.name.removeprefix(f"{store} "): line for line in found.lines if line.name.startswith(store)}
    return {name: lines[name].state for name in TOLD if name in lines}


@pytest.fixture
def place(printed: Printed, target: Target, engine: ContainerEngine) -> Endpoint:
    """The address of the store."""
    return endpoint_of(target.stores[printed.store], engine)


@pytest.mark.parametrize("store", ["redis"])
def test_the_acl_of_redis(
    store: str, printed: Printed, place: Endpoint, stack: Stack, containers: Containers, verifier: Verifier
) -> None:
    operator = (stack.state.secrets / "redis_operator").read_text(encoding="utf-8").strip()
    cli = ("redis-cli", "--user", "operator", "--pass", operator, "--no-auth-warning")

    def said(text: str) -> list[str]:
        return subprocess.run(
            ["docker", "exec", "-i", containers.of(store).id, *cli],
            input=text,
            text=True,
            capture_output=True,
            check=True,
            timeout=SECONDS,
        ).stdout.split()

    with undone(lambda: said(f"ACL DELUSER {READER} {OPERATOR} {CANARY}\n")):
        assert said(f"{printed.remarks()}\n") == ["OK"] * 5
        accounts = {"READER": printed.account(READER), "OPERATOR": printed.account(OPERATOR)}
        assert examined(verifier, store, **accounts) == TAKEN
        with redis.Redis(
            place.host, place.port, username=CANARY, password=printed.passwords[CANARY]
        ) as canary:
            assert canary.unlink("token:nobody") == 0
            with pytest.raises(NoPermissionError):
                canary.set("token:nobody", "x")
            with pytest.raises(NoPermissionError):
                canary.unlink("user:nobody")
