"""`reopen`: refused for each thing that is not there, recorded once, and kept so that an edit shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.incident.incident import new_incident
from rollproof.incident.journal import JournalBroken
from rollproof.incident.reopening import read_reopenings
from rollproof.record_names import UNFINISHED
from tests.unit.rolled_back import CAUSE, History, RolledBack, commit, make_rolled_back
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
    said = rolled.reopen("--fix", rolled.fix[:9])
    assert f"reopened by Ada: incident {rolled.incident.id}, for fix {rolled.fix}" in said
    (found,) = read_reopenings(rolled.incident)
    assert (found.incident, found.fix, found.rolled_back) == (
        rolled.incident.id,
        rolled.fix,
        (rolled.sandbox.bad,),
    )
    assert (found.root_cause, found.name) == (CAUSE, "Ada")
    assert found.user
    assert found.host


@pytest.mark.parametrize("how", ["empty", "rehearsal"])
def test_an_incident_without_a_rollback_is_refused(rolled: RolledBack, how: str) -> None:
    target = rolled.sandbox.target
    rolled.incident = (
        new_incident(target.folders.incidents, target.name)
        if how == "empty"
        else rolled.rehearse(rolled.sandbox.bad)
    )
    assert "that has succeeded, other than a rehearsal's, observed none" in _refused(rolled)


def test_a_rollback_that_has_not_succeeded_is_refused(rolled: RolledBack) -> None:
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
    assert observed in _refused(rolled)


def test_a_fix_that_is_no_commit_is_refused(rolled: RolledBack) -> None:
    assert "'0000000': expected one of the repository" in _refused(rolled, "--fix", "0000000")


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
