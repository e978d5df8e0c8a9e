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

STORE = sorted(STORES)[datetime.now(UTC).date().toordinal() % len(STORES)]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("action", ["service", "database", "full", "emergency"])
def test_a_rollback_that_is_killed_ends_as_one_that_was_not(
    stack: Stack, tmp_path: Path, action: str
) -> None:
    name = f"database {STORE}" if action == "database" else action
    with Progress() as progress:
        found = walk(
            Killer(stack.root, tmp_path), stack, [name], of_the_day, progress, tmp_path / "kills.json"
        )
    assert found.passed, found.record()
    (kill,) = found.kills
    assert kill.step in found.steps[name]
