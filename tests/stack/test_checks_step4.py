"""Step 4 on the real stack, with a real channel: a team that does not know, or has not answered, is red."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.git import git, head
from fixtures.target import Target
from staging.rehearsal import ENGINEER
from staging.team import team_channel, write_change_document
from tests.pytester.conftest import Outcome
from tests.stack.verifier import Verifier, expect

DOCUMENTED, NOTIFIED, ACKNOWLEDGED = (
    "test_change_is_documented",
    "test_team_was_notified",
    "test_on_call_acknowledged",
)


@dataclass(frozen=True)
class Change:
    """The migration to release 2, its document, and what the team does about it."""

    verifier: Verifier
    migration: str
    document: Path

    def run(self, **variables: str) -> Outcome:
        """Run step 4."""
        return self.verifier.run("step4", f"--migration={self.migration}", **variables)

    def notify(self) -> int:
        """Tell the team; return the exit code."""
        return self.verifier.actions("notify", self.migration).returncode

    def acknowledge(self, name: str = ENGINEER) -> int:
        """Have somebody acknowledge; return the exit code."""
        return self.verifier.actions("acknowledge", self.migration, "--as", name).returncode


@pytest.fixture
def change(verifier: Verifier, target: Target) -> Iterator[Change]:
    """A change with its document, of which nobody knows."""
    repository, document = target.application.repository, target.premigration.team.document
    assert document is not None
    found = Change(verifier, git(repository, "rev-parse", "release-2"), document)
    write_change_document(document, found.migration, head(repository))
    yield found
    document.unlink(missing_ok=True)


def test_a_team_that_does_not_know_is_red_until_it_has_answered(change: Change) -> None:
    untold = {
        NOTIFIED: ("failed", "notification of the team", "observed none"),
        ACKNOWLEDGED: ("failed", "acknowledgement by an engineer on call", "observed none"),
    }
    expect(change.run(), untold)
    assert change.acknowledge() != 0, "an acknowledgement of what nobody was told"

    # Nobody listens at the channel.
    assert change.notify() == 1
    expect(change.run(), {**untold, NOTIFIED: ("failed", "did not take it")})

    with team_channel():
        assert change.notify() == 0
    expect(change.run(), {ACKNOWLEDGED: untold[ACKNOWLEDGED]})
    assert change.acknowledge("a passer-by") != 0

    assert change.acknowledge() == 0
    outcome = change.run()
    expect(outcome, {})
    assert ENGINEER in " ".join(outcome.results()[ACKNOWLEDGED]["notes"])

    others = change.run(PREMIGRATION__TEAM__ON_CALL='["somebody else"]')
    expect(others, {ACKNOWLEDGED: ("failed", f"{ENGINEER}'s is of nobody on call")})
    expired = change.run(PREMIGRATION__TEAM__ACKNOWLEDGED_SECONDS="1")
    expect(expired, {ACKNOWLEDGED: ("failed", "min old, not at most")})

    # What they were told of was another document.
    change.document.write_text(change.document.read_text() + "\nAnd a table less.\n")
    edited = {NOTIFIED: ("failed", "was told before the change document was edited")}
    expect(change.run(), edited)
    with team_channel():
        assert change.notify() == 0
    expect(change.run(), {ACKNOWLEDGED: ("failed", "came before the team was told for the last time")})

    change.document.write_text("# A migration\n")
    assert change.run().results()[DOCUMENTED]["verdict"] == "failed"
    change.document.unlink()
    assert change.run().results()[DOCUMENTED]["verdict"] != "passed"
