"""Step 5 on the real repository: green for a rehearsal that passed, and red for each of its failings.

A rehearsal takes minutes: what it leaves is written as it does, and `test_gate.py` makes one. A rollback that
closes the gate is in `test_kills.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollproof.git.repository import git, head
from rollproof.sealing.seal import ANYBODY, Sealing
from staging.stack.stack import Stack
from tests.pytester.conftest import Outcome
from tests.rehearsals import (
    ALTERED,
    BEGAN_HERE,
    LOST,
    OF_THE_REHEARSAL,
    OLD_CODE,
    RECENT,
    REOPENED,
    ROLLED_BACK,
    WELL,
    WHOLE,
    age_rehearsal,
    record_rehearsal,
)
from tests.stack.verifier import Verifier, expect

OTHER_COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Rehearsed:
    """The migration to release 2, and the records of its rehearsals."""

    verifier: Verifier
    migration: str
    known_good: str

    def record(self, *, migration: str = "", known_good: str = "", **ending: str | Sequence[str]) -> Path:
        """Record a rehearsal of it that passed, but for what is said; return its folder."""
        commits = (migration or self.migration, known_good or self.known_good)
        return record_rehearsal(
            self.verifier.folder / "incidents", "staging", *commits, ended=True, **ending
        ).folder

    def run(self) -> Outcome:
        """Run step 5."""
        return self.verifier.run("step5", f"--migration={self.migration}")


@pytest.fixture
def rehearsed(stack: Stack, tmp_path: Path) -> Rehearsed:
    """In folders of a test's own: a rollback of another test would close the gate."""
    repository = stack.state.application
    migration = git(repository, "rev-parse", "release-2^{commit}")
    return Rehearsed(Verifier(stack, tmp_path), migration, head(repository))


def test_each_check_is_red_for_its_own_fault_until_a_newer_rehearsal_has_none(rehearsed: Rehearsed) -> None:
    folder = rehearsed.record(
        migrated="failed",
        rolled_back="broken",
        known_good=OTHER_COMMIT,
        old_code="broken",
        lost=["mysql: imagedb.users: not there any more"],
        altered=["mysql: imagedb.users: schema: another type"],
    )
    age_rehearsal(folder, days=8)
    (folder / "note").write_text("sealed")
    Sealing(folder, ANYBODY).seal("a test")
    (folder / "note").write_text("edited")
    # That of another commit is no rehearsal of this one.
    rehearsed.record(migration=OTHER_COMMIT)
    expect(
        rehearsed.run(),
        {
            WHOLE: ("broken", "expected as it was sealed", "note: it is not what was sealed"),
            WELL: ("failed", "expected passed, observed failed"),
            LOST: ("failed", "observed mysql: imagedb.users: not there any more"),
            ALTERED: ("failed", "observed mysql: imagedb.users: schema: another type"),
            OLD_CODE: ("failed", "expected passed, observed broken"),
            ROLLED_BACK: ("failed", "expected passed, observed broken"),
            BEGAN_HERE: (
                "failed",
                f"expected {rehearsed.known_good[:12]}, as the target's working copy",
                f"observed {OTHER_COMMIT[:12]}",
            ),
            RECENT: ("failed", "expected at most 7 days, observed 8.0"),
        },
    )
    rehearsed.record()
    outcome = rehearsed.run()
    expect(outcome, {})
    assert outcome.results().keys() == {*OF_THE_REHEARSAL, REOPENED}
