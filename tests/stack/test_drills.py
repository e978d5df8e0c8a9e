"""Every drill of `./run drills` on the real stack: faults under a load of real requests are seen in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.terminal.progress import Progress
from staging.drills.drill import DRILLS, Drill
from staging.drills.watch import run_drills
from staging.rounds import Round
from staging.stack.stack import Stack


def _minutes(drill: Drill) -> int:
    """Return about how many minutes a drill takes: bands of shares look back on five minutes."""
    return 9 if drill.band == "errors" else 4


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "drill",
    [pytest.param(drill, id=drill.name, marks=pytest.mark.long(minutes=_minutes(drill))) for drill in DRILLS],
)
def test_trouble_is_seen_in_time_and_answered_right(stack: Stack, tmp_path: Path, drill: Drill) -> None:
    found = Round("drills", tmp_path / "drills.json")
    with Progress() as progress:
        run_drills(stack, tmp_path, [drill], progress, found)
    assert found.passed, found.results
    assert [seen.facts["decision"] for seen in found.results] == [" ".join((drill.action, *drill.names))]
