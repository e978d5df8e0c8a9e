"""Rollbacks of code on the real stack: one service or all of them, whatever the tags mean; data stays."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ExitCode
from fixtures.git import git, head
from fixtures.target import Target
from rollback_actions.commit import check_out
from rollback_actions.containers import ContainerControl
from staging.operators import Operators, undone
from staging.stack import Stack
from tests.stack.verifier import Verifier, expect

SECONDS = 120.0


def _id(tag: str) -> str:
    command = ["docker", "image", "inspect", "--format={{.Id}}", tag]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True).stdout.strip()


def _tag(service: str) -> str:
    return f"rollproof-staging/{'backend' if service == 'worker' else service}:current"


@contextmanager
def _on_another_image(stack: Stack, *services: str) -> Iterator[None]:
    """The tags of `services` mean another image, and containers run on it."""
    other = _id("rollproof-staging/nginx:current" if "nginx" not in services else "rollproof-staging/redis")
    before = {_tag(service): _id(_tag(service)) for service in services}

    def mean(image: str, tag: str) -> None:
        subprocess.run(["docker", "tag", image, tag], timeout=SECONDS, check=True)

    def undo() -> None:
        for tag, image in before.items():
            mean(image, tag)

    with undone(undo):
        for tag in before:
            mean(other, tag)
        options = ["--detach", "--no-build", "--no-deps", "--force-recreate"]
        stack.compose("up", *options, *services, seconds=SECONDS, hint="read the log of the test")
        yield


def _containers(engine: ContainerEngine) -> dict[str, str]:
    return {service: container.id for service, (container,) in engine.containers().items()}


@contextmanager
def _marked(operators: Operators) -> Iterator[None]:
    """Data that came after the baseline is there, and is there still at the end."""
    marks = operators.mongodb["mongodb"]["written_since"]
    marks.insert_one({"written": "since"})
    with undone(lambda: operators.mongodb["mongodb"].drop_collection("written_since")):
        yield
        assert marks.count_documents({}) == 1


@pytest.mark.parametrize("service", ["frontend", "backend", "nginx"])
def test_a_service_goes_back_to_the_image_that_was_recorded(
    verifier: Verifier,
    stack: Stack,
    engine: ContainerEngine,
    operators: Operators,
    service: str,
) -> None:
    recorded = {c.service: c.image_id for c in verifier.baseline.facts.containers}
    with _marked(operators), _on_another_image(stack, service):
        before = _containers(engine)
        assert engine.containers()[service][0].image_id != recorded[service]
        plan = verifier.actions("plan", "--service", service)
        assert f"next: {stack.root}/deploy/rollback/service_{service}.sh" in plan.stdout, plan.stderr
        done = verifier.script(f"rollback/service_{service}.sh")
        assert done.returncode == ExitCode.VERIFIED, done.stderr
        (container,) = engine.containers()[service]
        assert (container.image_id, container.health) == (recorded[service], "healthy")
        # The next `docker compose up` finds what runs.
        assert _id(_tag(service)) == recorded[service]
        after = _containers(engine)
        assert {name for name in after if after[name] != before[name]} == {service}
    status = verifier.actions("rollback", "status")
    assert status.returncode == ExitCode.VERIFIED, status.stdout + status.stderr
    assert f"rollback: service {service} to {verifier.baseline.facts.commit}" in status.stdout
    incident = Path(next(line for line in done.stdout.splitlines() if line.startswith("incident: "))[10:])
    assert f"--incident={incident.name}" in status.stdout
    expect(verifier.run("phase1 or phase2", "-n2", incident=incident.name), {})


def test_the_card_is_of_this_moment(
    verifier: Verifier, engine: ContainerEngine, control: ContainerControl
) -> None:
    said = verifier.actions("card")
    assert said.returncode == ExitCode.VERIFIED, said.stderr
    assert f"deploy/rollback/emergency_rollback.sh {verifier.baseline.facts.commit} --target=" in said.stdout
    assert "every service runs" in said.stdout
    (health,) = (line.strip() for line in said.stdout.splitlines() if line.startswith("  curl "))
    asked = subprocess.run(health.split(), capture_output=True, text=True, timeout=SECONDS, check=True)
    assert "UP" in asked.stdout
    try:
        control.stop(["frontend"], deadline=SECONDS)
        assert "in trouble: frontend" in verifier.actions("card").stdout
    finally:
        control.start(["frontend"], deadline=SECONDS)
    assert engine.containers()["frontend"][0].health == "healthy"


def test_a_service_that_is_gone_is_created_anew(verifier: Verifier, engine: ContainerEngine) -> None:
    (container,) = engine.containers()["frontend"]
    subprocess.run(
        ["docker", "rm", "--force", container.id], timeout=SECONDS, check=True, capture_output=True
    )
    done = verifier.script("rollback/service_frontend.sh")
    assert done.returncode == ExitCode.VERIFIED, done.stderr
    (again,) = engine.containers()["frontend"]
    assert (again.image_id, again.health) == (container.image_id, "healthy")


def test_a_full_rollback_puts_code_and_images_back_and_leaves_data(
    verifier: Verifier,
    stack: Stack,
    engine: ContainerEngine,
    operators: Operators,
    target: Target,
    tmp_path: Path,
) -> None:
    facts, repository = verifier.baseline.facts, target.application.repository
    services = target.application.services
    recorded = {c.service: c.image_id for c in facts.containers if c.service in services}
    with _marked(operators), undone(lambda: check_out(repository, facts.commit, tmp_path)):
        check_out(repository, git(repository, "rev-parse", "release-2^{commit}"), tmp_path)
        with _on_another_image(stack, "frontend", "backend"):
            stores = {name: one for name, one in _containers(engine).items() if name not in services}
            done = verifier.actions("rollback", "full", facts.commit[:10])
            assert done.returncode == ExitCode.VERIFIED, done.stderr
        assert head(repository) == facts.commit
        now = engine.containers()
        assert {service: now[service][0].image_id for service in services} == recorded
        assert {name: one for name, one in _containers(engine).items() if name not in services} == stores
    assert "keep what is there now" not in done.stderr
    expect(verifier.run("phase1 or phase2", "-n2"), {})


def test_an_image_that_is_gone_is_found_before_anything_stops(
    verifier: Verifier, engine: ContainerEngine
) -> None:
    gone = "sha256:" + "0" * 64
    beside = verifier.restated(
        lambda facts: replace(facts, containers=tuple(replace(c, image_id=gone) for c in facts.containers))
    )
    before = _containers(engine)
    done = verifier.actions(
        "rollback", "service", "frontend", ROLLPROOF_FOLDERS__BASELINES=str(beside.parent)
    )
    assert done.returncode == ExitCode.FAILED, done.stdout
    assert "look for the image of frontend" in done.stderr
    assert "MANUAL INTERVENTION" in done.stderr
    assert "Traceback" not in done.stderr
    assert _containers(engine) == before
    assert engine.containers()["frontend"][0].running
