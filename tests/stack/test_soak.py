"""Half an hour without trouble: the monitor misses no beat, and it reports nothing wrong.

The limits suit a machine without other work: it must run alone.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.terminal.progress import Progress
from staging.drills.watch import run_drills
from staging.rounds import Round
from staging.stack.stack import Stack

SOAK_SECONDS = 1800.0


@pytest.mark.timeout(3000)
@pytest.mark.alone
@pytest.mark.long(minutes=32)
def test_half_an_hour_without_trouble_is_without_alarm_and_on_the_beat(stack: Stack, tmp_path: Path) -> None:
    found = Round("drills", tmp_path / "drills.json")
    with Progress() as progress:
        run_drills(stack, tmp_path, [], SOAK_SECONDS, progress, found)
    assert found.passed, found.results
    assert found.results[0].facts["requests"] > 0
