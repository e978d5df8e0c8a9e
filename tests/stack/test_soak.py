"""Half an hour without trouble: the monitor misses no beat, each is on time, and it reports nothing wrong.

The limits suit a machine without other work: it must run alone.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.terminal.progress import Progress
from staging.drills.drill_round import run_drills
from staging.stack.stack import Stack

SOAK_SECONDS = 1800.0


@pytest.mark.timeout(3000)
@pytest.mark.alone
@pytest.mark.long(minutes=32)
def test_half_an_hour_without_trouble_is_without_alarm_and_on_the_beat(stack: Stack, tmp_path: Path) -> None:
    with Progress() as progress:
        found = run_drills(stack, tmp_path, [], SOAK_SECONDS, progress, tmp_path / "drills.json")
    assert found.passed, found.record()
    assert found.soak is not None
    assert found.soak.missed == 0
    assert found.requests > 0
