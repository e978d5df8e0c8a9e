"""Kills of rollbacks of one service, of one store and of all code on the real stack, and their results.

A rollback that restores records first runs once without a kill; others have nothing to compare with one.
An emergency rollback is killed in `test_respond.py`, and `test_kill_walk.py` kills all of them at every step.
"""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from dataclasses import replace

import pytest

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ExitCode
from rollproof.git.repository import git
from rollproof.incident.journal import Step, StepId, verify_journal
from rollproof.profile.profile import Target
from staging.kills.kill import KilledRollback, Killer
from staging.kills.outcome import Keys
from staging.kills.walk import SERVICE
from staging.kills.wreckage import Mark
from tests.rehearsals import OF_THE_REHEARSAL, REOPENED
from tests.stack.target.test_rollbacks import INTO_SECONDS, known, refused
from tests.stack.users import User
from tests.stack.verifier import Verifier, expect

__all__ = ["known"]

# Many commands one after the other, on a machine that others use too.
pytestmark = [pytest.mark.timeout(2400), pytest.mark.usefixtures("whole", "settled")]


def _containers(engine: ContainerEngine) -> dict[str, str]:
    return {service: container.id for service, (container,) in engine.containers().items()}


def test_a_rollback_of_a_service_that_is_killed_is_taken_over_and_resumed(
    verifier: Verifier, killer: Killer, known: dict[str, KilledRollback], engine: ContainerEngine
) -> None:
    action, before = known["service"], _containers(engine)

    def looked_at() -> list[Mark]:
        status = verifier.actions("rollback", "status")
        assert ", which has ended; add --take-over\n" in status.stdout
        target = shlex.quote(f"--target={verifier.stack.profile}")
        assert f"rollback resume --take-over {target}" in status.stdout.splitlines()[-1]
        assert "--take-over" in refused(verifier, "which has ended", "resume")
        return action.mark()

    step = str(StepId(Step.RECREATE, SERVICE))
    kill = killer.kill(replace(action, mark=looked_at), step, INTO_SECONDS, None)
    assert not kill.wrong, kill
    incident = verifier.folder / "incidents" / str(kill.facts["incident"])
    (over,) = [one for one in verify_journal(incident / "journal.jsonl") if one["event"] == "took over"]
    assert over["life"] == "which has ended"
    after = _containers(engine)
    assert {service for service in after if after[service] != before[service]} == {SERVICE}
    status = verifier.actions("rollback", "status")
    assert status.returncode == ExitCode.VERIFIED, status.stdout + status.stderr
    assert f"rollback: service {SERVICE} to {verifier.baseline.facts.commit}" in status.stdout
    assert f"--incident={incident.name}" in status.stdout
    assert "\nlock: free\n" in status.stdout


def test_a_full_rollback_that_is_killed_tells_users_to_come_again_until_its_end(
    verifier: Verifier,
    killer: Killer,
    known: dict[str, KilledRollback],
    target: Target,
    engine: ContainerEngine,
) -> None:
    user, action, asked = User(target), known["full"], ExitStack()
    stores = _of_stores(engine, target)

    def wreck() -> Keys:
        asked.close()
        user.answers.clear()
        written = action.wreck()
        asked.enter_context(user.asking())
        return written

    def looked_at() -> list[Mark]:
        assert User(target).ask("/") == "503, come again, page"
        return action.mark()

    step = str(StepId(Step.RECREATE))
    with asked:
        kill = killer.kill(replace(action, wreck=wreck, mark=looked_at), step, INTO_SECONDS, None)
    assert not kill.wrong, kill
    # Until then the page was another image's.
    _expect_told(user.told("page"), "page")
    _expect_told(user.told("JSON"), "JSON")
    assert step in kill.facts["open_steps"]
    assert len(kill.facts["marks"]) == 1
    assert _of_stores(engine, target) == stores
    assert User(target).ask("/") == "200, page"
    expect(verifier.run("phase1 or phase2", incident=str(kill.facts["incident"])), {})
    # The release that it went back from is not to come again as it is, and was never rehearsed here.
    migration = git(target.application.repository, "rev-parse", "release-2^{commit}")
    closed = (
        "failed",
        "reopening of migration",
        "expected one for each rollback",
        str(kill.facts["incident"]),
    )
    none = ("failed", f"rehearsal of migration {migration[:12]}", "observed none")
    red = {**dict.fromkeys(OF_THE_REHEARSAL, none), REOPENED: closed}
    expect(verifier.run("step5", f"--migration={migration}"), red)


def _of_stores(engine: ContainerEngine, target: Target) -> dict[str, str]:
    found = _containers(engine)
    return {service: one for service, one in found.items() if service not in target.application.services}


def _expect_told(told: list[str], kind: str) -> None:
    """Assert that users were told to come again once, and then that all is well."""
    away = f"503, come again, {kind}"
    assert told[-2:] == [away, f"200, {kind}"], told
    assert told.count(away) == 1, told
