"""The limit that a check of a phase meets first, and what is not asked any more when it is near."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import create_autospec

import pytest

from fixtures.gating import failing
from fixtures.gating.windows import Limit, limit_of_phase
from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target, Windows
from tests.unit.clock import ago


@pytest.mark.usefixtures("stopped_clock")
@pytest.mark.parametrize(
    ("phase", "rolled_back", "started", "begun", "limit", "left"),
    [
        ("phase1", 0, 0, None, "phase1", 120),
        ("phase1", 100, 0, 0, "phase1", 120),  # its own length from its own beginning
        ("phase1", 400, 0, None, "phase1", 120),  # late, and as long as any
        ("phase1", 130, 130, 130, "phase1", -10),
        ("phase2", 130, 0, 10, "phase2", 50),
        ("phase4", 300, 170, None, "verification", 10),
    ],
)
def test_a_phase_has_its_window_and_at_least_its_length_within_that_of_the_run(
    phase: str, rolled_back: float, started: float, begun: float | None, limit: str, left: float
) -> None:
    run = SimpleNamespace(begun=lambda _: None if begun is None else ago(begun))
    facts: Any = SimpleNamespace(target=SimpleNamespace(windows=Windows()), run=run)
    facts.zero, facts.started = ago(rolled_back), ago(started)
    found = limit_of_phase(cast("Any", facts), phase)
    assert found.name == limit
    assert found.left == pytest.approx(left)


@pytest.mark.parametrize(("left", "asked"), [(60.0, 1), (1.0, 0)])
def test_a_phase_without_time_left_does_not_wait_for_logs(
    monkeypatch: pytest.MonkeyPatch, target: Target, left: float, asked: int
) -> None:
    engine = create_autospec(ContainerEngine, instance=True)
    engine.containers.return_value = {}
    monkeypatch.setattr(failing, "open_engine", lambda _: engine)
    monkeypatch.setattr(failing, "services_of", lambda *_: ("redis",))
    monkeypatch.setattr(failing, "limit_of", lambda _: Limit("phase2", 180, left))
    check = SimpleNamespace(config=SimpleNamespace(stash=pytest.Stash()))
    failing._keep_logs(cast("pytest.Item", check), target)
    assert engine.containers.call_count == asked
