"""The statements that `init` prints, run as printed on real servers: `doctor` takes their accounts."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pymongo
import pytest
import redis
import urllib3
from minio import Minio
from minio.credentials.credentials import Credentials
from minio.error import S3Error
from minio.signer import _sign_v4
from pymilvus import MilvusClient
from pymongo.errors import OperationFailure
from redis.exceptions import NoPermissionError

from rollproof.doctor.examination import NeedState
from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.profile.mistakes import UNANSWERED
from rollproof.profile.profile import Target
from rollproof.stores.registry import endpoint_of
from staging.stack.stack import Stack
from staging.target.operators import undone
from tests.conftest import ROOT
from tests.stack.container_faults import Containers
from tests.stack.scratch_project import docker
from tests.stack.test_doctor import told
from tests.stack.verifier import Verifier

SECONDS = 300
INSTALLING_SECONDS = 900
MONGOSH = "mongosh@2.12.0"
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
    # Without it, nobody knows that this server asks who its clients are.
    if store == "milvus":
        service["environment"] = {"COMMON_SECURITY_AUTHORIZATIONENABLED": "true"}
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


@pytest.mark.parametrize("store", ["milvus"])
def test_the_calls_for_milvus(
    store: str,
    printed: Printed,
    place: Endpoint,
    stack: Stack,
    verifier: Verifier,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = (stack.state.secrets / "milvus_root").read_text(encoding="utf-8").strip()
    monkeypatch.setenv("MILVUS_ROOT_PASSWORD", root)
    address = f"http://{place.host}:{place.port}"
    calls = re.sub(r"http://HOST:\d+", address, printed.remarks())
    client = MilvusClient(address, user="root", password=root)

    def forget() -> None:
        client.drop_user(READER)
        for one in client.describe_role(READER)["privileges"]:
            client.revoke_privilege(READER, one["object_type"], one["privilege"], one["object_name"])
        client.drop_role(READER)
        client.close()

    with undone(forget):
        exec(calls, {})  # noqa: S102 - what a person would paste
        assert examined(verifier, store, READER=printed.account(READER)) == TAKEN
        reader = MilvusClient(address, user=READER, password=printed.passwords[READER])
        with pytest.raises(grpc.RpcError, match="permission deny"):
            reader.drop_collection(client.list_collections()[0])
        reader.close()


@pytest.fixture(scope="module")
def mongosh() -> Path:
    """The folder of MongoDB's shell, from npm; kept with the checkout's other tools."""
    folder = ROOT / ".tools" / MONGOSH
    programs = folder / "node_modules" / ".bin"
    if not (programs / "mongosh").exists():
        if (npm := shutil.which("npm")) is None:
            pytest.skip("no npm, which MongoDB's shell comes from")
        folder.mkdir(parents=True, exist_ok=True)
        words = ("install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), MONGOSH)
        subprocess.run([npm, *words], check=True, capture_output=True, timeout=INSTALLING_SECONDS)
    return programs


@pytest.mark.long(minutes=4)
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("store", ["mongodb"])
def test_the_script_for_mongodb(
    store: str,
    printed: Printed,
    place: Endpoint,
    stack: Stack,
    containers: Containers,
    verifier: Verifier,
    mongosh: Path,
) -> None:
    """The image has no shell: the script's own command runs here, in the network of the container."""
    if os.geteuid() != 0:
        pytest.skip("only root enters the network of a container")
    process = docker("inspect", "--format={{.State.Pid}}", containers.of(store).id).strip()
    shim = printed.folder / "bin" / "docker"
    shim.parent.mkdir()
    shim.write_text(
        f'#!/bin/sh\nfor last; do :; done\nexec nsenter --target {process} --net sh -c "$last"\n',
        encoding="utf-8",
    )
    shim.chmod(0o755)
    root = (stack.state.secrets / "mongodb_root").read_text(encoding="utf-8").strip()
    variables = dict(
        zip(
            dict.fromkeys(re.findall(r'^  : "\$\{(\w+):\?', printed.script.read_text(), re.MULTILINE)),
            (printed.passwords[READER], printed.passwords[OPERATOR]),
            strict=True,
        )
    )

    def run(password: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            **variables,
            "PATH": f"{shim.parent}:{mongosh}:{os.environ['PATH']}",
            "HOME": str(printed.folder),
            "MONGO_INITDB_ROOT_USERNAME": "root",
            "MONGO_INITDB_ROOT_PASSWORD": password,
        }
        command = ["sh", str(printed.script), store]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
        )

    uri = f"mongodb://{place.host}:{place.port}/?directConnection=true"
    with pymongo.MongoClient[dict[str, Any]](uri, username="root", password=root) as admin:

        def forget() -> None:
            for name in (READER, OPERATOR):
                admin.admin.command("dropUser", name)

        refused = run("another")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "Authentication failed" in refused.stderr
        with undone(forget):
            for _ in range(2):
                made = run(root)
                assert (made.returncode, made.stdout) == (0, f"{store}: {OPERATOR}, {READER}\n"), made.stderr
            accounts = {"READER": printed.account(READER), "OPERATOR": printed.account(OPERATOR)}
            assert examined(verifier, store, **accounts) == TOLD
            with (
                pymongo.MongoClient[dict[str, Any]](
                    uri, username=READER, password=printed.passwords[READER]
                ) as reader,
                pytest.raises(OperationFailure, match="not authorized"),
            ):
                reader["mongodb"]["nothing"].insert_one({})


class Identities:
    """The IAM API of an S3 server, as its administrator."""

    def __init__(self, place: str, password: str) -> None:
        self.url = urllib.parse.urlsplit(f"http://{place}/")
        self.account = Credentials("operator", password)

    def call(self, action: str, **values: str) -> str:
        """Make one call, and return its answer."""
        body = urllib.parse.urlencode({"Action": action, "Version": "2010-05-08", **values}).encode()
        now, digest = datetime.now(UTC), hashlib.sha256(body).hexdigest()
        signed = _sign_v4(
            service_name="iam",
            method="POST",
            url=self.url,
            region="us-east-1",
            headers={
                "Host": self.url.netloc,
                "Content-Type": "application/x-www-form-urlencoded",
                "X-Amz-Date": now.strftime("%Y%m%dT%H%M%SZ"),
                "X-Amz-Content-Sha256": digest,
            },
            credentials=self.account,
            content_sha256=digest,
            date=now,
        )
        retries = urllib3.Retry(total=60, connect=60, backoff_factor=0.5, backoff_max=2, status=0)
        headers = {name: str(value) for name, value in signed.items()}
        answer = urllib3.request("POST", self.url.geturl(), body=body, headers=headers, retries=retries)
        assert answer.status == 200, answer.data
        return answer.data.decode()

    def user(self, name: str, policy: str) -> tuple[str, str]:
        """Create a user with a policy, and return its two keys."""
        self.call("CreateUser", UserName=name)
        keys = self.call("CreateAccessKey", UserName=name)
        self.call("PutUserPolicy", UserName=name, PolicyName=name, PolicyDocument=policy)
        (identity,) = re.findall("<AccessKeyId>(.*?)<", keys)
        (secret,) = re.findall("<SecretAccessKey>(.*?)<", keys)
        return identity, secret


@pytest.fixture
def server(stack: Stack, containers: Containers) -> Iterator[str]:
    """The address of an S3 server of the test's own, whose IAM API may write: the stack's may not."""
    image = docker("inspect", "--format={{.Config.Image}}", containers.of("minio").id).strip()
    mounted = f"--volume={stack.state.secrets}:/run/secrets:ro"
    one = docker("run", "--detach", "--rm", "--memory=1g", mounted, image, "-s3.iam.readOnly=false").strip()
    with undone(lambda: docker("rm", "--force", "--volumes", one)):
        form = "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        yield f"{docker('inspect', form, one).strip()}:8333"


@pytest.mark.parametrize("store", ["minio"])
def test_the_policies_of_s3(
    store: str, printed: Printed, server: str, stack: Stack, verifier: Verifier, tmp_path: Path
) -> None:
    password = (stack.state.secrets / "s3_operator").read_text(encoding="utf-8").strip()
    found = re.findall(r"^echo '(.*)' > /tmp/(\w+)\.json$", printed.script.read_text(), re.MULTILINE)
    # Nobody has looked into the store: a person puts the name of the bucket into the profile, and here.
    policies = {name: text.replace(UNANSWERED, "minio-file") for text, name in found}
    assert policies.keys() == {READER, OPERATOR}
    identities = Identities(server, password)
    keys = {name: identities.user(name, policy) for name, policy in policies.items()}
    accounts = {
        role: as_account(tmp_path, *keys[name]) for role, name in (("READER", READER), ("OPERATOR", OPERATOR))
    }
    owner = Minio(server, "operator", password, secure=False)
    for bucket in ("minio-file", "tansu"):
        # The server may be about to make it.
        with suppress(S3Error):
            owner.make_bucket(bucket)
        owner.put_object(bucket, "one", io.BytesIO(b"one"), 3)
    host, _, port = server.partition(":")
    address = json.dumps({"service": None, "host": host, "port": int(port)})
    assert examined(verifier, store, ADDRESS=address, **accounts) == TAKEN
    reader = Minio(server, *keys[READER], secure=False)
    assert reader.get_object("minio-file", "one").read() == b"one"
    for attempt in (
        lambda: reader.put_object("minio-file", "two", io.BytesIO(b"two"), 3),
        lambda: reader.remove_object("minio-file", "one"),
        lambda: reader.get_object("tansu", "one"),
    ):
        with pytest.raises(S3Error, match="AccessDenied"):
            attempt()
