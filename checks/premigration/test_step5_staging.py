"""Step 5: this very migration, and its rollback, were rehearsed in staging, not long ago, and passed.

And nothing that was rolled back comes again but by a fix, which was rehearsed, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fixtures.errors import Mismatch, Unverifiable, listed
from fixtures.rehearsals import Ending, Rehearsal
from fixtures.reopening import Closing, reopen_command
from fixtures.target import Target
from fixtures.verdict import Verdict

DAY_SECONDS = 86400.0
pytestmark = [pytest.mark.premigration, pytest.mark.step5]


def test_migration_was_rehearsed(
    rehearsal: Rehearsal, rehearsal_ending: Ending, note: Callable[[str], None]
) -> None:
    """The staging target's records hold a rehearsal of this commit that came to its end."""
    note(f"{rehearsal.folder.name} on {rehearsal.target}, ended {rehearsal_ending.at.wall}")


def test_record_of_the_rehearsal_is_whole(
    rehearsal: Rehearsal, rehearsal_ending: Ending, note: Callable[[str], None]
) -> None:
    """Nobody has changed the record since: its journal's chain holds, and names the verdict that is there."""
    if rehearsal.broken:
        raise Unverifiable(
            what="journal of the rehearsal",
            expected="a chain that holds",
            observed=rehearsal.broken,
            source=str(rehearsal.folder),
            hint="rehearse the migration again",
        )
    if not rehearsal.verdict_is_recorded:
        raise Mismatch(
            what="verdict of the rehearsal",
            expected=f"SHA-256 {rehearsal_ending.verdict_sha256[:16]}, as in its journal",
            observed="another one, or none",
            source=str(rehearsal.folder / "verdict.json"),
            hint="rehearse the migration again",
        )
    note(f"journal and verdict of {rehearsal.folder.name} are as they were written")


def test_staging_was_well_after_the_migration(
    rehearsal: Rehearsal, rehearsal_ending: Ending, note: Callable[[str], None]
) -> None:
    """With the migration deployed, every check of health, connections and functions passed."""
    _require_passed("checks of the migrated staging target", rehearsal_ending.migrated, rehearsal)
    note("connections and functions passed after the deployment")


def test_rollback_was_rehearsed(
    rehearsal: Rehearsal, rehearsal_ending: Ending, note: Callable[[str], None]
) -> None:
    """The rollback from the migration was done and verified, and passed."""
    _require_passed("rollback of the staging target", rehearsal_ending.rolled_back, rehearsal)
    note(f"back to {rehearsal.known_good[:12]}, all four phases passed")


def test_rehearsal_began_where_the_target_is(
    rehearsal: Rehearsal, working_commit: str, note: Callable[[str], None]
) -> None:
    """The rehearsal migrated from the commit that the target is on."""
    if rehearsal.known_good != working_commit:
        raise Mismatch(
            what="commit that the rehearsal began with",
            expected=f"{working_commit[:12]}, as the target's working copy",
            observed=rehearsal.known_good[:12] or "none",
            source=str(rehearsal.folder),
            hint="rehearse the migration from the commit that is in production",
        )
    note(f"from {working_commit[:12]}")


def test_rehearsal_is_recent(
    rehearsal: Rehearsal, rehearsal_ending: Ending, target: Target, note: Callable[[str], None]
) -> None:
    """The rehearsal has not expired."""
    days, limit = rehearsal_ending.at.seconds_ago() / DAY_SECONDS, target.premigration.rehearsal.days
    if not 0 <= days <= limit:
        raise Mismatch(
            what="age of the rehearsal",
            expected=f"at most {limit} days",
            observed=f"{days:.1f}",
            source=str(rehearsal.folder),
            hint="a rehearsal expires: rehearse the migration again",
        )
    note(f"{days:.1f} days old")


def test_migration_was_reopened_after_its_rollback(
    closings: Sequence[Closing], migration: str, profile_path: Path, note: Callable[[str], None]
) -> None:
    """What was rolled back comes again only by a fix, with cause, rehearsal and backup on record."""
    closed = [closing for closing in closings if closing.reopening is None]
    if closed:
        first = closed[0]
        itself = "mend it, and promote the commit that does, which is reopened by: " if first.itself else ""
        fix = "FIX" if first.itself else migration
        raise Mismatch(
            what=f"reopening of migration {migration[:12]}",
            expected="one for each rollback that it would bring back",
            observed="; ".join(closing.observed for closing in closed),
            source=listed([str(closing.rollback.incident.folder) for closing in closed]),
            hint=f"{itself}{reopen_command(first.rollback.incident.id, fix, profile_path)}",
        )
    opened = [_opened(closing) for closing in closings]
    note(listed(opened) or "it brings back nothing that was rolled back")


def _opened(closing: Closing) -> str:
    """Return, in words, what lets a migration through that a rollback had closed."""
    by = closing.reopening
    if by is None:
        return closing.observed
    return (
        f"incident {by.incident} was reopened by {by.name} for fix {by.fix[:12]},"
        f" rehearsed in {by.rehearsal}, with backup {by.backup}"
    )


def _require_passed(what: str, verdict: Verdict, rehearsal: Rehearsal) -> None:
    if verdict is not Verdict.PASSED:
        raise Mismatch(
            what=what,
            expected=Verdict.PASSED.value,
            observed=verdict.value,
            source=str(rehearsal.folder),
            hint="see its report; mend the migration, and rehearse that commit",
        )
