"""Step 5 about what was rolled back: closed for what brings it back, until `reopen` records a fix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from checks.premigration import test_step5_staging as step5
from fixtures.gating.evidence import Expect
from rollback_actions.session.journal import Journal
from rollproof.errors import ExitCode, Mismatch, Unverifiable
from rollproof.incident.incident import new_incident
from rollproof.incident.journal import JournalBroken
from rollproof.incident.rehearsals import BEGAN, ENDED
from rollproof.incident.reopening import closed_gates_for, read_reopenings
from rollproof.record_names import UNFINISHED
from tests.unit.rolled_back import CAUSE, MIGRATION_FILE, RolledBack, commit, roll_back
from tests.world.git import git


def _green(rolled: RolledBack, migration: str) -> str:
    """Return what the check notes of `migration`."""
    closed_gates = closed_gates_for(rolled.sandbox.target, migration)
    notes: list[str] = []
    step5.test_migration_was_reopened_after_its_rollback(
        closed_gates, migration, rolled.sandbox.profile, Expect([]), notes.append
    )
    (text,) = notes
    return text


def _red(rolled: RolledBack, migration: str) -> str:
    with pytest.raises(Mismatch) as told:
        _green(rolled, migration)
    text = str(told.value)
    assert f"reopening of migration {migration[:12]}: expected one for each rollback" in text
    assert str(rolled.incident.folder) in text
    return text


def test_what_was_rolled_back_stays_closed(rolled: RolledBack) -> None:
    said = _red(rolled, rolled.sandbox.bad)
    incident = rolled.incident.id
    assert (
        f"it is {rolled.sandbox.bad[:12]}, which incident {incident} rolled back: that commit stays" in said
    )
    assert "HINT: correct it in a new commit, and reopen the gate for that: rollproof" in said
    assert f"reopen {incident} --fix FIX " in said
    rolled.reopen()
    assert "that commit stays closed" in _red(rolled, rolled.sandbox.bad)


def test_a_fix_is_closed_until_it_is_reopened(rolled: RolledBack) -> None:
    said = _red(rolled, rolled.fix)
    incident = rolled.incident.id
    assert (
        f"it contains {rolled.sandbox.bad[:12]}, which incident {incident} rolled back, and it has no "
        in said
    )
    assert said.endswith(
        f"\nHINT: rollproof reopen {incident} --fix {rolled.fix[:12]}"
        f" --root-cause TEXT --as NAME --target {rolled.sandbox.profile}"
    )
    rolled.reopen()
    said = _green(rolled, rolled.fix)
    assert f"incident {incident} was reopened by Ada for fix {rolled.fix[:12]}: {CAUSE}" in said


def test_what_has_the_fix_in_its_history_is_open_and_what_has_not_is_closed(rolled: RolledBack) -> None:
    rolled.reopen()
    later = commit(rolled.sandbox, rolled.fix, {"README": "more"})
    assert f"for fix {rolled.fix[:12]}" in _green(rolled, later)
    beside = commit(rolled.sandbox, rolled.sandbox.bad, {"README": "other"})
    assert "it has no fix for which a reopening is recorded" in _red(rolled, beside)


def test_what_does_not_bring_it_back_is_open(rolled: RolledBack) -> None:
    other = commit(rolled.sandbox, rolled.sandbox.commit, {"README": "another change"})
    before = git(rolled.repository, "rev-parse", f"{rolled.sandbox.bad}~1")
    for migration in (other, before, rolled.sandbox.commit):
        assert _green(rolled, migration) == "it brings back nothing that was rolled back"


def test_the_same_migration_file_on_another_branch_is_closed(rolled: RolledBack) -> None:
    picked = commit(rolled.sandbox, rolled.sandbox.commit, {MIGRATION_FILE: "DROP INDEX by_name; -- again"})
    assert f"it changes {MIGRATION_FILE} as {rolled.sandbox.bad[:12]} does" in _red(rolled, picked)
    rolled.fix = picked
    rolled.reopen()
    assert f"for fix {picked[:12]}" in _green(rolled, picked)


def test_what_has_it_again_under_another_id_is_closed_until_it_is_reopened(rolled: RolledBack) -> None:
    bad = commit(rolled.sandbox, rolled.sandbox.commit, {"app.py": "print('slow')\n"})
    rolled.sandbox.bad = bad
    rolled.incident = roll_back(rolled.sandbox)
    beside = commit(rolled.sandbox, rolled.sandbox.commit, {"README": "another change"})
    git(rolled.repository, "checkout", "--quiet", "--detach", beside)
    git(rolled.repository, "cherry-pick", bad)
    picked = git(rolled.repository, "rev-parse", "HEAD")
    git(rolled.repository, "checkout", "--quiet", "--detach", rolled.sandbox.commit)
    assert "nothing" in _green(rolled, beside)
    said = _red(rolled, picked)
    assert f"it repeats {bad[:12]}, which incident {rolled.incident.id} rolled" in said
    rolled.fix = commit(rolled.sandbox, picked, {"app.py": "print('quick')\n"})
    rolled.reopen()
    assert f"for fix {rolled.fix[:12]}" in _green(rolled, rolled.fix)
    _red(rolled, picked)


def test_each_rollback_is_reopened_by_itself(rolled: RolledBack) -> None:
    first, rolled.incident = rolled.incident, roll_back(rolled.sandbox)
    rolled.reopen()
    said = _red(replace(rolled, incident=first), rolled.fix)
    assert rolled.incident.id not in said
    rolled.incident = first
    rolled.reopen()
    assert _green(rolled, rolled.fix).count("was reopened by Ada") == 2


@pytest.mark.parametrize("ended", [False, True])
def test_the_rollback_of_a_rehearsal_closes_nothing(rolled: RolledBack, *, ended: bool) -> None:
    rolled.incident.folder.rename(rolled.sandbox.folder / "aside")
    incident = rolled.sandbox.new_incident()
    journal = Journal(incident.folder / "journal.jsonl", str)
    journal.write(BEGAN, migration=rolled.sandbox.bad)
    journal.write("rollback began", commit=rolled.sandbox.commit, head=rolled.sandbox.bad, revisions=[])
    if ended:
        journal.write(ENDED, migration=rolled.sandbox.bad)
    assert "nothing" in _green(rolled, rolled.fix)


def test_another_target_s_rollback_closes_nothing(rolled: RolledBack) -> None:
    incidents = rolled.sandbox.target.folders.incidents
    other = new_incident(incidents, "other")
    for name in ("journal.jsonl", "rollback.json"):
        (rolled.incident.folder / name).rename(other.folder / name)
    assert "nothing" in _green(rolled, rolled.fix)


def test_a_rollback_that_does_not_say_from_where_is_broken(rolled: RolledBack) -> None:
    (rolled.incident.folder / "journal.jsonl").unlink()
    with pytest.raises(Unverifiable, match="its beginning in the journal"):
        closed_gates_for(rolled.sandbox.target, rolled.fix)
    journal = Journal(rolled.incident.folder / "journal.jsonl", str)
    journal.write("rollback began", commit=rolled.sandbox.commit, head=None, revisions=None)
    with pytest.raises(Unverifiable, match="the commit that it went back from, observed not recorded"):
        closed_gates_for(rolled.sandbox.target, rolled.fix)


def test_a_commit_that_is_gone_is_broken(rolled: RolledBack) -> None:
    journal = Journal(rolled.incident.folder / "journal.jsonl", str)
    journal.write("rollback began", commit=rolled.sandbox.commit, head="0" * 40, revisions=[])
    with pytest.raises(Unverifiable, match="fetch both commits"):
        closed_gates_for(rolled.sandbox.target, rolled.fix)


def _refused(rolled: RolledBack, *options: str, code: ExitCode = ExitCode.USAGE) -> str:
    """Return what is said when it is refused; nothing is recorded then."""
    said = rolled.reopen(*options, code=code)
    assert ": expected " in said
    assert ", observed " in said
    assert "\nHINT: " in said
    assert read_reopenings(rolled.incident) == []
    return said


def test_a_rollback_that_has_not_succeeded_is_refused(rolled: RolledBack) -> None:
    (rolled.incident.folder / UNFINISHED).write_text("{}")
    assert "observed one that began and did not succeed" in _refused(rolled)


@pytest.mark.parametrize(
    ("fix", "observed"),
    [
        (lambda rolled: rolled.sandbox.bad, "which has the same files"),
        (lambda rolled: rolled.sandbox.commit, "which is in its history"),
        (lambda rolled: commit(rolled.sandbox, rolled.sandbox.bad, {}), "which has the same files"),
    ],
    ids=["itself", "a part of it", "no change"],
)
def test_what_mends_nothing_is_no_fix(
    rolled: RolledBack, fix: Callable[[RolledBack], str], observed: str
) -> None:
    rolled.fix = fix(rolled)
    assert observed in _refused(rolled)


def test_a_damaged_journal_of_the_incident_is_broken(rolled: RolledBack) -> None:
    journal = rolled.incident.folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace(rolled.sandbox.bad, rolled.sandbox.commit))
    assert "of the journal: expected hash" in rolled.reopen(code=ExitCode.BROKEN)
    assert not rolled.record.exists()


def test_an_edited_reopening_counts_for_nobody_until_a_person_has_moved_it(rolled: RolledBack) -> None:
    rolled.reopen()
    rolled.record.write_text(rolled.record.read_text().replace("Ada", "Grace"))
    with pytest.raises(JournalBroken):
        read_reopenings(rolled.incident)
    assert "record 0 of the journal" in rolled.reopen(code=ExitCode.BROKEN)
    rolled.record.rename(rolled.record.with_suffix(".jsonl.damaged"))
    rolled.reopen()
    assert [one.name for one in read_reopenings(rolled.incident)] == ["Ada"]
