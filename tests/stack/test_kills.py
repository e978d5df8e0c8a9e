"""A kill of each kind of rollback on the real stack, another step each day; `./run killtest` does all."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.incident import load_incident
from fixtures.journal import verify_journal
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
    for kill in found.kills:
        incident = tmp_path / "incidents" / kill.incident
        events = Counter(_events_of_commands(incident))
        assert kill.code == -signal.SIGKILL
        assert events["started"] > events["ended"], "no run of the incident was cut short"
        assert not events["failed"]
        assert kill.step in {record.get("step") for record in verify_journal(incident / "journal.jsonl")}
        rollback = load_incident(incident).rollback()
        assert rollback is not None
        assert rollback.verdict == "passed"
        assert (rollback.records is None) == (kill.action in {"service", "full"})
        assert rollback.records is None or list(incident.glob("lost-window*/window.json"))


def _events_of_commands(incident: Path) -> Iterator[str]:
    """Yield what the journal says of the command itself, which every other step is a part of."""
    first, *rest = verify_journal(incident / "journal.jsonl")
    for record in (first, *rest):
        if record.get("step") == first["step"]:
            yield record["event"]
