"""Real servers that hold a part of the records, or those of a moment ago: each is refused, and named."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymongo
import pytest
from pydantic import SecretStr
from pymongo.errors import PyMongoError

from rollproof.engines.engine import Endpoint
from rollproof.errors import Unverifiable
from rollproof.profile.sections import Account, Address
from rollproof.stores.mongodb.descriptor import MongodbProfile
from rollproof.stores.mongodb.reader import MongodbReader
from rollproof.stores.reach import Readable
from rollproof.stores.reader import Reader
from rollproof.stores.redis.descriptor import RedisProfile
from rollproof.stores.redis.reader import RedisReader
from tests.stack.container_faults import Containers
from tests.stack.scratch_project import docker
from tests.stack.scratch_stores import SECRET
from tests.waiting import until

ACCOUNT = Account(user="scratch", password=SecretStr(SECRET))
MASTER = ("--user", "scratch", "on", f">{SECRET}", "~*", "+@all")


@contextmanager
def server(containers: Containers, service: str, port: int, *command: str) -> Iterator[Endpoint]:
    """Run another server of the image of a store of the stack, at a port of its own."""
    image = docker("inspect", "--format={{.Image}}", containers.of(service).id)
    name = f"rollproof-test-{uuid.uuid4().hex[:8]}"
    limits = ("--memory=1g", "--tmpfs=/data", f"--publish=127.0.0.1::{port}")
    entry = f"--entrypoint={command[0]}"
    docker("run", "--detach", "--user=0", f"--name={name}", *limits, entry, image, *command[1:])
    try:
        _, _, published = docker("port", name, str(port)).splitlines()[0].rpartition(":")
        yield Endpoint("127.0.0.1", int(published))
    finally:
        docker("rm", "--force", "--volumes", name)


def refusal(view: Reader) -> Unverifiable | None:
    """Return what the server is refused for."""
    try:
        view.ask()
    except Unverifiable as problem:
        return problem
    finally:
        view.close()
    return None


def until_answered(view: Reader) -> str:
    """Return what the server is refused for, once it answers at all."""

    def answers(refused: Unverifiable | None) -> bool:
        return refused is None or str(refused.expected).startswith("a server alone")

    return str(until(lambda: refusal(view), answers) or "")


def redis_view(endpoint: Endpoint) -> Reader:
    profile = RedisProfile(
        kind="redis",
        address=Address(host="127.0.0.1", port=endpoint.port),
        services=("redis",),
        risk="low",
        reader=ACCOUNT,
        operator=ACCOUNT,
    )
    return RedisReader(Readable("redis", profile, endpoint))


@pytest.mark.parametrize(
    ("options", "observed"),
    [
        ((), ""),
        (("--cluster-enabled", "yes"), "observed mode cluster, role master"),
        (("--replicaof", "192.0.2.1", "6379"), "observed mode standalone, role replica"),
    ],
    ids=["alone", "cluster", "replica"],
)
def test_only_a_redis_that_holds_all_keys_is_read(
    containers: Containers, options: tuple[str, ...], observed: str
) -> None:
    command = ("redis-server", "--dir", "/data", "--protected-mode", "no", *options, *MASTER)
    with server(containers, "redis", 6379, *command) as endpoint:
        said = until_answered(redis_view(endpoint))
    assert observed in said
    assert bool(said) == bool(observed)


def mongodb_view(endpoint: Endpoint) -> Reader:
    profile = MongodbProfile(
        kind="mongodb",
        address=Address(host="127.0.0.1", port=endpoint.port),
        services=("mongodb",),
        risk="low",
        databases=("scratch",),
        reader=ACCOUNT,
        operator=ACCOUNT,
    )
    return MongodbReader(Readable("mongodb", profile, endpoint))


def commanded(endpoint: Endpoint, *commands: dict[str, Any]) -> None:
    """Run commands on a server without accounts, once it answers."""
    client: pymongo.MongoClient[Any] = pymongo.MongoClient(
        "127.0.0.1", endpoint.port, directConnection=True, serverSelectionTimeoutMS=20_000
    )
    with client:
        for command in commands:
            client.admin.command(command)


def test_only_a_mongodb_that_has_all_documents_of_now_is_read(containers: Containers) -> None:
    command = ("mongod", "--dbpath", "/data", "--bind_ip_all", "--replSet", "scratch")
    member = {"_id": 0, "host": "127.0.0.1:27017"}
    user = {"createUser": "scratch", "pwd": SECRET, "roles": ["root"]}
    with server(containers, "mongodb", 27017, *command, "--wiredTigerCacheSizeGB", "0.25") as endpoint:
        commanded(endpoint, {"replSetInitiate": {"_id": "scratch", "members": [member]}})
        until(lambda: accepted(endpoint, user))
        assert "a server alone" not in str(refusal(mongodb_view(endpoint)))
        commanded(endpoint, {"replSetStepDown": 600, "force": True})
        assert "a secondary" in until_answered(mongodb_view(endpoint))


def accepted(endpoint: Endpoint, command: dict[str, Any]) -> bool:
    """Return whether the server has become one that takes the command."""
    try:
        commanded(endpoint, command)
    except PyMongoError:
        return False
    return True
