"""A test's own compose project, on an image of the stack, for tests that must not touch the stack."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import Container
from rollproof.profile.profile import Engine
from tests.waiting import until

# `data` holds a volume, is healthy until /data/sick exists, and gives up when /data/dead exists at its start.
COMPOSE_FILE = """
services:
  data:
    image: {image}
    build: {{context: .}}
    user: "0:0"
    init: true
    entrypoint: [sh, -c, "test ! -e /data/dead && echo started && exec sleep infinity"]
    command: []
    stop_grace_period: 1s
    healthcheck: {{test: [CMD, test, "!", -e, /data/sick], interval: 300ms, timeout: 60s, retries: 1,
      start_period: 1ms}}
    volumes: [data:/data]
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 40
    ports: ["127.0.0.1::7000"]
    labels: {{org.opencontainers.image.revision: 1234abcd}}
  other:
    image: {image}
    entrypoint: [sleep, infinity]
    command: []
    init: true
    stop_grace_period: 1s
    healthcheck: {{disable: true}}
    tmpfs: [/data]  # in place of a volume that the image may declare
volumes:
  data: {{}}
"""


@dataclass(frozen=True, slots=True)
class ScratchProject:
    """The project's two services are `data`, with a volume and a health check, and `other`, with neither."""

    name: str
    file: Path
    image: str
    engine: ComposeEngine
    control: ComposeControl

    def container(self, service: str) -> Container:
        """Return the one container of `service`."""
        (found,) = self.engine.containers()[service]
        return found

    def shell(self, script: str, service: str = "data") -> str:
        """Run a shell script in `service`."""
        return self.control.run(service, ["sh", "-c", script], deadline=60)

    def bring_up(self) -> None:
        """Bring both services to life on their first image, with an empty volume."""
        self.take_down()
        compose(self, "up", "--detach", "--no-build")
        self.control.start(["data", "other"], deadline=60)

    def take_down(self) -> None:
        """Remove containers and volumes."""
        compose(self, "down", "--volumes", "--timeout=1")


def compose(project: ScratchProject, *arguments: str) -> None:
    """Run docker compose on `project`."""
    docker("compose", "--project-name", project.name, "--file", str(project.file), *arguments)


def pause(*containers: str) -> None:
    """Freeze containers, by id or name. The kernel may refuse while processes fork: it is asked again."""
    for container in containers:
        until(partial(_paused, container))


def _paused(container: str) -> bool:
    command = ["docker", "pause", container]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0


def docker(*arguments: str, seconds: float = 180) -> str:
    """Run docker, within three minutes by default, and return what it printed."""
    done = subprocess.run(
        ["docker", *arguments], check=False, capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def own_project(described: str, folder: Path) -> Iterator[tuple[ComposeEngine, ComposeControl]]:
    """Give a healthy project of the compose file `described`, and remove it, with its volumes, at the end."""
    file = folder / "compose.yaml"
    file.write_text(described, encoding="utf-8")
    name = f"rollproof-test-{uuid.uuid4().hex[:8]}"
    project = ("compose", "--project-name", name, "--file", str(file))
    try:
        docker(*project, "up", "--detach", "--wait", "--wait-timeout=180", "--no-build", seconds=240)
        yield ComposeEngine(name, 10), ComposeControl(Engine(kind="compose", project=name, files=(file,)))
    finally:
        docker(*project, "down", "--volumes", "--timeout=1")


@contextmanager
def scratch_project(image: str, folder: Path) -> Iterator[ScratchProject]:
    """Give a running project on `image`, and take it down at the end."""
    file = folder / "compose.yaml"
    file.write_text(COMPOSE_FILE.format(image=image), encoding="utf-8")
    name = f"rollproof-test-{uuid.uuid4().hex[:8]}"
    profile = Engine(kind="compose", project=name, files=(file,))
    project = ScratchProject(name, file, image, ComposeEngine(name, 10), ComposeControl(profile))
    try:
        project.bring_up()
        yield project
    finally:
        project.take_down()
