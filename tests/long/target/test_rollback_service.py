"""Rollbacks of one service on the real stack, whatever its tag means; killed ones are tested elsewhere."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rollproof.backups.images import FILE, image_folder
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ExitCode
from rollproof.profile.profile import Target
from staging.stack.images import PREFIX
from staging.stack.stack import Stack
from staging.target.operators import undone
from tests.running.cut import VARIANT
from tests.stack.verifier import Verifier, expect

# Many commands one after the other, on a machine that others use too.
pytestmark = [pytest.mark.timeout(2400), pytest.mark.usefixtures("settled")]
SECONDS = 120.0


def _id(tag: str) -> str:
    command = ["docker", "image", "inspect", "--format={{.Id}}", tag]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True).stdout.strip()


def _tag(stack: Stack, service: str) -> str:
    return f"{stack.project}/{'backend' if service == 'worker' else service}:current"


@contextmanager
def _on_another_image(stack: Stack, *services: str) -> Iterator[None]:
    """The tags of `services` mean another image, and containers run on it."""
    other = _id(_tag(stack, "nginx") if "nginx" not in services else f"{PREFIX}/redis")
    before = {_tag(stack, service): _id(_tag(stack, service)) for service in services}

    def mean(image: str, tag: str) -> None:
        subprocess.run(["docker", "tag", image, tag], timeout=SECONDS, check=True)

    def undo() -> None:
        for tag, image in before.items():
            mean(image, tag)

    with undone(undo):
        for tag in before:
            mean(other, tag)
        options = ["--detach", "--no-build", "--no-deps", "--force-recreate"]
        # One by one: together, each would wait until those that it depends on are well.
        for service in services:
            stack.compose("up", *options, service, seconds=SECONDS, hint="read the log of the test")
        yield


def _containers(engine: ContainerEngine) -> dict[str, str]:
    return {service: container.id for service, (container,) in engine.containers().items()}


@pytest.mark.parametrize("service", ["backend", pytest.param("nginx", marks=VARIANT)])
def test_a_service_goes_back_to_the_image_that_was_recorded(
    verifier: Verifier, stack: Stack, engine: ContainerEngine, service: str
) -> None:
    recorded = {c.service: c.image_id for c in verifier.baseline.facts.containers}
    with _on_another_image(stack, service):
        before = _containers(engine)
        assert engine.containers()[service][0].image_id != recorded[service]
        done = verifier.script(f"rollback/service_{service}.sh")
        assert done.returncode == ExitCode.VERIFIED, done.stderr
        (container,) = engine.containers()[service]
        assert (container.image_id, container.health) == (recorded[service], "healthy")
        # The next `docker compose up` finds what runs.
        assert _id(_tag(stack, service)) == recorded[service]
        after = _containers(engine)
        assert {name for name in after if after[name] != before[name]} == {service}


@pytest.mark.long(minutes=1)
def test_images_that_were_pruned_come_back_from_the_backup(
    verifier: Verifier, stack: Stack, engine: ContainerEngine, target: Target
) -> None:
    services, backup = target.application.services, verifier.take_backup(images=True)
    recorded = verifier.baseline.facts.images(services)
    copies = {image: image_folder(backup.parent, image) / FILE for image in recorded.values()}

    def load() -> None:
        for copy in copies.values():
            subprocess.run(["docker", "image", "load", "--input", str(copy)], timeout=SECONDS, check=True)

    # As after a migration and a prune: no container runs on them, and nothing else names them.
    with _on_another_image(stack, *services), undone(load):
        subprocess.run(["docker", "image", "rm", "--force", *copies], timeout=SECONDS, check=True)
        done = verifier.actions("rollback", "full", verifier.baseline.facts.commit)
        assert done.returncode == ExitCode.VERIFIED, done.stdout + done.stderr
        assert f"{len(copies)} images were gone, and loaded from the backup" in done.stderr
        found = engine.containers()
        assert {service: found[service][0].image_id for service in services} == recorded
        assert {service: _id(_tag(stack, service)) for service in services} == recorded
    expect(verifier.run("phase1", incident=verifier.incident_of(done.stdout).name), {})
