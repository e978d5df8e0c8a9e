from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from rollback_actions.containers.compose import ComposeControl
from rollback_actions.containers.control import open_control
from rollproof.engines.engine import Container, ContainerEngine, open_engine
from rollproof.profile.profile import Engine
from staging.stack.slot import first_slot
from tests.running.cut import VARIANT
from tests.stack.swarm import NODES, docker, make_images, two_nodes

SECONDS = 60.0
PORT = 18_000 + first_slot()
# `api` ends when it finds the file /die; `web` publishes its port, and has files.
DESCRIBED = f"""
services:
  api:
    image: ${{IMAGE}}
    environment: {{MODE: "${{MODE}}"}}
    command: [sh, -c, "echo hello; while sleep 0.2; do test ! -e /die || exit 3; done"]
    healthcheck: {{test: [CMD, test, "!", -e, /sick], interval: 300ms, retries: 1}}
    stop_grace_period: 100ms
    deploy: &deploy
      replicas: 2
      endpoint_mode: dnsrr
      restart_policy: {{condition: any, delay: 500ms}}
      update_config: {{parallelism: 2, monitor: 100ms, order: stop-first}}
  web:
    image: ${{IMAGE}}
    command: [httpd, -f, -p, "8000", -h, /bin]
    stop_grace_period: 100ms
    ports: [{{target: 8000, published: {PORT}, mode: host}}]
    volumes: ["files:/files"]
    deploy:
      <<: *deploy
      replicas: 1
      placement: {{constraints: [node.hostname==node-a]}}
volumes: {{files: {{}}}}
"""
REPLICAS = {"api": 2, "web": 1}


@dataclass
class Deployed:
    """A running project of `DESCRIBED` on one kind of engine; `images` are the ids of two releases."""

    profile: Engine
    engine: ContainerEngine
    control: ComposeControl
    images: tuple[str, str]

    def of(self, service: str) -> tuple[Container, ...]:
        """Return the containers of `service`, as they are now."""
        return self.engine.containers()[service]

    def deploy(self, release: int = 1, mode: str = "one", *services: str) -> None:
        """Put `services`, by default all, on the image of a release, and wait for their health."""
        os.environ["MODE"] = mode
        images = dict.fromkeys(services or REPLICAS, self.images[release - 1])
        replicas = {service: REPLICAS[service] for service in images}
        self.control.recreate(images, deadline=SECONDS, replicas=replicas)


@pytest.fixture(scope="module", params=["compose", pytest.param("swarm", marks=VARIANT)])
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp(request.param)
    file = folder / "compose.yaml"
    file.write_text(DESCRIBED)
    project = f"rollproof-test-{uuid.uuid4().hex[:8]}"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("IMAGE", "rollproof-tiny:1")
        patched.setenv("MODE", "one")
        if request.param == "swarm":
            profile = Engine(kind="swarm", project=project, files=(file,), nodes=NODES)
            with two_nodes():
                images = make_images(folder, ["node-a", "node-b"])
                yield _deployed(profile, images)
            return
        profile = Engine(kind="compose", project=project, files=(file,))
        words = ("compose", "--project-name", project, "--file", str(file))
        images = make_images(folder, ["default"])
        try:
            docker(*words, "create", "--no-build")
            yield _deployed(profile, images)
        finally:
            docker(*words, "down", "--timeout=0", "--volumes")
            docker("image", "rm", "--force", *images)


def _deployed(profile: Engine, images: tuple[str, str]) -> Deployed:
    deployed = Deployed(profile, open_engine(profile), open_control(profile), images)
    deployed.deploy()
    return deployed
