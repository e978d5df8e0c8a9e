"""Step 5: closed for what was rolled back until `reopen` records a fix, and red without a good rehearsal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from checks.premigration import test_step5_staging as step5
from fixtures.gating.evidence import Expect
from rollback_actions.session.session import Journal
from rollproof.errors import ExitCode, Mismatch, Unverifiable
from rollproof.incident.incident import new_incident
from rollproof.incident.journal import JournalBroken
from rollproof.incident.rehearsals import BEGAN, ENDED
from rollproof.incident.rollbacks import closed_gates_for, read_reopenings
from rollproof.profile.profile import Signing, Target, load_target
from rollproof.record_names import JOURNAL, UNFINISHED
from rollproof.sealing.seal import Sealing
from tests.conftest import write_profile
from tests.rehearsals import ALTERED, LOST, OLD_CODE, WHOLE, age_rehearsal, record_rehearsal
from tests.unit.gate.asked import judged
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
    other = commit(rolled.sandbox, rolled.sandbox.bad, {"README": "other"})
    assert "it has no fix for which a reopening is recorded" in _red(rolled, other)


def test_what_does_not_bring_it_back_is_open(rolled: RolledBack) -> None:
    other = commit(rolled.sandbox, rolled.sandbox.commit, {"README": "another change"})
    before = git(rolled.repository, "rev-parse", f"{rolled.sandbox.bad}~1")
    for migration in (other, before, rolled.sandbox.commit):
        assert _green(rolled, migration) == "it undoes no rollback"


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
    other = commit(rolled.sandbox, rolled.sandbox.commit, {"README": "another change"})
    git(rolled.repository, "checkout", "--quiet", "--detach", other)
    git(rolled.repository, "cherry-pick", bad)
    picked = git(rolled.repository, "rev-parse", "HEAD")
    git(rolled.repository, "checkout", "--quiet", "--detach", rolled.sandbox.commit)
    assert "no rollback" in _green(rolled, other)
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
    assert "no rollback" in _green(rolled, rolled.fix)


def test_another_target_s_rollback_closes_nothing(rolled: RolledBack) -> None:
    incidents = rolled.sandbox.target.folders.incidents
    other = new_incident(incidents, "other")
    for name in ("journal.jsonl", "rollback.json"):
        (rolled.incident.folder / name).rename(other.folder / name)
    assert "no rollback" in _green(rolled, rolled.fix)


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


CHECKS = {name: check for name, check in vars(step5).items() if name.startswith("test_")}


@dataclass
class Staging:
    """The records of a staging target, and the target whose migration it rehearsed."""

    target: Target
    records: Path
    known_good: str
    migration: str

    def rehearse(
        self,
        target: str = "stage",
        *,
        migration: str = "",
        known_good: str = "",
        ended: bool = True,
        **changes: str | Sequence[str],
    ) -> Path:
        """Record a rehearsal that passed except for `changes`; return its folder."""
        commits = (migration or self.migration, known_good or self.known_good)
        return record_rehearsal(self.records, target, *commits, ended=ended, **changes).folder

    def results(self) -> dict[str, tuple[str, str]]:
        """Return verdict and reason of each check of step 5, by its name."""
        known = {"target": self.target, "migration": self.migration, "profile_path": Path("profile.toml")}
        return {name: judged(check, dict(known)) for name, check in CHECKS.items()}


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    """A target with two commits, whose staging target has records of its own."""
    repository = tmp_path / "application"
    repository.mkdir()
    git(repository, "init", "--quiet")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "one")
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "two")
    second = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "--quiet", "--detach", first)
    more = '\n[premigration.rehearsal]\ntarget = "stage"\nincidents = "staging"\ndays = 7\n'
    profile = write_profile(tmp_path)
    with profile.open("a", encoding="utf-8") as file:
        file.write(more)
    return Staging(load_target(profile), tmp_path / "staging", first, second)


def test_a_rehearsal_that_passed_is_green(staging: Staging) -> None:
    age_rehearsal(staging.rehearse(migrated="failed"), days=1)
    staging.rehearse()
    results = staging.results()
    assert len(results) == 10
    assert {verdict for verdict, _ in results.values()} == {"passed"}


@pytest.mark.parametrize(
    ("changes", "days", "red"),
    [
        (
            {"migrated": "failed"},
            0,
            {"test_staging_passed_its_checks_after_the_migration": "observed failed"},
        ),
        ({"rolled_back": "broken"}, 0, {"test_rollback_was_rehearsed": "observed broken"}),
        ({"old_code": "failed"}, 0, {OLD_CODE: "observed failed"}),
        ({"lost": ["x" * 5000, "mysql: shop.users: gone"]}, 0, {LOST: "…; mysql: shop.users: gone"}),
        ({"altered": ["mysql: shop.users: type"]}, 0, {ALTERED: "mysql: shop.users: type"}),
        ({"unknown": ["mysql: no answer"]}, 0, dict.fromkeys((LOST, ALTERED), "mysql: no answer")),
        ({"known_good": "0" * 40}, 0, {"test_rehearsal_began_where_the_target_is": "observed 000000000000"}),
        ({}, 8, {"test_rehearsal_is_recent": "observed 8.0"}),
    ],
)
def test_its_items_are_red(staging: Staging, changes: dict[str, Any], days: int, red: dict[str, str]) -> None:
    folder = staging.rehearse(**changes)
    if days:
        age_rehearsal(folder, days)
    results = staging.results()
    observed = {name: reason for name, (verdict, reason) in results.items() if verdict != "passed"}
    assert observed.keys() == red.keys()
    for name, words in red.items():
        assert words in observed[name]


def test_a_verdict_edited_in_the_journal_is_no_evidence(staging: Staging) -> None:
    path = staging.rehearse(rolled_back="failed") / JOURNAL
    path.write_text(path.read_text().replace('"rolled_back": "failed"', '"rolled_back": "passed"'))
    results = staging.results()
    assert results["test_rollback_was_rehearsed"][0] == "broken"
    assert "of the journal" in results["test_record_of_the_rehearsal_is_whole"][1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (None, "observed none"),
        ({"migration": "1" * 40}, "observed none"),
        ({"target": "another"}, "observed none"),
        ({"ended": False}, "it was cut off, or it runs"),
    ],
    ids=["never", "of another commit", "on another target", "never ended"],
)
def test_no_rehearsal_is_red_everywhere(staging: Staging, changes: dict[str, Any] | None, words: str) -> None:
    if changes is not None:
        staging.rehearse(**changes)
    results = staging.results()
    reasons = [reason for verdict, reason in results.values() if verdict == "failed"]
    assert len(reasons) >= 5
    assert all(words in reason for reason in reasons)


def test_the_newest_counts_not_the_best(staging: Staging) -> None:
    age_rehearsal(staging.rehearse(), days=1)
    staging.rehearse(rolled_back="failed")
    assert staging.results()["test_rollback_was_rehearsed"][0] == "failed"


def test_a_damaged_one_may_be_the_newest(staging: Staging) -> None:
    age_rehearsal(staging.rehearse(), days=1)
    (staging.rehearse() / "incident.json").write_text("{")
    assert staging.results()["test_rollback_was_rehearsed"][0] == "broken"


def test_a_sealed_rehearsal_is_as_it_was_sealed(staging: Staging) -> None:
    """Anybody can make the chain of a journal again: the record's seal has the hash of the journal."""
    folder = staging.rehearse()
    Sealing(folder, Signing()).seal("rehearse")
    assert staging.results()[WHOLE][0] == "passed"
    age_rehearsal(folder, days=1)
    verdict, reason = staging.results()[WHOLE]
    assert verdict == "broken"
    assert f"{JOURNAL}: it is not what was sealed" in reason


def test_a_rollback_that_failed_closes(rolled: RolledBack) -> None:
    path = rolled.incident.folder / "rollback.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "verdict": "failed"}))
    _red(rolled, rolled.fix)


def test_a_fix_that_was_rolled_back_is_closed_again(rolled: RolledBack) -> None:
    rolled.reopen()
    rolled.incident = roll_back(rolled.sandbox, beginning=rolled.fix)
    _red(rolled, rolled.fix)
    better = commit(rolled.sandbox, rolled.fix, {"README": "better"})
    assert f"reopen {rolled.incident.id} --fix {better[:12]}" in _red(rolled, better)
