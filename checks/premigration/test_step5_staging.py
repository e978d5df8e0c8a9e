"""Step 5: this very migration and its rollback were rehearsed in staging, recently, and passed.

And a migration that was rolled back returns only by a fix, which was rehearsed, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fixtures.gating.evidence import Attach, Expect, Note
from rollproof.errors import Meaning, Unverifiable, listed, shortened
from rollproof.incident.rehearsals import RecordedRehearsal, RehearsalEnding
from rollproof.incident.rollbacks import ClosedGate, reopen_hint
from rollproof.profile.profile import Target
from rollproof.system.clock import is_recent
from rollproof.verdict import Verdict

DAY_SECONDS = 86400.0
pytestmark = [pytest.mark.premigration, pytest.mark.step5]


def test_migration_was_rehearsed(
    rehearsal: RecordedRehearsal, rehearsal_ending: RehearsalEnding, note: Note
) -> None:
    """The staging target's records hold a completed rehearsal of this commit."""
    note(f"{rehearsal.folder.name} on {rehearsal.target}, ended {rehearsal_ending.at.wall}")


def test_record_of_the_rehearsal_is_whole(
    rehearsal: RecordedRehearsal, rehearsal_ending: RehearsalEnding, expect: Expect, note: Note
) -> None:
    """The rehearsal came to its end, and its record is unchanged since it was sealed."""
    expect = expect.of(hint="rehearse the migration again")
    damage = rehearsal.damage()
    expect(not damage,
           what="record of the rehearsal", otherwise=Unverifiable,
           expected="as it was sealed", instead=damage,
           source=rehearsal.folder)
    note(f"{rehearsal.folder.name}, which ended {rehearsal_ending.at.wall}, is as it was sealed")


def test_staging_passed_its_checks_after_the_migration(
    rehearsal: RecordedRehearsal, rehearsal_ending: RehearsalEnding, expect: Expect, note: Note
) -> None:
    """With the migration deployed, every check of health, connections and functions passed."""
    _expect_passed("checks of the migrated staging target", rehearsal_ending.migrated, rehearsal, expect)
    note("connections and functions passed after the deployment")


def test_migration_lost_nothing(
    rehearsal: RecordedRehearsal,
    rehearsal_ending: RehearsalEnding,
    expect: Expect,
    note: Note,
    evidence: Attach,
) -> None:
    """No object, field or record of staging was gone after the migration."""
    kinds = ("lost", "altered", "noted", "unknown")
    every = [f"{kind}: {text}" for kind in kinds for text in getattr(rehearsal_ending, kind)]
    evidence("what the migration did", "\n".join(every) or "nothing")
    expect(not rehearsal_ending.lost,
           what="losses by the migration", means=Meaning.DATA_LOSS,
           expected="none", instead=_named(rehearsal_ending.lost),
           source=rehearsal.folder,
           hint="split it: add what is new first, and remove what is old when no rollback needs it")
    _expect_compared(rehearsal, rehearsal_ending, expect)
    note(f"nothing lost; new: {_named(rehearsal_ending.noted) or 'nothing'}")


def test_migration_altered_no_definition(
    rehearsal: RecordedRehearsal, rehearsal_ending: RehearsalEnding, expect: Expect, note: Note
) -> None:
    """No type or other definition was another one: what fits in it in staging may not fit elsewhere."""
    expect(not rehearsal_ending.altered,
           what="definitions that the migration altered", means=Meaning.DATA_CHANGED,
           expected="none", instead=_named(rehearsal_ending.altered),
           source=rehearsal.folder,
           hint="see that no value of the target would be cut; then waive this item: premigration.waivers")
    _expect_compared(rehearsal, rehearsal_ending, expect)
    note("every definition of before is as it was")


def test_old_code_works_on_migrated_data(
    rehearsal: RecordedRehearsal, rehearsal_ending: RehearsalEnding, expect: Expect, note: Note
) -> None:
    """With the code alone rolled back, every check of functions passed on the migrated data."""
    _expect_passed("phase 3 of the old code", rehearsal_ending.old_code, rehearsal, expect)
    note(f"{rehearsal.known_good[:12]} works on the migrated data")


def test_rollback_was_rehearsed(
    rehearsal: RecordedRehearsal, rehearsal_ending: RehearsalEnding, expect: Expect, note: Note
) -> None:
    """The rollback from the migration was done and verified, and passed."""
    _expect_passed("rollback of the staging target", rehearsal_ending.rolled_back, rehearsal, expect)
    note(f"back to {rehearsal.known_good[:12]}, all four phases passed, and again after a restart")


def test_rehearsal_began_where_the_target_is(
    rehearsal: RecordedRehearsal, working_commit: str, expect: Expect, note: Note
) -> None:
    """The rehearsal migrated from the target's current commit."""
    expect(rehearsal.known_good == working_commit,
           what="commit that the rehearsal began with", means=Meaning.WRONG_VERSION,
           expected=f"{working_commit[:12]}, as the target's working copy",
           observed=rehearsal.known_good[:12] or "none",
           source=rehearsal.folder, hint="rehearse the migration from the commit that is in production")
    note(f"from {working_commit[:12]}")


def test_rehearsal_is_recent(
    rehearsal: RecordedRehearsal,
    rehearsal_ending: RehearsalEnding,
    target: Target,
    expect: Expect,
    note: Note,
) -> None:
    """The rehearsal has not expired."""
    days, limit = rehearsal_ending.at.seconds_ago() / DAY_SECONDS, target.premigration.rehearsal.days
    expect(is_recent(days, limit),
           what="age of the rehearsal",
           expected=f"at most {limit} days", observed=f"{days:.1f}",
           source=rehearsal.folder, hint="a rehearsal expires: rehearse the migration again")
    note(f"{days:.1f} days old")


def test_migration_was_reopened_after_its_rollback(
    rollback_gates: Sequence[ClosedGate], migration: str, profile_path: Path, expect: Expect, note: Note
) -> None:
    """A migration that was rolled back returns only by a fix, with cause, rehearsal and backup on record."""
    closed = [gate for gate in rollback_gates if gate.reopening is None]
    said = listed([str(gate) for gate in rollback_gates]) or "it undoes no rollback"
    expect(not closed,
           what=f"reopening of migration {migration[:12]}",
           expected="one for each rollback that it would undo",
           observed="; ".join(map(str, closed)) or said,
           source=listed([str(one.rollback.incident.folder) for one in closed]) or "records of rollbacks",
           hint=reopen_hint(closed, migration, profile_path))
    note(said)


def _named(differences: Sequence[str]) -> str:
    """Return the differences in a length that an error has room for; the record has each in full."""
    return listed([shortened(one, 140) for one in differences], shown=6, between="; ")


def _expect_compared(rehearsal: RecordedRehearsal, ending: RehearsalEnding, expect: Expect) -> None:
    expect(not ending.unknown,
           what="stores after the migration", otherwise=Unverifiable,
           expected="each compared with the baseline", instead=_named(ending.unknown),
           source=rehearsal.folder, hint="mend what could not be read, and rehearse the migration again")


def _expect_passed(what: str, verdict: Verdict, rehearsal: RecordedRehearsal, expect: Expect) -> None:
    expect(verdict is Verdict.PASSED,
           what=what,
           expected=Verdict.PASSED.value, observed=verdict.value,
           source=rehearsal.folder, hint="see its report; mend the migration, and rehearse that commit")
