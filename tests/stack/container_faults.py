"""Faults of the stack's single containers; each is a context manager that undoes it at its end."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rollproof.engines.engine import Container, ContainerEngine
from staging.stack.stack import Stack
from staging.target.operators import undone
from tests.stack.scratch_project import docker, pause
from tests.waiting import until

WAIT_SECONDS = 180.0
RECREATION_SECONDS = 300.0
# A look takes a quarter of a second: so many periods are in it that a whole one more or less says nothing.
PERIOD_MICROSECONDS = 20_000
QUOTA_MICROSECONDS = 1_000
MOST_SHARES = 262_144
SLEEPERS = 100
# The shell ends what it started, and waits for it: nobody else in a container would.
CROWD = (
    "trap 'kill $all; wait; exit' TERM; echo $$ >/tmp/crowd;"
    f' for each in $(seq {SLEEPERS}); do sleep 300 & all="$all $!"; done; wait'
)
WAKE = "kill -TERM $(cat /tmp/crowd); rm /tmp/crowd"


@dataclass(frozen=True)
class Containers:
    """The containers of the stack."""

    stack: Stack
    engine: ContainerEngine

    def of(self, service: str) -> Container:
        """Return the one container of `service`."""
        (found,) = self.engine.containers()[service]
        return found

    def settings(self, service: str) -> dict[str, Any]:
        """Return what the engine was told about the resources of the container of `service`."""
        found: dict[str, Any] = json.loads(
            docker("inspect", "--format={{json .HostConfig}}", self.of(service).id)
        )
        return found

    def wait_until(self, service: str, **state: object) -> None:
        """Wait until the container of `service` is in a state: ``health="healthy"``."""
        until(lambda: {name: getattr(self.of(service), name) for name in state}, lambda found: found == state)

    def wait_for_processes(self, service: str, count: int) -> None:
        """Wait until the container of `service` has at least as many processes as `count`."""
        until(lambda: self.engine.usage()[self.of(service).id].pids, lambda found: found >= count)

    def recreate(self, service: str) -> None:
        """Put the container of `service` back to what its compose file says."""
        self.stack.compose(
            "up",
            "--detach",
            "--wait",
            "--no-build",
            "--no-deps",
            "--force-recreate",
            service,
            seconds=RECREATION_SECONDS,
            hint=f"docker compose --project-name {self.stack.project} up --detach {service}",
        )

    def restart(self, service: str) -> None:
        """Stop and start the container of `service`: the engine forgets what happened to it."""
        docker("restart", self.of(service).id)
        self.wait_until(service, health="healthy")


@contextmanager
def paused(containers: Containers, *services: str) -> Iterator[None]:
    """The services hold their connections, and answer nothing."""
    ids = [containers.of(service).id for service in services]
    pause(*ids)

    def unpause() -> None:
        docker("unpause", *ids)
        for service in services:
            containers.wait_until(service, health="healthy")

    with undone(unpause):
        yield


@contextmanager
def stopped(containers: Containers, service: str) -> Iterator[None]:
    """The container of `service` has ended."""
    docker("stop", containers.of(service).id)

    def start() -> None:
        docker("start", containers.of(service).id)
        containers.wait_until(service, health="healthy")

    with undone(start):
        yield


@contextmanager
def restarted_by_itself(containers: Containers, service: str) -> Iterator[None]:
    """The first process of `service` ended, and the engine started it again."""
    container = containers.of(service)
    docker("update", "--restart=always", container.id)

    def put_back() -> None:
        docker("update", "--restart=no", container.id)
        containers.restart(service)

    with undone(put_back):
        docker("exec", container.id, "sh", "-c", "kill -TERM 1")
        containers.wait_until(service, restarts=1, health="healthy")
        yield


@contextmanager
def killed_for_memory(containers: Containers, service: str) -> Iterator[None]:
    """The kernel has killed a process of `service` that wanted more memory than its limit."""
    container = containers.of(service)
    with undone(lambda: containers.restart(service)):
        greedy = ["docker", "exec", container.id, "sh", "-c", "head -c 1G /dev/zero | tail"]
        subprocess.run(greedy, check=False, capture_output=True, timeout=WAIT_SECONDS)
        containers.wait_until(service, oom_killed=True)
        yield


@contextmanager
def other_image(containers: Containers, service: str, revision: str) -> Iterator[None]:
    """The tag of `service`'s image means another image, of another commit; its container runs that."""
    container = containers.of(service)
    label = f"LABEL org.opencontainers.image.revision={revision}"
    other = docker("commit", "--change", label, container.id)

    def put_back() -> None:
        docker("tag", container.image_id, container.image)
        containers.recreate(service)
        docker("image", "rm", other)

    with undone(put_back):
        docker("tag", other, container.image)
        containers.recreate(service)
        yield


@contextmanager
def busy(containers: Containers, service: str) -> Iterator[None]:
    """A process of `service` computes without end; its allowance is small, for the machine's sake.

    That little it has before others, however busy the machine is.
    """
    container = containers.of(service)
    allowance = [f"--cpu-period={PERIOD_MICROSECONDS}", f"--cpu-quota={QUOTA_MICROSECONDS}"]
    docker("update", *allowance, f"--cpu-shares={MOST_SHARES}", container.id)
    with undone(lambda: containers.recreate(service)):
        docker("exec", "--detach", container.id, "sh", "-c", "while :; do :; done")
        yield


@contextmanager
def nearly_out_of_memory(containers: Containers, service: str, percent: float) -> Iterator[None]:
    """`service` uses `percent` of its memory limit, which is lowered for that."""
    container, settings = containers.of(service), containers.settings(service)
    limit = int(containers.engine.usage()[container.id].memory * 100 / percent)

    def set_limit(memory: int, swap: int) -> None:
        docker("update", f"--memory={memory}", f"--memory-swap={swap}", container.id)

    with undone(lambda: set_limit(settings["Memory"], settings["MemorySwap"])):
        set_limit(limit, limit)
        yield


@contextmanager
def nearly_out_of_processes(containers: Containers, service: str, percent: float) -> Iterator[None]:
    """`service` has `percent` of the processes that it may have; most of them sleep, and are no part of it.

    A store that is left without another thread of its own may abort.
    """
    container, settings = containers.of(service), containers.settings(service)
    with undone(lambda: docker("exec", container.id, "sh", "-c", WAKE)):
        docker("exec", "--detach", container.id, "sh", "-c", CROWD)
        containers.wait_for_processes(service, SLEEPERS)
        limit = int(containers.engine.usage()[container.id].pids * 100 / percent)
        with undone(lambda: docker("update", f"--pids-limit={settings['PidsLimit']}", container.id)):
            docker("update", f"--pids-limit={limit}", container.id)
            yield


@contextmanager
def extra_container(
    containers: Containers, service: str, volumes: dict[str, str], script: str
) -> Iterator[str]:
    """There is one more container of the project, which runs `script` and then sleeps; give its name.

    `volumes` maps names of new volumes, which are in memory and mounted at ``/<name>``, to their options.
    """
    name = f"{containers.stack.project}-{service}-{uuid.uuid4().hex[:8]}"
    labels = {"project": containers.stack.project, "service": service, "oneoff": "False"}
    options = [f"--label=com.docker.compose.{key}={value}" for key, value in labels.items()]
    options += [f"--volume={volume}:/{volume}" for volume in volumes]

    def remove() -> None:
        docker("rm", "--force", "--volumes", name)
        if volumes:
            docker("volume", "rm", "--force", *volumes)

    with undone(remove):
        for volume, setting in volumes.items():
            memory = ["--opt=type=tmpfs", "--opt=device=tmpfs", f"--opt=o={setting}"]
            docker("volume", "create", "--driver=local", *memory, volume)
        image = containers.of("frontend").image_id
        command = ["--entrypoint=sh", image, "-c", f"{script}; exec sleep 600"]
        docker("run", "--detach", "--no-healthcheck", f"--name={name}", *options, *command)
        yield name
