"""Step 4 on the real stack, with a real channel: it is red for a team that was not told or did not answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollproof.git.repository import git, head
from rollproof.profile.profile import Target
from staging.rehearsal.rehearsal import ENGINEER
from staging.rehearsal.staging_team import team_channel, write_change_document
from tests.pytester.conftest import Outcome
from tests.stack.verifier import Red, Verifier, expect

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
    whole = change.document.read_text()
    nobody: Red = ("failed", "acknowledgement by an engineer on call", "observed none")
    change.document.write_text("# A migration\n")
    untold: dict[str, Red] = {
        DOCUMENTED: ("failed", "no mention of that commit"),
        NOTIFIED: ("failed", "notification of the team", "was never tried"),
        ACKNOWLEDGED: nobody,
    }
    expect(change.run(), untold)
    assert change.acknowledge() != 0, "an acknowledgement of what nobody was told"

    # Nobody listens at the channel.
    change.document.write_text(whole)
    assert change.notify() == 1
    expect(change.run(), {NOTIFIED: ("failed", "did not take it"), ACKNOWLEDGED: nobody})

    with team_channel(change.verifier.stack.slot.channel_port):
        assert change.notify() == 0
    assert change.acknowledge("a passer-by") != 0
    assert change.acknowledge() == 0
    outcome = change.run()
    expect(outcome, {})
    assert any(ENGINEER in note["text"] for note in outcome.results()[ACKNOWLEDGED]["notes"])

    # What they were told of was another document.
    change.document.write_text(f"{whole}\nAnd a table less.\n")
    edited: Red = ("failed", "was told before the change document was edited")
    time.sleep(1)  # a second is the least that a profile may allow; on a free machine all of this takes less
    for variables, reason in (
        ({"PREMIGRATION__TEAM__ON_CALL": '["somebody else"]'}, f"{ENGINEER}'s is of nobody on call"),
        ({"PREMIGRATION__TEAM__ACKNOWLEDGED_SECONDS": "1"}, "min old, not at most"),
    ):
        expect(change.run(**variables), {NOTIFIED: edited, ACKNOWLEDGED: ("failed", reason)})
    with team_channel(change.verifier.stack.slot.channel_port):
        assert change.notify() == 0
    change.document.unlink()
    gone: Red = ("failed", "change document: ", "observed no such file")
    late: Red = ("failed", "came before the team was told for the last time")
    expect(change.run(), {DOCUMENTED: gone, NOTIFIED: gone, ACKNOWLEDGED: late})
