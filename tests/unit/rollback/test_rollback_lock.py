"""The lock under the commands of rollbacks: what it names, and how its loss ends."""

from __future__ import annotations

import pytest

from rollback_actions.rollback import rollback_run
from rollback_actions.session.session import Recorder
from rollproof.errors import ExitCode
from rollproof.incident.incident import Incident
from rollproof.incident.journal_steps import Step
from rollproof.planning.plan import Plan
from rollproof.planning.unfinished import Unfinished
from tests.unit.command_line import Ran
from tests.unit.lock_stand_in import StandInPlace, elsewhere


def test_who_has_lost_the_lock_stops_before_the_next_step(
    run: Ran, place: StandInPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    did = []

    def roll_back(*arguments: object) -> None:
        _, plan, incident, _, _, steps = arguments
        assert isinstance(plan, Plan)
        assert isinstance(incident, Incident)
        assert isinstance(steps, Recorder)
        Unfinished.begin(incident, plan.request)
        with steps(Step.STOP):
            did.append("the first")
        place.add(max(place.kept) + 1, elsewhere().record())
        with steps(Step.START):
            did.append("the second")

    monkeypatch.setattr(rollback_run, "roll_back", roll_back)
    said = run("rollback", "service", "backend", code=ExitCode.FAILED)
    assert did == ["the first"]
    assert "expected held by this process still, observed held by anna@elsewhere" in said
    assert "MANUAL INTERVENTION: " in said
    assert "rollback status" in said
    # Another one goes on.
    assert "rollback resume" not in said
    assert place.kept[max(place.kept)]["host"] == "elsewhere"
