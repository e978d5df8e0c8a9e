"""Step 5 by what its checks are given, red for each way to be false; the newest rehearsal counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from checks.premigration import test_step5_staging as step5
from rollproof.profile.profile import Signing, Target, load_target
from rollproof.record_names import JOURNAL
from rollproof.sealing.seal import Sealing
from tests.conftest import write_profile
from tests.rehearsals import ALTERED, LOST, OLD_CODE, WHOLE, age_rehearsal, record_rehearsal
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


@pytest.mark.parametrize(
    ("changes", "days", "red"),
    [
        ({"migrated": "failed"}, 0, {"test_staging_was_well_after_the_migration": "observed failed"}),
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
