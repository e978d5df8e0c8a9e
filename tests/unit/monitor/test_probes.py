"""Probes of the whole target: which there are, what they find in trouble, and what is slower than usual."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest

from rollproof.application.client import ApplicationClient
from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import EngineUnreached, Usage
from rollproof.errors import Meaning, Unverifiable
from rollproof.incident.samples import ProbeKind, Unreached
from rollproof.monitoring.probes.application_probes import health_now, page_now
from rollproof.monitoring.probes.probe import ProbeResult, unreached_by
from rollproof.monitoring.probes.probes import containers_now, memory_now, probes_of
from rollproof.profile.profile import Target, load_target
from tests.conftest import write_profile
from tests.unit.monitor.test_store_probes import STORES
from tests.unit.system.test_outside import container
from tests.world.application import StandIn, answer
from tests.world.baseline import FACTS
from tests.world.sandbox import MYSQL

WELL = replace(container(running=True), id="1", name="t-backend-1", service="backend", health="healthy")
SIDES = {"what": "store", "expected": "an answer", "observed": "none", "source": "a", "hint": "b"}
SILENT = Unverifiable(what="store", expected="an answer", observed="none", source="a", hint="b")


@pytest.fixture
def engine() -> Any:  # noqa: ANN401 - whose answers a test sets
    return create_autospec(ComposeEngine, instance=True)


def test_each_target_has_the_probes_of_what_it_is_made_of(tmp_path: Path) -> None:
    small = load_target(write_profile(tmp_path))
    names = [str(probe.id) for probe in probes_of(small, 4.0)]
    assert names == [
        *("health", "requests", "records", "containers", "memory", "store redis", "connections redis"),
        *("page", "disk"),
    ]
    large = load_target(write_profile(tmp_path, f"{MYSQL}{STORES}[application.function]\n"))
    more = {str(probe.id) for probe in probes_of(large, 4.0)} - set(names)
    assert more == {
        *("store mysql", "store mongodb", "store kafka", "store qdrant"),
        *("connections mysql", "connections mongodb", "lag kafka", "vectors qdrant", "function"),
    }


def test_containers_that_are_unwell_or_missing_name_their_services(target: Target, engine: Any) -> None:  # noqa: ANN401
    engine.containers.return_value = {
        "backend": (WELL, replace(WELL, id="2", name="t-backend-2", health="unhealthy")),
        "other": (replace(WELL, id="3", name="t-other-1", service="other", status="exited", exit_code=1),),
    }
    reading = containers_now(target, engine)
    assert (reading.ok, reading.services) == (False, ("redis", "backend", "other"))
    engine.containers.return_value = {"backend": (WELL,), "redis": (WELL,)}
    assert containers_now(target, engine).services == ()


@pytest.mark.parametrize(
    ("service", "exit_code", "ok"), [("init", 0, True), ("init", 1, False), ("backend", 0, False)]
)
def test_a_container_that_did_what_it_was_for_is_well_unless_the_profile_names_its_service(
    target: Target,
    engine: Any,  # noqa: ANN401
    service: str,
    exit_code: int,
    *,
    ok: bool,
) -> None:
    ended = replace(
        WELL, id="2", service=service, status="exited", running=False, exit_code=exit_code, restart="no"
    )
    engine.containers.return_value = {"backend": (WELL,), "redis": (WELL,)} | {service: (ended,)}
    assert containers_now(target, engine).ok is ok


def test_memory_that_is_used_up_names_its_service(target: Target, engine: Any) -> None:  # noqa: ANN401
    engine.usage.return_value = {"1": Usage(1, 60.0, 0, 1, 0, "backend"), "2": Usage(1, 40.0, 0, 1, 0)}
    assert memory_now(target, engine) == ProbeResult(ok=True, text="highest 60.0 % of a limit", value=60.0)
    engine.usage.return_value["1"] = Usage(1, 97.0, 0, 1, 0, "backend")
    reading = memory_now(target, engine)
    assert (reading.ok, reading.value, reading.services) == (False, 97.0, ("backend",))


def test_what_was_not_reached_is_told_by_the_meaning_of_its_error() -> None:
    for means, unreached in (
        (Meaning.UNREACHABLE, Unreached.REFUSED),
        (Meaning.TIMEOUT, Unreached.SILENT),
        (Meaning.OTHER, None),
    ):
        assert unreached_by(Unverifiable(**SIDES, means=means), ProbeKind.CONTAINERS) is unreached
    problem = EngineUnreached(**SIDES, means=Meaning.UNREACHABLE)
    kinds = {kind: unreached_by(problem, kind) for kind in ProbeKind}
    unplaced = {kind for kind, unreached in kinds.items() if unreached is Unreached.UNPLACED}
    assert unplaced == {ProbeKind.STORE, ProbeKind.VECTORS}
    assert kinds[ProbeKind.MEMORY] is Unreached.REFUSED


@pytest.fixture
def stand_in(stand_in: StandIn) -> StandIn:
    stand_in.answers = {
        "GET /api/v1/health/check": answer(200, {"status": "UP"}),
        "GET /": answer(200, "<p>"),
    }
    return stand_in


def test_how_slow_it_is_is_told_in_times_of_the_baseline(target: Target, stand_in: StandIn) -> None:
    usual = replace(FACTS, milliseconds={"health": 0.001})
    health = health_now(target.application, 4.0, usual, stand_in)
    assert health.value is not None
    assert health.figures == {"ratio": pytest.approx(1000 * health.value)}
    # A baseline of before that was measured says nothing of it.
    assert page_now(target.application, 4.0, usual, stand_in).figures == {}


@pytest.mark.parametrize(("recorded", "right"), [(307, {307}), (200, {200}), (404, {404}), (0, {200, 307})])
def test_a_page_is_right_with_the_status_that_was_recorded(
    target: Target, stand_in: StandIn, recorded: int, right: set[int]
) -> None:
    found = set()
    for status in (200, 307, 404, 502):
        stand_in.answers["GET /"] = answer(status, "")
        usual = replace(FACTS, page_status=recorded)
        found |= {status} if page_now(target.application, 4.0, usual, stand_in).ok else set()
    assert found == right


def test_a_baseline_has_the_median_of_what_answers_with_success(target: Target, stand_in: StandIn) -> None:
    client = ApplicationClient(target.application, stand_in)
    found = client.usual_milliseconds()
    assert set(found) == {"health", "page"}
    assert min(found.values()) >= 1.0
    assert len(stand_in.seen) == 10
    assert {exchange.headers["User-Agent"] for exchange in stand_in.seen} == {"rollproof-verifier"}
    for status, measured in ((307, {"health", "page"}), (404, {"health"})):
        stand_in.answers["GET /"] = answer(status, "")
        assert set(client.usual_milliseconds()) == measured
