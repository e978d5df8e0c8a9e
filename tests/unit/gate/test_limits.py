"""The limit that a check of a phase meets first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.gating.windows import limit_of_phase
from rollproof.profile.profile import Windows
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
