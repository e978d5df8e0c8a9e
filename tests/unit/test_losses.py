"""The lost window and its accounts, on stores that are words: each record is where it is said to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.errors import ActionFailed
from fixtures.incident import Incident, new_incident
from fixtures.verdict import Verdict
from rollback_actions.losses import ACCOUNTS
from rollback_actions.lost_window import FOLDER
from rollback_actions.plan import Plan, plan_database
from rollback_actions.written_since import written_since
from tests.unit.sandbox import Sandbox, make_rollable
from tests.unit.word_store import readable

# Since the backup "a" was changed and "b" was not; see make_sandbox.
CHANGED = {"kept": 1, "restored": 1, "exported": 1, "revived": 0, "unaccounted": 0}


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    return make_rollable(tmp_path, monkeypatch)


@pytest.fixture
def incident(sandbox: Sandbox) -> Incident:
    return new_incident(sandbox.target.folders.incidents, sandbox.target.name)


@pytest.fixture
def plan(sandbox: Sandbox) -> Plan:
    return plan_database(sandbox.target, "mysql")


def _exported(incident: Incident, store: str = "mysql") -> dict[str, Any]:
    lines = [
        json.loads(line)
        for file in (incident.folder / FOLDER / store).glob("*-words.jsonl")
        for line in file.read_text().splitlines()
    ]
    return {line["key"]: (line["change"], line["content"], line["replay"]) for line in lines}


def _revived(incident: Incident, store: str = "mysql") -> list[str]:
    file = incident.folder / FOLDER / store / "revived.jsonl"
    return [json.loads(line)["key"] for line in file.read_text().splitlines()] if file.exists() else []


def test_what_was_changed_is_exported_and_the_rest_is_kept(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    assert sandbox.run(plan, incident).records == CHANGED
    assert _exported(incident) == {"a": ("changed", "of release 2", "a=of release 2")}
    assert _revived(incident) == []
    readme = (incident.folder / FOLDER / "README.txt").read_text()
    assert "    cd mysql && jq -r '.replay" in readme
    assert "' 0000-words.jsonl | put words" in readme


def test_new_records_are_exported_and_deleted_ones_come_back(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    store = sandbox.keepers["mysql"]
    store.words = {"a": "of release 1", "c": "new"}
    assert plan.backup is not None
    with readable(sandbox.keepers):
        written = written_since(sandbox.target, sandbox.engine, plan.backup, ["mysql"])
    assert str(written["mysql"]) == "1 new, 0 changed, 1 deleted"
    record = sandbox.run(plan, incident)
    assert record.records == {"kept": 1, "restored": 0, "exported": 1, "revived": 1, "unaccounted": 0}
    assert _exported(incident) == {"c": ("new", "new", "c=new")}
    assert _revived(incident) == ["b"]


def test_without_changes_nothing_is_exported(sandbox: Sandbox, incident: Incident, plan: Plan) -> None:
    sandbox.keepers["mysql"].words = {"a": "of release 1", "b": "of both"}
    record = sandbox.run(plan, incident)
    assert record.records == {"kept": 2, "restored": 0, "exported": 0, "revived": 0, "unaccounted": 0}
    assert _exported(incident) == {}


def test_a_record_that_is_in_neither_place_fails_the_rollback(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    sandbox.keepers["mysql"].loses = frozenset({"a"})
    with pytest.raises(ActionFailed, match=r"observed 1 that are neither: 1 \(words a\)"):
        sandbox.run(plan, incident)
    record = incident.rollback()
    assert record is not None
    assert record.verdict == Verdict.FAILED
    assert record.records == {**CHANGED, "exported": 0, "unaccounted": 1}
    # The target is rolled back and runs: there is nothing to go on with.
    assert not (incident.folder / "unfinished.json").exists()
    assert sandbox.keepers["mysql"].words["a"] == "of release 1"
    assert json.loads((incident.folder / FOLDER / ACCOUNTS).read_text())["mysql"]["first"] == ["words a"]


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_without_its_index_all_of_a_store_is_exported(
    sandbox: Sandbox, incident: Incident, plan: Plan, damage: str
) -> None:
    assert plan.backup is not None
    index = plan.backup.folder / "index" / "mysql.json"
    if damage == "gone":
        index.unlink()
    else:
        index.write_text(index.read_text().replace("0000", "0001"))
    record = sandbox.run(plan, incident)
    assert record.records == CHANGED | {"exported": 1}
    assert set(_exported(incident)) == {"a", "b"}
    assert "all of mysql is exported" in (incident.folder / "journal.jsonl").read_text()


def test_what_cannot_be_asked_is_unknown_and_restored_all_the_same(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    sandbox.keepers["mysql"].dead = True
    record = sandbox.run(plan, incident)
    assert record.verdict == Verdict.PASSED
    account = json.loads((incident.folder / FOLDER / ACCOUNTS).read_text())["mysql"]
    assert list(account["unknown"]) == ["mysql"]
    assert sandbox.keepers["mysql"].words["a"] == "of release 1"


def test_a_run_after_an_interruption_accounts_for_what_was_there_before_the_first(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    # Steps of a database rollback: stop, up, quiet, keep, export, back up, restore, account, watched, start.
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(plan, incident, interrupt=7)
    assert sandbox.keepers["mysql"].words["a"] == "of release 1"
    assert sandbox.run(plan, incident).records == CHANGED
    assert set(_exported(incident)) == {"a"}


def test_a_window_that_was_changed_accounts_for_nothing(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(plan, incident, interrupt=7)
    (incident.folder / FOLDER / "window.json").write_text("{}")
    with pytest.raises(ActionFailed, match=r"lost window: expected a readable window\.json"):
        sandbox.run(plan, incident)


def test_no_room_for_the_window_stops_before_anything_is_overwritten(
    sandbox: Sandbox, incident: Incident, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:  # noqa: ANN401 - a stand-in
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rollback_actions.lost_window.write_block", full)
    with pytest.raises(ActionFailed, match="observed No space left on device"):
        sandbox.run(plan, incident)
    assert sandbox.keepers["mysql"].words["a"] == "of release 2"
