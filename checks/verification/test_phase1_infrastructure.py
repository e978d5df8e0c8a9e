"""Phase 1, 0-2 min: every container runs what was recorded, and nothing it lives on is used up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from fixtures.baseline import Baseline
from fixtures.engines.engine import Container, Usage
from fixtures.errors import Mismatch, Unverifiable
from fixtures.evidence import Saw
from fixtures.recorded import RecordedContainer
from fixtures.target import Target

if TYPE_CHECKING:
    from fixtures.host import FileSystem

pytestmark = [pytest.mark.verification, pytest.mark.phase1]


def test_container_is_running(container: Container, saw: Saw) -> None:
    """Every service that was recorded has a container that runs."""
    saw("running", container.status)
    if not container.running or container.status != "running":
        raise Mismatch(
            what=f"container {container.name}",
            expected="running",
            observed=f"{container.status}, exit code {container.exit_code}",
            source="container engine",
            hint=f"docker logs {container.name}",
        )


def test_container_is_healthy(container: Container, saw: Saw) -> None:
    """A container with a health check is healthy; one without says nothing, and runs."""
    saw("healthy", container.health or "no health check")
    if container.health not in {None, "healthy"}:
        raise Mismatch(
            what=f"health of {container.name}",
            expected="healthy",
            observed=container.health,
            source="container engine",
            hint=f"docker inspect --format '{{{{json .State.Health}}}}' {container.name}",
        )


def test_container_is_not_restarting(container: Container, target: Target, saw: Saw) -> None:
    """No container is in a restart loop."""
    expected = f"at most {target.limits.restarts}, and not restarting now"
    observed = f"{container.restarts}, {container.status}"
    saw(expected, observed)
    if container.restarting or container.restarts > target.limits.restarts:
        raise Mismatch(
            what=f"restarts of {container.name}",
            expected=expected,
            observed=observed,
            source="container engine",
            hint=f"docker logs {container.name}",
        )


def test_container_was_not_killed_for_memory(container: Container, saw: Saw) -> None:
    """No container was killed by the kernel for want of memory."""
    saw("not killed for want of memory", "OOMKilled" if container.oom_killed else "not killed")
    if container.oom_killed:
        raise Mismatch(
            what=f"container {container.name}",
            expected="not killed for want of memory",
            observed="OOMKilled",
            source="container engine",
            hint="raise its memory limit, or see what it used the memory for",
        )


def test_container_runs_the_recorded_image(
    container: Container, recorded: RecordedContainer, saw: Saw
) -> None:
    """The image is the recorded one by id; a tag may mean another image today."""
    expected, observed = f"{recorded.image} {recorded.image_id}", f"{container.image} {container.image_id}"
    saw(expected, observed)
    if container.image_id != recorded.image_id:
        raise Mismatch(
            what=f"image of {container.name}",
            expected=expected,
            observed=observed,
            source="container engine",
            hint="the container was not rolled back: run the rollback of this service again",
        )


def test_container_runs_the_recorded_commit(
    container: Container, recorded: RecordedContainer, target: Target, saw: Saw
) -> None:
    """The commit that the image was built from is the recorded one."""
    saw(recorded.revision or "no label", container.revision or "no label")
    if container.service in target.application.services and recorded.revision is None:
        raise Unverifiable(
            what=f"commit of the image of {container.name}",
            expected="a label that names it, when the baseline was captured",
            observed="none",
            source="label org.opencontainers.image.revision",
            hint="build the application's images with that label",
        )
    if container.revision != recorded.revision:
        raise Mismatch(
            what=f"commit of the image of {container.name}",
            expected=recorded.revision or "none",
            observed=container.revision or "none",
            source="label org.opencontainers.image.revision",
            hint="the container was not rolled back: run the rollback of this service again",
        )


def test_container_memory(container: Container, usage: Usage, target: Target, saw: Saw) -> None:
    """Memory is below its limit's threshold."""
    expected = f"below {target.limits.memory_percent:g} % of its limit"
    observed = f"{usage.memory_percent:.1f} % ({usage.memory / 1e6:.0f} MB)"
    saw(expected, observed)
    if usage.memory_percent >= target.limits.memory_percent:
        raise Mismatch(
            what=f"memory of {container.name}",
            expected=expected,
            observed=observed,
            source="container engine",
            hint="it may be killed soon: see what it does, or raise its limit",
        )


def test_container_cpu(container: Container, usage: Usage, target: Target, saw: Saw) -> None:
    """The processor is below the threshold of what the container may use."""
    expected = f"below {target.limits.cpu_percent:g} % of its allowance"
    observed = f"{usage.cpu_percent:.1f} %"
    saw(expected, observed)
    if usage.cpu_percent >= target.limits.cpu_percent:
        raise Mismatch(
            what=f"CPU of {container.name}",
            expected=expected,
            observed=observed,
            source="container engine",
            hint="just after a start this can be warm-up: run phase 1 again; else see what it computes",
        )


def test_container_processes(container: Container, usage: Usage, target: Target, saw: Saw) -> None:
    """Processes and threads are below their limit's threshold."""
    expected = f"below {target.limits.pids_percent:g} % of {usage.pids_limit or 'no limit'}"
    saw(expected, usage.pids)
    if usage.pids_limit and usage.pids >= usage.pids_limit * target.limits.pids_percent / 100:
        raise Mismatch(
            what=f"processes of {container.name}",
            expected=expected,
            observed=usage.pids,
            source="container engine",
            hint="it leaks processes or threads, or its pids limit is too low",
        )


def test_disk_of_the_host(host_file_systems: tuple[FileSystem, ...], target: Target, saw: Saw) -> None:
    """The host's root and the engine's data have space and inodes left."""
    assert host_file_systems, "expected at least the root file system, observed none (from the host)"
    for file_system in host_file_systems:
        _expect_room(file_system, target, saw)


@pytest.mark.usefixtures("baseline")
def test_disk_of_the_volume(volume_file_system: FileSystem, target: Target, saw: Saw) -> None:
    """Every recorded data volume is there and has space and inodes left."""
    _expect_room(volume_file_system, target, saw)


def test_no_unrecorded_container(
    containers: Mapping[str, tuple[Container, ...]], baseline: Baseline, saw: Saw
) -> None:
    """Nothing runs that did not run before the migration: a left-over of it may still write."""
    recorded = {container.service for container in baseline.facts.containers}
    extra = sorted(c.name for service, found in containers.items() if service not in recorded for c in found)
    saw("no container that the baseline does not know", ", ".join(extra) or "none")
    if extra:
        raise Mismatch(
            what="containers that the baseline does not know",
            expected="none",
            observed=", ".join(extra),
            source="container engine",
            hint="remove them, or capture a new baseline if they belong to the target",
        )


def test_working_copy_is_on_the_recorded_commit(
    working_copy_commit: str, baseline: Baseline, saw: Saw
) -> None:
    """The application's working copy is on the recorded commit: the next deployment starts from there."""
    saw(baseline.facts.commit, working_copy_commit)
    if working_copy_commit != baseline.facts.commit:
        raise Mismatch(
            what="commit of the working copy",
            expected=baseline.facts.commit,
            observed=working_copy_commit,
            source="git",
            hint=f"git checkout {baseline.facts.commit[:12]}",
        )


def _expect_room(file_system: FileSystem, target: Target, saw: Saw) -> None:
    for what, free, least in (
        ("space", file_system.free_percent, target.limits.disk_free_percent),
        ("inodes", file_system.inodes_free_percent, target.limits.inodes_free_percent),
    ):
        if free is None:
            continue
        saw(f"{what} of {file_system.path} above {least:g} %", f"{free:.1f} %")
        if free <= least:
            raise Mismatch(
                what=f"free {what} of {file_system.path}",
                expected=f"above {least:g} %",
                observed=f"{free:.1f} %",
                source="df",
                hint="make room: a store that cannot write is the next incident",
            )
