"""Step 5 by what its checks are given, red for each way to be false; the newest rehearsal counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from checks.premigration import test_step5_staging as step5
from rollback_actions.session.journal import Journal
from rollproof.incident.incident import Incident, new_incident
from rollproof.incident.rehearsals import BEGAN, ENDED, Rehearsal, newest_rehearsal
from rollproof.profile.profile import Signing, Target, load_target
from rollproof.record_names import JOURNAL
from rollproof.sealing.seal import Sealing
from tests.conftest import write_profile
from tests.rehearsals import ALTERED, ENDED_WELL, LOST, OLD_CODE, age_rehearsal, record_rehearsal
from tests.unit.gate.asked import judged
from tests.world.git import git

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
        """Record a rehearsal that passed but for `changes`; return its folder."""
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


def edited(folder: Path) -> None:
    path = folder / JOURNAL
    path.write_text(path.read_text().replace('"rolled_back": "failed"', '"rolled_back": "passed"'))


def aged(folder: Path) -> None:
    age_rehearsal(folder, days=8)


@pytest.mark.parametrize(
    ("changes", "harm", "red"),
    [
        ({"migrated": "failed"}, None, {"test_staging_was_well_after_the_migration": "observed failed"}),
        ({"rolled_back": "broken"}, None, {"test_rollback_was_rehearsed": "observed broken"}),
        ({"old_code": "failed"}, None, {OLD_CODE: "observed failed"}),
        ({"lost": ["x" * 5000, "mysql: shop.users: gone"]}, None, {LOST: "…; mysql: shop.users: gone"}),
        ({"altered": ["mysql: shop.users: type"]}, None, {ALTERED: "mysql: shop.users: type"}),
        ({"unknown": ["mysql: no answer"]}, None, dict.fromkeys((LOST, ALTERED), "mysql: no answer")),
        (
            {"known_good": "0" * 40},
            None,
            {"test_rehearsal_began_where_the_target_is": "observed 000000000000"},
        ),
        ({}, aged, {"test_rehearsal_is_recent": "observed 8.0"}),
    ],
)
def test_its_items_are_red(
    staging: Staging, changes: dict[str, Any], harm: Callable[[Path], None] | None, red: dict[str, str]
) -> None:
    folder = staging.rehearse(**changes)
    if harm is not None:
        harm(folder)
    results = staging.results()
    observed = {name: reason for name, (verdict, reason) in results.items() if verdict != "passed"}
    assert observed.keys() == red.keys()
    for name, words in red.items():
        assert words in observed[name]


def test_a_verdict_edited_in_the_journal_is_no_evidence(staging: Staging) -> None:
    edited(staging.rehearse(rolled_back="failed"))
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
    staging.rehearse()
    staging.rehearse(rolled_back="failed")
    assert staging.results()["test_rollback_was_rehearsed"][0] == "failed"


OURS = "a" * 40
ENDING = ENDED_WELL


def rehearse(folder: Path, target: str = "stage", migration: str = OURS) -> Incident:
    """Record a rehearsal that passed."""
    incident = new_incident(folder, target)
    journal = Journal(incident.folder / JOURNAL, str)
    journal.write(BEGAN, migration=migration, known_good="c" * 40)
    journal.write(ENDED, migration=migration, **ENDING)
    return incident


def search(folder: Path) -> Rehearsal | None:
    return newest_rehearsal(folder, "stage", OURS)


def test_a_sealed_rehearsal_is_as_it_was_sealed(tmp_path: Path) -> None:
    """Anybody can make the chain of a journal again: the record's seal has the hash of the journal."""
    incident = rehearse(tmp_path)
    Sealing(incident.folder, Signing()).seal("rehearse")
    found = search(tmp_path)
    assert found is not None
    assert found.damage() == ""

    path = incident.folder / JOURNAL
    path.unlink()
    journal = Journal(path, str)
    journal.write(BEGAN, migration=OURS, known_good="d" * 40)
    journal.write(ENDED, migration=OURS, **ENDING)
    again = search(tmp_path)
    assert again is not None
    assert f"{JOURNAL}: it is not what was sealed" in again.damage()
