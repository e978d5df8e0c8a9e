"""What a rollback goes back from: in its journal, in its record, and not known where nobody can tell."""

from __future__ import annotations

import pytest

from rollback_actions.rollback.engine import origin_of
from rollproof.errors import Unverifiable
from rollproof.incident.incident import Incident, Origin
from rollproof.incident.journal import verify_journal
from rollproof.incident.rollbacks import ROLLBACK_BEGAN, rollback_in
from rollproof.planning.plan import plan_database, plan_emergency
from tests.world.git import git
from tests.world.sandbox import Sandbox


def _recorded(incident: Incident) -> Origin | None:
    rollback = incident.rollback()
    assert rollback is not None
    return rollback.origin


def test_it_is_in_the_journal_and_in_the_record(sandbox: Sandbox, incident: Incident) -> None:
    sandbox.run(plan_emergency(sandbox.target, sandbox.commit), incident)
    (began,) = [r for r in verify_journal(incident.folder / "journal.jsonl") if r["event"] == ROLLBACK_BEGAN]
    said = {key: began[key] for key in ("kind", "names", "commit", "head", "revisions")}
    assert said == {
        "kind": "emergency",
        "names": [],
        "commit": sandbox.commit,
        "head": sandbox.bad,
        "revisions": [sandbox.bad],
    }
    assert _recorded(incident) == Origin(sandbox.bad, (sandbox.bad,))
    found = rollback_in(incident)
    assert found is not None
    assert (found.origin, found.commit) == (_recorded(incident), sandbox.commit)
    assert found.rolled_back(sandbox.target.application.repository) == (sandbox.bad,)


def test_what_runs_counts_though_the_working_copy_is_elsewhere(sandbox: Sandbox, incident: Incident) -> None:
    git(sandbox.target.application.repository, "checkout", "--quiet", sandbox.commit)
    found = origin_of(sandbox.target, sandbox.engine)
    assert found == Origin(sandbox.commit, (sandbox.bad,))
    sandbox.run(plan_emergency(sandbox.target, sandbox.commit), incident)
    # What was deployed that the commit has in its history stays: nothing went back from that.
    rollback = rollback_in(incident)
    assert rollback is not None
    assert rollback.rolled_back(sandbox.target.application.repository) == (sandbox.bad,)


def test_that_nobody_can_tell_stops_no_rollback(sandbox: Sandbox, incident: Incident) -> None:
    (sandbox.target.application.repository / ".git").rename(sandbox.folder / "aside")
    sandbox.run(plan_database(sandbox.target, "mysql"), incident)
    assert _recorded(incident) is None
    found = rollback_in(incident)
    assert found is not None
    with pytest.raises(Unverifiable, match="not recorded"):
        found.rolled_back(sandbox.target.application.repository)
    assert "what is deployed is not known" in (incident.folder / "journal.jsonl").read_text()
