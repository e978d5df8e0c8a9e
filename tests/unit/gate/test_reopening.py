"""`reopen`: refused for each thing that is not there, recorded once, and kept so that an edit shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollback_actions.session.journal import Journal
from rollproof.backups.sets import MANIFEST, manifest_text
from rollproof.errors import ExitCode
from rollproof.incident.incident import new_incident
from rollproof.incident.journal import JournalBroken
from rollproof.incident.reopening import REOPENED, read_reopenings
from rollproof.record_names import UNFINISHED
from rollproof.system.clock import Moment
from tests.unit.rolled_back import CAUSE, History, RolledBack, commit, make_rolled_back, roll_back
from tests.unit.sandbox import git


@pytest.fixture
def rolled(
    tmp_path: Path, history: History, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> RolledBack:
    return make_rolled_back(tmp_path, history, monkeypatch, capsys)


def _refused(rolled: RolledBack, *options: str, code: ExitCode = ExitCode.USAGE) -> str:
    """Return what is said when it is refused; nothing is recorded then."""
    said = rolled.reopen(*options, code=code)
    assert ": expected " in said
    assert ", observed " in said
    assert "\nHINT: " in said
    assert read_reopenings(rolled.incident) == []
    return said


def test_it_is_recorded_with_all_that_it_stands_on(rolled: RolledBack) -> None:
    rehearsal = rolled.rehearse(rolled.fix)
    backup = rolled.back_up()
    said = rolled.reopen("--fix", rolled.fix[:9])
    assert f"reopened by Ada: incident {rolled.incident.id}, for fix {rolled.fix}" in said
    (found,) = read_reopenings(rolled.incident)
    assert (found.incident, found.fix, found.rolled_back) == (
        rolled.incident.id,
        rolled.fix,
        (rolled.sandbox.bad,),
    )
    assert (found.root_cause, found.name) == (CAUSE, "Ada")
    assert (found.rehearsal, found.backup) == (rehearsal.id, backup.name)
    assert found.user
    assert found.host


@pytest.mark.parametrize("how", ["empty", "rehearsal"])
def test_an_incident_without_a_rollback_is_refused(rolled: RolledBack, how: str) -> None:
    rolled.prepare()
    target = rolled.sandbox.target
    rolled.incident = (
        new_incident(target.folders.incidents, target.name)
        if how == "empty"
        else rolled.rehearse(rolled.sandbox.bad)
    )
    assert "that has succeeded, other than a rehearsal's, observed none" in _refused(rolled)


def test_a_rollback_that_has_not_succeeded_is_refused(rolled: RolledBack) -> None:
    rolled.prepare()
    (rolled.incident.folder / UNFINISHED).write_text("{}")
    assert "observed one that began and did not succeed" in _refused(rolled)


def _itself(rolled: RolledBack) -> str:
    return rolled.sandbox.bad


def _part_of_it(rolled: RolledBack) -> str:
    return git(rolled.repository, "rev-parse", f"{rolled.sandbox.bad}~1")


def _without_a_change(rolled: RolledBack) -> str:
    return commit(rolled.sandbox, rolled.sandbox.bad, {})


@pytest.mark.parametrize(
    ("fix", "observed"),
    [
        (_itself, "which has the same files"),
        (_part_of_it, "which is in its history"),
        (_without_a_change, "which has the same files"),
    ],
)
def test_what_mends_nothing_is_no_fix(
    rolled: RolledBack, fix: Callable[[RolledBack], str], observed: str
) -> None:
    rolled.fix = fix(rolled)
    rolled.prepare()
    assert observed in _refused(rolled)


def test_a_fix_that_is_no_commit_is_refused(rolled: RolledBack) -> None:
    assert "'0000000': expected one of the repository" in _refused(rolled, "--fix", "0000000")


def test_a_fix_that_was_never_rehearsed_is_refused(rolled: RolledBack) -> None:
    rolled.rehearse(rolled.sandbox.bad)
    rolled.back_up()
    said = _refused(rolled)
    assert f"rehearsal of the fix, {rolled.fix[:12]}: expected one of target sandbox that passed" in said
    assert "observed none" in said


@pytest.mark.parametrize(
    ("changes", "observed"),
    [
        ({"migrated": "failed"}, "the migration failed, its rollback passed"),
        ({"rolled_back": "broken"}, "the migration passed, its rollback broken"),
        ({"ended": False}, "which was cut off, or runs"),
    ],
    ids=str,
)
def test_a_rehearsal_that_did_not_pass_is_refused(
    rolled: RolledBack, changes: dict[str, Any], observed: str
) -> None:
    rolled.prepare()
    rolled.rehearse(rolled.fix, **changes)
    assert observed in _refused(rolled)


def test_a_rehearsal_beside_a_newer_one_that_was_edited_is_refused(rolled: RolledBack) -> None:
    rolled.prepare()
    newer = rolled.rehearse(rolled.fix, rolled_back="failed")
    journal = newer.folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"rolled_back": "failed"', '"rolled_back": "passed"'))
    assert newer.id in _refused(rolled, code=ExitCode.BROKEN)


def test_a_rehearsal_of_before_the_rollback_is_refused(rolled: RolledBack) -> None:
    rolled.prepare()
    rolled.incident = roll_back(rolled.sandbox)
    rolled.back_up()
    said = _refused(rolled)
    assert ", which began " in said
    assert "; the rollback ended " in said


def test_a_backup_that_was_begun_before_the_rollback_ended_is_refused(rolled: RolledBack) -> None:
    rolled.rehearse(rolled.fix)
    path, ended = rolled.back_up() / MANIFEST, rolled.incident.rollback()
    assert ended is not None
    manifest = json.loads(path.read_text())
    began, done = manifest["taken"]["redis"]
    began["since_boot"] = ended.finished.since_boot - 1
    path.write_bytes(manifest_text(manifest))
    assert Moment.from_record(done).seconds_since(ended.finished) > 0
    assert f", begun {began['wall']}" in _refused(rolled)


@pytest.mark.parametrize("harm", ["cut", "a manifest edited"])
def test_a_backup_that_is_not_whole_is_refused(rolled: RolledBack, harm: str) -> None:
    rolled.prepare()
    folder = rolled.back_up()
    if harm == "cut":
        (folder / "set.json").unlink()
    else:
        damaged = folder / "set.json"
        damaged.write_text(damaged.read_text().replace("e", "i"))
    _refused(rolled)


def test_a_damaged_journal_of_the_incident_is_broken(rolled: RolledBack) -> None:
    rolled.prepare()
    journal = rolled.incident.folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace(rolled.sandbox.bad, rolled.sandbox.commit))
    assert "of the journal: expected hash" in rolled.reopen(code=ExitCode.BROKEN)
    assert not rolled.record.exists()


def test_an_edited_reopening_counts_for_nobody_until_a_person_has_moved_it(rolled: RolledBack) -> None:
    rolled.prepare()
    rolled.reopen()
    rolled.record.write_text(rolled.record.read_text().replace("Ada", "Grace"))
    with pytest.raises(JournalBroken):
        read_reopenings(rolled.incident)
    assert "record 0 of the journal" in rolled.reopen(code=ExitCode.BROKEN)
    rolled.record.rename(rolled.record.with_suffix(".jsonl.damaged"))
    rolled.reopen()
    assert [one.name for one in read_reopenings(rolled.incident)] == ["Ada"]


def test_a_reopening_without_its_fields_is_damage_of_the_journal(rolled: RolledBack) -> None:
    incident = rolled.incident
    Journal(rolled.record, str).write(REOPENED, incident=incident.id, target=incident.target)
    with pytest.raises(JournalBroken, match="expected the fields of its event"):
        read_reopenings(incident)
