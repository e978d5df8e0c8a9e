"""How long a deployment on a swarm is waited for, and what ends it before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rollback_actions.containers import swarm
from rollback_actions.containers.swarm import SwarmControl
from rollproof.engines.engine import Container
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


def wait_for(monkeypatch: pytest.MonkeyPatch, *changes: dict[str, Any], seconds: float = 5.0) -> None:
    """Start `api`, which nobody has stopped, with such answers of the engine."""
    monkeypatch.setattr(swarm, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(SwarmControl, "_services", lambda *_: [])
    control = SwarmControl(Engine(kind="swarm", project="shop"))
    monkeypatch.setattr(control, "_engine", Answers(*changes))
    control.start(["api"], deadline=seconds)


def test_a_service_has_converged_when_its_update_has_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = {"status": "starting", "running": False, "update": "updating: why"}
    wait_for(monkeypatch, waits, {"update": "updating: why"}, {"health": "starting"}, {"health": "healthy"})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"update": "paused: task 1 failed"}, "update of service shop_api: .*observed paused: task 1 failed"),
        ({"update": "rollback_started: why"}, "expected completed, observed rollback_started: why"),
        ({"update": "rollback_paused: why"}, "expected completed, observed rollback_paused: why"),
        ({"restarts": 2, "status": "starting"}, "expected healthy, observed 2 failures of api-1, starting"),
    ],
)
def test_what_the_swarm_pauses_or_takes_back_ends_it(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(ActionFailed, match=told):
        wait_for(monkeypatch, change)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"status": "pending", "running": False}, "expected healthy within 0.1 s, observed api-1 pending"),
        ({"update": "updating: why"}, "expected completed within 0.1 s, observed updating: why"),
    ],
)
def test_the_deadline_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(ActionFailed, match=told):
        wait_for(monkeypatch, change, seconds=0.1)
