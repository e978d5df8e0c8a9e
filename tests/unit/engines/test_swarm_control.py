"""How long a deployment on a swarm is waited for, and what ends it before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from rollback_actions.containers.swarm import SwarmControl
from rollproof.engines.engine import Container, ContainerEngine
from rollproof.engines.swarm.stack import Service
from rollproof.errors import ActionFailed
from rollproof.profile.profile import Engine
from tests.world.containers import container

STARTING = container("api-1", status="starting", running=False, update="updating: in progress")


class Answers:
    """An engine with one service `api`, whose container is another at each question; the last one stays."""

    def __init__(self, *changes: dict[str, Any]) -> None:
        self._rounds: Iterator[Container] = iter([container("api-1", **change) for change in changes])
        self._last = STARTING

    def containers(self) -> dict[str, tuple[Container, ...]]:
        self._last = next(self._rounds, self._last)
        return {"api": (self._last,)}


class Control(SwarmControl):
    """A control of services that nobody has stopped."""

    def _services(self, *_: object) -> list[Service]:
        return []


def wait_for(*changes: dict[str, Any], seconds: float = 60.0) -> None:
    """Start `api` with such answers of the engine, one after each pause."""
    engine = cast("ContainerEngine", Answers(*changes))
    Control(Engine(kind="swarm", project="shop"), engine, lambda _: None).start(["api"], deadline=seconds)


def test_a_service_has_converged_when_its_update_has_ended_too() -> None:
    waits = {"status": "starting", "running": False, "update": "updating: why"}
    wait_for(waits, {"update": "updating: why"}, {"health": "starting"}, {"health": "healthy"})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"update": "paused: task 1 failed"}, "update of service shop_api: .*observed paused: task 1 failed"),
        ({"update": "rollback_started: why"}, "expected completed, observed rollback_started: why"),
        ({"update": "rollback_paused: why"}, "expected completed, observed rollback_paused: why"),
        ({"restarts": 2, "status": "starting"}, "expected healthy, observed 2 failures of api-1, starting"),
    ],
)
def test_what_the_swarm_pauses_or_takes_back_ends_it(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ActionFailed, match=told):
        wait_for(change)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"status": "pending", "running": False}, "expected healthy within 0 s, observed api-1 pending"),
        ({"update": "updating: why"}, "expected completed within 0 s, observed updating: why"),
    ],
)
def test_the_deadline_says_what_is_missing(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ActionFailed, match=told):
        wait_for(change, seconds=0.0)
