"""A short drill on the real stack, under a load of real requests; `./run drills` does all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollback_actions.progress import Progress
from staging.drills.drill import chosen_drills
from staging.drills.round import run_drills
from staging.stack import Stack


@pytest.mark.timeout(900)
def test_a_record_that_is_lost_is_seen_in_time(stack: Stack, tmp_path: Path) -> None:
    drills = chosen_drills(["record-lost"])
    with Progress() as progress:
        found = run_drills(stack, tmp_path, drills, 0.0, progress, tmp_path / "drills.json")
    assert found.passed, found.record()
    assert [seen.decision for seen in found.seen] == ["emergency rollback"]
