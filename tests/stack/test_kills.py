"""A kill of each kind of rollback on the real stack, another step each day; `./run killtest` does all."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rollback_actions.progress import Progress
from staging.kills.kill import Killer
from staging.kills.walk import of_the_day, walk
from staging.kills.wreckage import STORES
from staging.stack import Stack


@pytest.mark.timeout(1800)
def test_rollbacks_that_are_killed_end_as_those_that_were_not(stack: Stack, tmp_path: Path) -> None:
    store = sorted(STORES)[datetime.now(UTC).date().toordinal() % len(STORES)]
    names = ("service", f"database {store}", "full", "emergency")
    with Progress() as progress:
        found = walk(
            Killer(stack.root, tmp_path), stack, names, of_the_day, progress, tmp_path / "kills.json"
        )
    assert found.passed, found.record()
    assert [kill.action for kill in found.kills] == list(names)
    assert all(kill.step in found.steps[kill.action] for kill in found.kills)
