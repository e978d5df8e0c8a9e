"""Records of rehearsals, as a rehearsal writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollback_actions.session.session import Journal
from rollproof.incident.incident import Incident, new_incident
from rollproof.incident.rehearsals import BEGAN, ENDED
from rollproof.record_names import JOURNAL
from rollproof.system.clock import Moment

# The checks of step 5: those that look at the rehearsal, and the one that looks at rollbacks.
WHOLE, BEGAN_HERE = "test_record_of_the_rehearsal_is_whole", "test_rehearsal_began_where_the_target_is"
WELL, LOST, ALTERED, OLD_CODE, ROLLED_BACK, RECENT = (
    "test_staging_passed_its_checks_after_the_migration",
    "test_migration_lost_nothing",
    "test_migration_altered_no_definition",
    "test_old_code_works_on_migrated_data",
    "test_rollback_was_rehearsed",
    "test_rehearsal_is_recent",
)
OF_THE_REHEARSAL = (
    "test_migration_was_rehearsed",
    *(WHOLE, WELL, LOST, ALTERED, OLD_CODE, ROLLED_BACK, BEGAN_HERE, RECENT),
)
ENDED_WELL: dict[str, str | Sequence[str]] = {
    **dict.fromkeys(("migrated", "old_code", "rolled_back"), "passed"),
    **dict.fromkeys(("lost", "altered", "noted", "unknown"), ()),
}
"""The record of an end without a fault; the hash of its verdict is left out."""
REOPENED = "test_migration_was_reopened_after_its_rollback"


def record_rehearsal(
    incidents: Path,
    target: str,
    migration: str,
    known_good: str,
    /,
    *,
    ended: bool = True,
    **ending: str | Sequence[str],
) -> Incident:
    """Record a rehearsal that passed, except for what its `ending` says."""
    incident = new_incident(incidents, target)
    journal = Journal(incident.folder / JOURNAL, str)
    journal.write(BEGAN, migration=migration, known_good=known_good)
    if ended:
        journal.write(ENDED, migration=migration, **(ENDED_WELL | ending))
    return incident


def age_rehearsal(folder: Path, days: int) -> None:
    """Write the journal of a rehearsal as it would have been written so many days ago."""
    path = folder / JOURNAL
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    then = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")
    long_ago = Moment(wall=then, since_boot=1.0, boot="another")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rollback_actions.session.session.Moment.now", lambda: long_ago)
        journal = Journal(path, str)
        for line in lines:
            kept = {k: v for k, v in line.items() if k not in {"sequence", "at", "event", "previous", "hash"}}
            journal.write(line["event"], **kept)
