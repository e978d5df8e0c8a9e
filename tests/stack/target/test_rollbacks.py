"""Each kind of rollback once on the real stack, from its damage to the stack as it was; a restore is killed.

`tests/long` kills every kind at every step.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ExitCode
from rollproof.incident.journal import Step, StepId
from rollproof.profile.profile import Target
from rollproof.record_names import UNFINISHED
from staging.kills.kill import KilledRollback, Killer
from staging.kills.outcome import Keys
from staging.kills.walk import SERVICE, actions
from staging.kills.wreckage import Mark, write_marks
from staging.target.operators import Operators
from tests.stack.damage import tables_held
from tests.stack.users import User
from tests.stack.verifier import Verifier, expect

# So long after its beginning a step in which a kill falls here has not come to its end: something holds it.
INTO_SECONDS = 1.0
# Many commands one after the other, on a machine that others use too.
pytestmark = [pytest.mark.timeout(2400), pytest.mark.usefixtures("whole", "settled")]


@pytest.fixture(scope="module")
def known(killer: Killer, operators: Operators) -> dict[str, KilledRollback]:
    """The rollbacks as the walk knows them, by their names."""
    return {action.name: action for action in actions(killer.stack, operators)}


def refused(verifier: Verifier, words: str, *arguments: str) -> str:
    done = verifier.actions("rollback", *arguments)
    assert done.returncode == ExitCode.USAGE, done.stdout
    assert words in done.stderr
    return done.stderr


@pytest.mark.parametrize("name", ["service", "full", "emergency"])
def test_what_was_damaged_is_as_it_was(
    verifier: Verifier, killer: Killer, known: dict[str, KilledRollback], target: Target, name: str
) -> None:
    user = User(target)
    with user.asking():
        done = killer.undisturbed(known[name])
    if name == "service":
        assert str(StepId(Step.RECREATE, SERVICE)) in done.seconds
        return
    assert (str(StepId(Step.RESTORE, "mysql")) in done.seconds) is (name == "emergency")
    for kind in ("page", "JSON"):
        told = user.told(kind)
        # Users were told to come again, once, and then that all is well.
        assert told[-2:] == [f"503, come again, {kind}", f"200, {kind}"], told
        assert told.count(f"503, come again, {kind}") == 1, told
    expect(verifier.run("phase1 or phase2"), {})


def test_a_restore_of_a_store_that_is_killed_is_resumed_before_anything_else(
    verifier: Verifier,
    killer: Killer,
    known: dict[str, KilledRollback],
    operators: Operators,
    target: Target,
    engine: ContainerEngine,
) -> None:
    action, held = known["database mysql"], ExitStack()
    undisturbed = killer.undisturbed(action)

    def wreck() -> Keys:
        written = action.wreck()
        # Some tables are put back then, and some are not.
        held.enter_context(tables_held(target, engine))
        return written

    def looked_at() -> list[Mark]:
        status = verifier.actions("rollback", "status")
        assert status.returncode == ExitCode.BROKEN, status.stderr
        assert "cut off  restore mysql" in status.stdout
        incident = verifier.incident_of(status.stdout).name
        # Nothing else is taken for the same, or started on data that is half restored.
        refused(verifier, incident, "database", "redis", "--take-over")
        refused(verifier, incident, "service", SERVICE, "--take-over")
        held.close()
        return write_marks(operators, ("mongodb", *action.stores))

    step = str(StepId(Step.RESTORE, "mysql"))
    with held:
        killed = replace(action, wreck=wreck, mark=looked_at)
        kill = killer.kill(killed, step, INTO_SECONDS, undisturbed)
    assert not kill.wrong, kill
    assert step in kill.facts["open_steps"]
    incident = verifier.folder / "incidents" / str(kill.facts["incident"])
    assert not (incident / UNFINISHED).exists()
    # The server may have swept the mark away, with what it still did for the killed rollback.
    written_since = any(mark.startswith("mysql ") for mark in kill.facts["marks"])
    _expect_kept(verifier, incident, "mysql", copies=2 if written_since else 1)
    assert verifier.actions("rollback", "resume").returncode == ExitCode.USAGE


def _expect_kept(verifier: Verifier, incident: Path, store: str, *, copies: int) -> None:
    """Assert that the safety copies are of that store: of before the kill, and of what came since."""
    kept = sorted((verifier.folder / "backups" / "safety").glob(f"{incident.name}-*"))
    assert [path.name for path in kept] == [
        f"{incident.name}-{number:02d}" for number in range(1, copies + 1)
    ]
    assert [[path.name for path in one.iterdir() if path.is_dir()] for one in kept] == [[store]] * copies
