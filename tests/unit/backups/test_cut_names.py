"""The names that may dangle after a rollback: those of the backup that both stores last went back to."""

from __future__ import annotations

import json

import pytest

from rollproof.incident.incident import Incident
from rollproof.incident.rollbacks import went_back
from rollproof.planning.cut_names import CutNames
from rollproof.planning.plan import plan_database, plan_emergency
from rollproof.profile.sections import NamePlace, Reference
from rollproof.record_names import SUPERSEDED, UNFINISHED
from rollproof.stores.references import text_of
from rollproof.system.record_files import sealed_json
from rollproof.verdict import Verdict
from tests.world.sandbox import Sandbox, back_up

ROWS = Reference(
    referencing=NamePlace(store="mysql", collection="shop.rows", fields=("owner",)),
    referenced=NamePlace(store="redis", collection="shop.users", fields=("name",)),
)
OWN = ROWS.model_copy(update={"referenced": ROWS.referencing})


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    back_up(sandbox, sandbox.commit, "zz-other")
    for folder in ("zz-other", f"set-of-{sandbox.commit[:7]}"):
        path = sandbox.target.folders.backups / folder / "set.json"
        manifest = json.loads(path.read_bytes())
        manifest["moved"] = {text_of(one): ["00000000000000ff"] for one in (ROWS, OWN)}
        path.write_bytes(sealed_json(manifest))
    return sandbox


def emergency(sandbox: Sandbox, incident: Incident, backup: str) -> None:
    sandbox.run(plan_emergency(sandbox.target, sandbox.commit, backup=backup), incident)


def excused(sandbox: Sandbox, incident: Incident, reference: Reference = ROWS) -> bool:
    return CutNames(sandbox.target, incident)(reference) == {255}


def test_both_stores_went_back_to_one_backup(sandbox: Sandbox, incident: Incident) -> None:
    assert not excused(sandbox, incident)
    emergency(sandbox, incident, "zz-other")
    record = json.loads((incident.folder / "rollback.json").read_text())
    assert (record["backup"], {*record["stores"]}) == ("zz-other", {"mysql", "redis"})
    assert excused(sandbox, incident)
    # Of one that is not in the set nothing is known.
    other = ROWS.model_copy(update={"where": {"kind": "other"}})
    assert CutNames(sandbox.target, incident)(other) == frozenset()


def test_a_verification_without_a_rollback_is_of_the_data_of_the_newest_one(
    sandbox: Sandbox, incident: Incident
) -> None:
    later = sandbox.new_incident()
    assert not excused(sandbox, later)
    emergency(sandbox, incident, "zz-other")
    assert excused(sandbox, later)


def test_one_store_alone_excuses_its_own_names(sandbox: Sandbox, incident: Incident) -> None:
    sandbox.run(plan_database(sandbox.target, "mysql", backup="zz-other"), incident)
    assert not excused(sandbox, incident)
    assert excused(sandbox, incident, OWN)


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.BROKEN])
def test_records_that_are_not_accounted_for_excuse_nothing(
    sandbox: Sandbox, incident: Incident, verdict: Verdict
) -> None:
    emergency(sandbox, incident, "zz-other")
    path = incident.folder / "rollback.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "verdict": verdict}))
    assert went_back(incident) == {}


@pytest.mark.parametrize("damage", ["gone", "edited", "of another target"])
def test_a_set_that_is_not_whole_excuses_nothing(sandbox: Sandbox, incident: Incident, damage: str) -> None:
    emergency(sandbox, incident, "zz-other")
    path = sandbox.target.folders.backups / "zz-other" / "set.json"
    manifest = json.loads(path.read_bytes())
    path.unlink()
    if damage == "edited":
        path.write_text(json.dumps({**manifest, "moved": {}}))
    elif damage != "gone":
        path.write_bytes(sealed_json({**manifest, "target": "another"}))
    assert not excused(sandbox, incident)


@pytest.mark.parametrize("name", [UNFINISHED, SUPERSEDED])
def test_a_rollback_that_is_unfinished_or_was_given_up_excuses_nothing(
    sandbox: Sandbox, incident: Incident, name: str
) -> None:
    emergency(sandbox, incident, "zz-other")
    (incident.folder / name).touch()
    assert went_back(incident) == {}
