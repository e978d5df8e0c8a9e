"""Phase 1 by its replicas and restarts, phase 4 by its cases: red for each way to be wrong."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from checks.verification import test_phase1_infrastructure as phase1
from fixtures import target as containers
from fixtures.cases import of_baseline
from fixtures.gating.evidence import Expect
from rollproof.baseline.configuration import ConfigurationKey, record_container
from rollproof.baseline.facts import Facts, RecordedContainer
from rollproof.baseline.folder import Baseline
from rollproof.baseline.known_good import present_state
from rollproof.engines.engine import Container, ContainerEngine, Inside, Usage
from rollproof.errors import Mismatch
from rollproof.profile.profile import Target
from rollproof.runbook import Replica
from tests.world.baseline import FACTS
from tests.world.containers import container

EXPECT = Expect([]).of("container engine")
USED = Usage(memory=1, memory_percent=1.0, cpu_percent=1.0, pids=1, pids_limit=0)


def recorded_container(found: Container) -> RecordedContainer:
    return record_container(found, Inside(), ConfigurationKey(bytes(32)))


def ended(code: int = 0, restart: str = "no", **changes: Any) -> Container:  # noqa: ANN401
    return container(running=False, status="exited", exit_code=code, restart=restart, **changes)


@pytest.mark.parametrize(
    ("one", "completed"),
    [
        (ended(), True),
        (ended(restart=""), True),
        (ended(restart="on-failure"), True),
        (ended(1), False),
        (ended(137), False),
        (ended(restart="always"), False),
        (ended(restart="unless-stopped"), False),
        (container(), False),
        (container(status="created", running=False), False),
    ],
)
def test_a_one_shot_completed_if_it_ended_well_and_nothing_starts_it_again(
    one: Container, *, completed: bool
) -> None:
    assert recorded_container(one).completed is completed


def judged(was: RecordedContainer, now: Container, target: Target) -> None:
    """Run all checks that a container's state decides."""
    expect = EXPECT
    phase1.test_container_is_running(now, was, expect)
    phase1.test_container_is_healthy(now, was, expect)
    phase1.test_container_is_not_restarting(now, was, target, expect)
    usages = {now.id: USED} if now.running else {}
    usage = inspect.unwrap(containers.usage)(now, was, usages)
    phase1.test_container_memory(now, usage, target, expect)
    phase1.test_container_cpu(now, usage, target, expect)
    phase1.test_container_processes(now, usage, target, expect)


def test_a_one_shot_is_well_as_long_as_it_completes(target: Target) -> None:
    was = recorded_container(ended())
    judged(was, ended(), target)
    with pytest.raises(Mismatch, match="expected completed, exit code 0, observed exited, exit code 3"):
        judged(was, ended(3), target)


@pytest.mark.parametrize(
    ("was", "now", "restarts"),
    [
        (container(restarts=4), container(restarts=4), 0),
        (container(restarts=4), container(restarts=6), 2),
        (container(restarts=4), container(restarts=1), 1),
        (container(restarts=4), container(restarts=4, id="another"), 4),
    ],
    ids=["of before", "since", "counted again", "of another"],
)
def test_restarts_count_since_the_baseline(was: Container, now: Container, restarts: int) -> None:
    assert recorded_container(was).restarts_of(now) == restarts


def facts(*found: Container) -> Facts:
    return replace(FACTS, containers=tuple(map(recorded_container, found)), stores={}, contents={})


def test_a_volume_without_a_name_of_its_own_need_not_be_there_again(target: Target) -> None:
    """A container that is created again has another; that it has one there is part of its configuration."""
    recorded = facts(container("backend-1"))
    (backend,) = recorded.containers
    recorded = replace(recorded, containers=(replace(backend, volumes=("c" * 64, "data", "cafe")),))
    assert of_baseline(target, recorded)["volume"] == ["cafe", "data"]


def test_each_replica_is_a_case_of_its_own(target: Target, tmp_path: Path) -> None:
    recorded = facts(container("worker-2"), container("worker-1"), container("backend-1"))
    replicas = of_baseline(target, recorded)["replica"]
    assert replicas == [Replica("backend"), Replica("redis"), Replica("worker", 1), Replica("worker", 2)]
    assert [*map(str, replicas)] == ["backend", "redis", "worker/1", "worker/2"]
    baseline = Baseline(tmp_path, "sandbox", "2026-12-03T12:00:00+00:00", recorded)
    second = replace(ended(2), name="worker-2", service="worker")
    live = {"worker": (container("worker-1"), second), "backend": (container("backend-1"),)}

    def of(replica: Replica) -> tuple[RecordedContainer, Container]:
        service = inspect.unwrap(containers.service)(replica)
        was = inspect.unwrap(containers.recorded)(replica, service, baseline, target)
        return was, inspect.unwrap(containers.container)(was, baseline, live, target)

    for name in (Replica("backend"), Replica("worker", 1)):
        was, now = of(name)
        assert was.name == now.name
        phase1.test_container_is_running(now, was, EXPECT)
    was, now = of(Replica("worker", 2))
    with pytest.raises(Mismatch, match="container worker-2: expected running, observed exited"):
        phase1.test_container_is_running(now, was, EXPECT)
    # Containers that were re-created may have other names; one that is missing is missed by each case.
    live["worker"] = (container("worker-2"), container("worker-3"))
    assert [of(Replica("worker", number))[1].name for number in (1, 2)] == ["worker-3", "worker-2"]
    live["worker"] = (container("worker-1"),)
    with pytest.raises(Mismatch, match=r"containers of service worker: expected 2, .* observed 1: worker-1"):
        of(Replica("worker", 1))


def test_without_a_baseline_what_ended_is_done_if_another_service_waits_for_it(target: Target) -> None:
    ended: dict[str, Any] = {"running": False, "status": "exited", "exit_code": 0, "restart": "no"}
    ends, runs = "migrate:service_completed_successfully:false", "redis:service_healthy:true"
    waits = {"com.docker.compose.depends_on": f"{ends},{runs}"}
    there = {
        "backend": (container("backend-1", labels=waits),),
        "migrate": (container("migrate-1", labels={"a": "b"}, **ended),),
        "redis": (container("redis-1", labels={"a": "b"}, **ended),),
        "seed": (container("seed-1", **ended),),
    }
    engine = cast("ContainerEngine", SimpleNamespace(containers=lambda: there))
    found = present_state(target, engine).facts.containers
    assert {one.service: one.completed for one in found} == {
        "backend": False,
        "migrate": True,
        "redis": False,
        "seed": True,
    }
