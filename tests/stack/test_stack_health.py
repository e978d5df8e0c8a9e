"""Each store's healthcheck fails while the store refuses the application's requests, and recovers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import docker
import pytest
from docker.models.containers import Container

from staging.stack.shape import Shape
from staging.stack.stack import Stack

CALL_SECONDS = 60
RECOVERY_SECONDS = 120
TURN_SECONDS = 120
# A Kafka broker that lost its log goes on answering from what it read some seconds before.
NOTICE_SECONDS = 60


def execute(container: Container, command: list[str]) -> tuple[int, str]:
    """Run a command in a container; return its exit code and what it wrote."""
    code, output = container.exec_run(command)
    assert isinstance(code, int)
    assert isinstance(output, bytes)
    return code, output.decode()


@dataclass(frozen=True)
class Stores:
    """The stores' containers, by service."""

    containers: dict[str, Container]

    def check(self, service: str) -> tuple[int, str]:
        """Run the healthcheck that the engine runs; return its exit code and what it said."""
        container = self.containers[service]
        command = container.attrs["Config"]["Healthcheck"]["Test"]
        assert command[0] == "CMD"
        return execute(container, command[1:])

    def run(self, service: str, script: str) -> str:
        """Run a shell script in a container, as root; it has to succeed."""
        code, output = execute(self.containers[service], ["bash", "-euc", script])
        assert code == 0, output
        return output

    def recovers(self, service: str) -> None:
        """Wait until the healthcheck passes again, and says nothing."""
        give_up = time.monotonic() + RECOVERY_SECONDS
        while (outcome := self.check(service))[0] != 0:
            assert time.monotonic() < give_up, outcome
            time.sleep(0.3)
        assert outcome == (0, "")


@pytest.fixture(scope="module")
def stores(stack: Stack) -> Iterator[Stores]:
    """The containers of the running stack."""
    client = docker.from_env(timeout=CALL_SECONDS)
    names = {status.service: status.container for status in stack.status()}
    yield Stores({service: client.containers.get(names[service]) for service in Shape.USUAL.stores})
    client.close()


Fault = Callable[[Stores], AbstractContextManager[None]]


def stopped(service: str) -> Fault:
    """The process still holds its port, and answers nothing."""

    @contextmanager
    def fault(stores: Stores) -> Iterator[None]:
        stores.containers[service].kill(signal="SIGSTOP")
        try:
            yield
        finally:
            stores.containers[service].kill(signal="SIGCONT")

    return fault


def stopped_for_good(service: str) -> Fault:
    """As `stopped`; but Milvus ends itself when it wakes up after its session has expired: start it anew.

    The first process of its container is not the server, which has the service's name.
    """
    program = f'[ "$(cat "$one/comm")" = {service} ] && kill -STOP "${{one#/proc/}}"'
    script = f"for one in /proc/[0-9]*; do {program} && exit; done; exit 1"

    @contextmanager
    def fault(stores: Stores) -> Iterator[None]:
        stores.run(service, script)
        try:
            yield
        finally:
            stores.containers[service].kill()
            stores.containers[service].start()

    return fault


def changed(service: str, before: str, after: str) -> Fault:
    """One shell script breaks something in the store, another mends it."""

    @contextmanager
    def fault(stores: Stores) -> Iterator[None]:
        stores.run(service, before)
        try:
            yield
        finally:
            stores.run(service, after)

    return fault


def mysql(statement: str) -> str:
    """Return the script that runs a statement as root."""
    return (
        "client=$(command -v mysql || command -v mariadb)\n"
        'MYSQL_PWD=$(cat /run/secrets/mysql_root) "$client" --no-defaults --user=root '
        f'--socket=/run/mysqld/mysqld.sock --execute "{statement}"'
    )


def mongodb(command: str) -> str:
    """Return the script that runs an administration command as root."""
    return (
        '/opt/venv/bin/python -c "\n'
        "from pathlib import Path\n"
        "from pymongo import MongoClient\n"
        "root = Path('/run/secrets/mongodb_root').read_text()\n"
        "app = Path('/run/secrets/mongodb_app').read_text()\n"
        "client = MongoClient(username='root', password=root, directConnection=True, timeoutMS=5000)\n"
        f'client.admin.command({command})"'
    )


def redis(command: str) -> str:
    """Return the script that runs a command as the operator."""
    operator = "REDISCLI_AUTH=$(cat /run/secrets/redis_operator)"
    return f"{operator} redis-cli -e --no-auth-warning --user operator {command}"


def milvus(call: str) -> str:
    """Return the script that makes a call as root."""
    return (
        '/opt/venv/bin/python -c "\n'
        "from pathlib import Path\n"
        "from pymilvus import MilvusClient\n"
        "root = Path('/run/secrets/milvus_root').read_text()\n"
        "app = Path('/run/secrets/milvus_app').read_text()\n"
        "client = MilvusClient(uri='http://127.0.0.1:19530', user='root', password=root, timeout=5)\n"
        f'client.{call}"'
    )


FAULTS: dict[str, tuple[str, Fault]] = {
    "mysql-stopped": ("mysql", stopped("mysql")),
    "mysql-account-gone": (
        "mysql",
        changed(
            "mysql",
            mysql("RENAME USER 'app'@'%' TO 'away'@'%'"),
            mysql("RENAME USER 'away'@'%' TO 'app'@'%'"),
        ),
    ),
    "mysql-read-only": (
        "mysql",
        changed("mysql", mysql("SET GLOBAL read_only = 1"), mysql("SET GLOBAL read_only = 0")),
    ),
    "mongodb-stopped": ("mongodb", stopped("mongodb")),
    "mongodb-other-password": (
        "mongodb",
        changed(
            "mongodb",
            mongodb("'updateUser', 'app', pwd='another'"),
            mongodb("'updateUser', 'app', pwd=app"),
        ),
    ),
    "mongodb-no-primary": (
        "mongodb",
        changed(
            "mongodb",
            mongodb("'replSetStepDown', 60, force=True"),
            mongodb("'replSetFreeze', 0"),
        ),
    ),
    "redis-stopped": ("redis", stopped("redis")),
    "redis-writes-paused": (
        "redis",
        changed("redis", redis("client pause 60000 write"), redis("client unpause")),
    ),
    "redis-account-off": (
        "redis",
        changed("redis", redis("acl setuser app off"), redis("acl setuser app on")),
    ),
    "redis-out-of-memory": (
        "redis",
        changed("redis", redis("config set maxmemory 1"), redis("config set maxmemory 0")),
    ),
    "milvus-other-password": (
        "milvus",
        changed(
            "milvus",
            milvus("update_password('app', app, 'another')"),
            milvus("update_password('app', 'another', app)"),
        ),
    ),
    # After the password: for some seconds after a restart Milvus refuses to change one.
    "milvus-stopped": ("milvus", stopped_for_good("milvus")),
    "qdrant-stopped": ("qdrant", stopped("qdrant")),
    "minio-stopped": ("minio", stopped("minio")),
    "minio-not-versioned-yet": (
        "minio",
        changed(
            "minio",
            "mv /run/seaweedfs/versioned /run/seaweedfs/away",
            "mv /run/seaweedfs/away /run/seaweedfs/versioned",
        ),
    ),
    "kafka-stopped": ("kafka", stopped("kafka")),
    "kafka-host-stopped": ("kafka-host", stopped("kafka-host")),
    "kafka-without-its-log": ("kafka", stopped("minio")),
}


# One of each service; they end in order, which is where its healthcheck is seen green.
ONE_OF_EACH = {
    "mysql-account-gone",
    "mongodb-no-primary",
    "redis-account-off",
    "milvus-other-password",
    "qdrant-stopped",
    "minio-not-versioned-yet",
    "kafka-without-its-log",
    "kafka-host-stopped",
}


def test_every_service_of_a_store_has_a_fault_here() -> None:
    assert {FAULTS[name][0] for name in ONE_OF_EACH} == set(Shape.USUAL.stores)


@pytest.mark.parametrize(
    ("service", "fault"),
    [
        pytest.param(
            *FAULTS[name],
            id=name,
            marks=() if name in ONE_OF_EACH else pytest.mark.long(minutes=0.2),
        )
        for name in FAULTS
    ],
)
def test_a_store_that_refuses_queries_is_unhealthy_until_it_is_in_order(
    stores: Stores, service: str, fault: Fault
) -> None:
    with fault(stores):
        give_up = time.monotonic() + NOTICE_SECONDS
        while (outcome := stores.check(service))[0] == 0 and time.monotonic() < give_up:
            time.sleep(0.5)
    stores.recovers(service)
    assert outcome[0] != 0, "the healthcheck stayed green"


@pytest.mark.long(minutes=0.5)
def test_the_engine_turns_the_container_unhealthy_and_back(stores: Stores) -> None:
    container = stores.containers["redis"]

    def turns(health: str) -> bool:
        give_up = time.monotonic() + TURN_SECONDS
        while time.monotonic() < give_up:
            container.reload()
            if container.attrs["State"]["Health"]["Status"] == health:
                return True
            time.sleep(0.5)
        return False

    assert turns("healthy")
    with stopped("redis")(stores):
        assert turns("unhealthy")
    assert turns("healthy")


def test_what_is_not_qdrant_says_so(stores: Stores) -> None:
    container = stores.containers["qdrant"]
    if "official" in container.labels.get("rollproof.images", ""):
        pytest.skip("the official Qdrant server runs")
    assert container.labels["rollproof.stand-in"] == "true"
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:6333/', timeout=3).read())"
    said = stores.run("qdrant", f'python3 -c "{ask}"')
    assert "stand-in" in said


@pytest.mark.parametrize("service", Shape.USUAL.stores)
def test_limits_and_loopback(stores: Stores, service: str) -> None:
    settings = stores.containers[service].attrs["HostConfig"]
    assert settings["Memory"] > 0
    assert settings["PidsLimit"] > 0
    assert settings["RestartPolicy"]["Name"] == "no"
    bindings = [binding for port in (settings["PortBindings"] or {}).values() for binding in port]
    assert {binding["HostIp"] for binding in bindings} <= {"127.0.0.1"}
