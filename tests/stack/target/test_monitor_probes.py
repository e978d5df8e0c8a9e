"""Each probe of the monitor on the real stack: it changes for its own fault, and recovers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TypeVar, cast

import httpx2
import pytest

from rollproof.errors import Problem
from rollproof.monitoring.probes.probe import Probe, ProbeResult
from rollproof.monitoring.probes.probes import probes_of
from rollproof.profile.profile import Target
from staging.target.operators import undone
from tests.stack.container_faults import Containers
from tests.stack.scratch_project import docker
from tests.stack.verifier import Verifier
from tests.waiting import until

# No test here is about how fast a machine is on which much else runs.
DEADLINE = 60.0
MAINTENANCE = "/tmp/maintenance"  # noqa: S108 - the profile's own
Found = TypeVar("Found")


@pytest.fixture(scope="module")
def watched(target: Target, verifier: Verifier) -> Target:
    """The stack, with a baseline of what it holds now."""
    folders = target.folders.model_copy(update={"baselines": verifier.folder / "baselines"})
    return target.model_copy(update={"folders": folders})


@pytest.fixture(scope="module")
def probes(watched: Target) -> Iterator[dict[str, Probe]]:
    """The probes by name, each asked once already, as by a monitor before its first beat.

    They are those of one monitor: each test leaves them well.
    """
    with ExitStack() as opened:
        made = {str(probe.id): probe for probe in probes_of(watched, DEADLINE)}
        for probe in made.values():
            opened.enter_context(closing(probe))
            asked(probe)
        yield made


def asked(probe: Probe) -> ProbeResult | Problem:
    """Return what a probe reads, or why it does not know."""
    try:
        return probe.ask()
    except Problem as problem:
        return problem


def well(probe: Probe) -> ProbeResult:
    """Wait until a probe is well."""
    return cast(
        "ProbeResult",
        until(lambda: asked(probe), lambda said: isinstance(said, ProbeResult) and said.ok is True),
    )


def test_all_are_well_and_health_and_page_are_as_fast_as_usual(probes: dict[str, Probe]) -> None:
    assert set(probes) >= {"requests", "records", "connections mysql", "lag kafka", "vectors milvus"}
    for probe in probes.values():
        well(probe)
    for name in ("health", "page"):
        reading = well(probes[name])
        # A busy machine is slower; a figure that is wrong altogether is further off.
        assert 0.01 < reading.figures["ratio"] < 1000


def test_requests_that_fail_and_log_ins_that_are_refused_are_counted(
    probes: dict[str, Probe], target: Target, containers: Containers
) -> None:
    probe, url = probes["requests"], str(target.application.url).rstrip("/")
    seen: dict[str, float] = {}

    def counted(**wanted: int) -> bool:
        said = asked(probe)
        figures = said.figures if isinstance(said, ProbeResult) else {}
        for name in ("requests", "errors", "log_ins", "failed_log_ins"):
            seen[name] = seen.get(name, 0) + figures.get(name, 0)
        return {name: seen[name] for name in wanted} == wanted

    def failing(said: ProbeResult | Problem) -> bool:
        return isinstance(said, ProbeResult) and said.figures["errors"] > 0

    # What was asked before is not counted again.
    asked(probe)
    with httpx2.Client(base_url=url, trust_env=False, timeout=60) as user:
        for _ in range(3):
            assert user.get("/api/v1/health/check").status_code == 200
        until(lambda: counted(requests=3, errors=0))
        form = {"username": target.application.canary.user, "password": uuid.uuid4().hex}
        assert 400 <= user.post("/api/v1/auth/login", data=form).status_code < 500
        until(lambda: counted(requests=4, errors=0, log_ins=1, failed_log_ins=1))
        proxy = containers.of("nginx").id
        with undone(lambda: docker("exec", proxy, "rm", "-f", MAINTENANCE)):
            docker("exec", proxy, "touch", MAINTENANCE)
            for _ in range(5):
                assert user.get("/api/v1/base/nothing").status_code == 503
            said = until(lambda: asked(probe), failing)
            assert isinstance(said, ProbeResult)
            assert not said.ok
            assert said.figures["errors"] <= 5
            assert said.figures["p95"] < 5000
    # Nothing is counted again, and what this suite itself asks is no user's.
    well(probes["health"])
    probe.ask()
    well(probes["health"])
    assert probe.ask().figures["requests"] == 0
