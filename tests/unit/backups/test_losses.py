"""The lost window and its accounts, on stores that are words: each record is where it is said to be."""

from __future__ import annotations

import json
import os
from errno import ENOSPC
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest

from rollback_actions.rollback.engine import RecordsMissing, RecordsUnknown
from rollproof.backups.sets import existing_collections
from rollproof.errors import ActionFailed, Unverifiable
from rollproof.incident.incident import Incident
from rollproof.incident.journal import Step, StepId
from rollproof.losses.changes import written_since
from rollproof.planning.plan import Plan, plan_database, plan_emergency
from rollproof.profile.profile import load_target
from rollproof.record_names import ACCOUNTS, LOST_WINDOW
from rollproof.stores.reader import Reader
from rollproof.verdict import Verdict
from tests.world.sandbox import Sandbox

# Since the backup "a" was changed and "b" was not; see make_sandbox.
CHANGED = {"kept": 1, "restored": 1, "exported": 1, "revived": 0, "unaccounted": 0}


@pytest.fixture
def plan(sandbox: Sandbox) -> Plan:
    return plan_database(sandbox.target, "mysql")


def _exported(incident: Incident, store: str = "mysql", folder: str = LOST_WINDOW) -> dict[str, Any]:
    lines = [
        json.loads(line)
        for file in (incident.folder / folder / store).glob("*-words.jsonl")
        for line in file.read_text().splitlines()
    ]
    return {line["key"]: (line["change"], line["content"]) for line in lines}


def _revived(incident: Incident, store: str = "mysql") -> list[str]:
    file = incident.folder / LOST_WINDOW / store / "revived.jsonl"
    return [json.loads(line)["key"] for line in file.read_text().splitlines()] if file.exists() else []


def test_what_was_changed_is_exported_and_the_rest_is_kept(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    assert sandbox.run(plan, incident).records == CHANGED
    assert _exported(incident) == {"a": ("changed", "of release 2")}
    assert _revived(incident) == []
    readme = (incident.folder / LOST_WINDOW / "README.txt").read_text()
    assert ((incident.folder / LOST_WINDOW).stat().st_mode & 0o777) == 0o700
    file = incident.folder / LOST_WINDOW / "mysql" / "0000-words.jsonl"
    assert f"    rollproof replay {file}" in readme


def test_new_records_are_exported_and_deleted_ones_come_back(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    store = sandbox.keepers["mysql"]
    store.words = {"a": "of release 1", "c": "new"}
    assert plan.backup is not None
    written = written_since(sandbox.target, sandbox.engine, plan.backup, ["mysql"], sandbox.reader)
    assert str(written["mysql"]) == "1 new, 0 changed, 1 deleted"
    record = sandbox.run(plan, incident)
    assert record.records == {"kept": 1, "restored": 0, "exported": 1, "revived": 1, "unaccounted": 0}
    assert _exported(incident) == {"c": ("new", "new")}
    assert _revived(incident) == ["b"]


def test_a_record_that_is_in_neither_place_fails_the_rollback(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    sandbox.keepers["mysql"].loses = frozenset({"a"})
    with pytest.raises(RecordsMissing, match="observed 1 that are neither"):
        sandbox.run(plan, incident)
    record = incident.rollback()
    assert record is not None
    assert record.verdict == Verdict.FAILED
    assert record.records == {**CHANGED, "exported": 0, "unaccounted": 1}
    # The target is rolled back and runs: there is nothing to go on with.
    assert not (incident.folder / "unfinished.json").exists()
    assert sandbox.keepers["mysql"].words["a"] == "of release 1"
    assert json.loads((incident.folder / LOST_WINDOW / ACCOUNTS).read_text())["mysql"]["first"] == ["words a"]


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_without_its_index_all_of_a_store_is_exported(
    sandbox: Sandbox, incident: Incident, plan: Plan, damage: str
) -> None:
    assert plan.backup is not None
    index = plan.backup.folder / "index" / "mysql.db"
    if damage == "gone":
        index.unlink()
    else:
        os.truncate(index, 100)
    record = sandbox.run(plan, incident)
    assert record.records == CHANGED | {"exported": 1}
    assert set(_exported(incident)) == {"a", "b"}
    assert (
        "no record of mysql is known to be in the backup" in (incident.folder / "journal.jsonl").read_text()
    )


def test_a_collection_whose_key_was_altered_is_accounted_for_as_a_whole(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    """Before the restore it is divided by a key that is gone afterwards: no part is one of after."""
    store = sandbox.keepers["mysql"]
    store.words, store.bounds = {"a": "of release 1", "c": "new"}, ("", "b")
    store.meanwhile = lambda: setattr(store, "bounds", ("",))
    record = sandbox.run(plan, incident)
    assert record.records == {"kept": 1, "restored": 0, "exported": 1, "revived": 1, "unaccounted": 0}
    assert set(_exported(incident)) == {"a", "c"}
    assert _revived(incident) == ["b"]


def test_a_record_that_is_lost_is_found_in_a_collection_as_a_whole(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    store = sandbox.keepers["mysql"]
    store.bounds, store.loses = ("", "b"), frozenset({"a"})
    store.meanwhile = lambda: setattr(store, "bounds", ("",))
    with pytest.raises(RecordsMissing, match="observed 1 that are neither"):
        sandbox.run(plan, incident)


def test_of_a_store_that_is_emptied_every_record_is_exported(sandbox: Sandbox, incident: Incident) -> None:
    """The backup holds none of them: what has not been written since is lost all the same."""
    text = sandbox.profile.read_text().replace('kind = "redis"', 'kind = "redis"\nrestore = "flush"')
    sandbox.profile.write_text(text)
    sandbox.target = load_target(sandbox.profile)
    sandbox.keepers["redis"].emptied = True
    record = sandbox.run(plan_database(sandbox.target, "redis"), incident)
    assert sandbox.keepers["redis"].words == {}
    assert record.records == {"kept": 0, "restored": 0, "exported": 2, "revived": 0, "unaccounted": 0}
    assert set(_exported(incident, "redis")) == {"a", "b"}


def test_what_cannot_be_asked_is_unknown_and_no_success(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    sandbox.keepers["mysql"].dead = True
    with pytest.raises(RecordsUnknown, match="observed 1 collections that could not be read"):
        sandbox.run(plan, incident)
    record = incident.rollback()
    assert record is not None
    assert record.verdict == Verdict.BROKEN
    assert record.records == {**dict.fromkeys(CHANGED, 0), "unknown": 1}
    # It is done all the same: the stores are restored, and everything runs.
    assert not (incident.folder / "unfinished.json").exists()
    account = json.loads((incident.folder / LOST_WINDOW / ACCOUNTS).read_text())["mysql"]
    assert list(account["unknown"]) == ["mysql"]
    assert sandbox.keepers["mysql"].words["a"] == "of release 1"


def test_a_collection_that_cannot_be_read_does_not_hide_its_neighbours(sandbox: Sandbox) -> None:
    view = create_autospec(Reader, instance=True)
    view.__enter__.return_value = view
    view.existing_collections.return_value = ["readable", "not loaded"]
    view.counts.side_effect = Unverifiable(
        what="counts", expected="numbers", observed="not loaded", source="milvus", hint="load it"
    )
    store = sandbox.target.stores["redis"]
    found = existing_collections("redis", store, sandbox.engine, lambda *_, **__: view)
    assert found == ["readable", "not loaded"]
    view.__exit__.assert_called_once()


@pytest.mark.parametrize("text", ["{}", None])
def test_a_window_that_was_changed_is_unknown_and_leaves_nothing_stopped(
    sandbox: Sandbox, incident: Incident, plan: Plan, text: str | None
) -> None:
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(plan, incident, interrupt=StepId(Step.ACCOUNT, "mysql"))
    window = incident.folder / LOST_WINDOW / "window.json"
    window.unlink() if text is None else window.write_text(text)
    with pytest.raises(RecordsUnknown):
        sandbox.run(plan, incident)
    assert [tuple(call.args[0]) for call in sandbox.control.start.call_args_list][-1] == (
        "backend",
        "worker",
        "frontend",
    )
    # What it holds is there still.
    assert set(_exported(incident)) == {"a"}


def test_what_was_written_between_two_runs_is_exported_too(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(plan, incident, interrupt=StepId(Step.ACCOUNT, "mysql"))
    # Not restored yet: what the first run has exported is there still.
    sandbox.keepers["mysql"].words["c"] = "between"
    record = sandbox.run(plan, incident)
    assert record.records == {**CHANGED, "exported": 2}
    assert set(_exported(incident)) == {"a"}
    assert set(_exported(incident, folder=f"{LOST_WINDOW}-2")) == {"c"}


def test_a_record_that_is_lost_between_two_runs_fails_the_rollback(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    store = sandbox.keepers["mysql"]
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(plan, incident, interrupt=StepId(Step.ACCOUNT, "mysql"))
    store.words["c"], store.loses = "between", frozenset({"c"})
    with pytest.raises(RecordsMissing, match="observed 1 that are neither"):
        sandbox.run(plan, incident)
    record = incident.rollback()
    assert record is not None
    assert record.records == {**CHANGED, "unaccounted": 1}
    assert json.loads((incident.folder / LOST_WINDOW / ACCOUNTS).read_text())["mysql"]["first"] == ["words c"]


def _killed_once(sandbox: Sandbox, incident: Incident, plan: Plan, step: Step = Step.ACCOUNT) -> None:
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(plan, incident, interrupt=StepId(step, "mysql"))


def _copies(sandbox: Sandbox) -> dict[str, dict[str, dict[str, str]]]:
    """Return the words in each safety copy, by its number and its store."""
    return {
        copy.name[-2:]: {
            store.name: {path.name: path.read_text() for path in store.iterdir() if path.suffix != ".json"}
            for store in copy.iterdir()
            if store.is_dir()
        }
        for copy in (sandbox.target.folders.backups / "safety").iterdir()
    }


@pytest.mark.parametrize("step", [Step.RESTORE, Step.ACCOUNT])
def test_what_a_resumed_run_cannot_read_stays_unknown_and_is_kept_again(
    sandbox: Sandbox, incident: Incident, plan: Plan, step: Step
) -> None:
    _killed_once(sandbox, incident, plan, step)
    store = sandbox.keepers["mysql"]
    store.words["order"], store.dead = "of a user, between", True
    with pytest.raises(RecordsUnknown, match="observed 1 collections that could not be read") as caught:
        sandbox.run(plan, incident)
    record = incident.rollback()
    assert record is not None
    assert record.verdict == Verdict.BROKEN
    assert record.records == {**CHANGED, "unknown": 1}
    account = json.loads((incident.folder / LOST_WINDOW / ACCOUNTS).read_text())["mysql"]
    assert list(account["unknown"]) == ["mysql"]
    copies = _copies(sandbox)
    assert (sorted(copies), copies["02"]["mysql"]["order"]) == (["01", "02"], "of a user, between")
    assert [Path(one).name[-2:] for one in record.copies] == ["01", "02"]
    assert all(one in str(caught.value) for one in record.copies)


def test_what_a_resumed_run_cannot_keep_is_not_overwritten(
    sandbox: Sandbox, incident: Incident, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    _killed_once(sandbox, incident, plan)
    store = sandbox.keepers["mysql"]
    store.words["order"], store.dead = "of a user, between", True

    def refuse(*_: object) -> None:
        raise ActionFailed(what="backup", expected="an answer", observed="none", source="-", hint="-")

    with monkeypatch.context() as patch:
        patch.setattr(store, "back_up", refuse)
        with pytest.raises(ActionFailed, match="backup: expected an answer"):
            sandbox.run(plan, incident)
    assert store.words["order"] == "of a user, between"
    assert (incident.folder / "unfinished.json").exists()
    # Once it answers again, its records are exported; what could not be read in between stays unknown.
    store.dead = False
    with pytest.raises(RecordsUnknown):
        sandbox.run(plan, incident)
    assert set(_exported(incident, folder=f"{LOST_WINDOW}-3")) == {"order"}
    assert _copies(sandbox)["02"]["mysql"]["order"] == "of a user, between"


def test_only_stores_that_may_have_been_written_to_are_kept_again(
    sandbox: Sandbox, incident: Incident
) -> None:
    plan = plan_emergency(sandbox.target, sandbox.commit)
    _killed_once(sandbox, incident, plan)
    sandbox.keepers["redis"].words["order"] = "of a user, between"
    assert sandbox.run(plan, incident).verdict == Verdict.PASSED
    copies = _copies(sandbox)
    assert {number: sorted(copy) for number, copy in copies.items()} == {
        "01": ["mysql", "redis"],
        "02": ["redis"],
    }
    assert copies["02"]["redis"]["order"] == "of a user, between"
    assert set(_exported(incident, "redis", f"{LOST_WINDOW}-2")) == {"order"}


def test_what_was_written_since_the_restore_is_not_restored_over(
    sandbox: Sandbox, incident: Incident, plan: Plan
) -> None:
    def one_service_is_sick(services: Any, **_: Any) -> None:  # noqa: ANN401 - a stand-in
        if "backend" in services:
            raise ActionFailed(what="start", expected="healthy", observed="not", source="-", hint="-")

    sandbox.control.start.side_effect = one_service_is_sick
    with pytest.raises(ActionFailed):
        sandbox.run(plan, incident)
    sandbox.keepers["mysql"].words["c"] = "of a user, since"
    sandbox.control.start.side_effect = None
    assert sandbox.run(plan, incident).records == CHANGED
    assert sandbox.keepers["mysql"].words == {"a": "of release 1", "b": "of both", "c": "of a user, since"}


def test_no_room_for_the_window_stops_before_anything_is_overwritten(
    sandbox: Sandbox, incident: Incident, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:  # noqa: ANN401 - a stand-in
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rollproof.losses.lost_window.Snapshot.add", full)
    with pytest.raises(ActionFailed, match="observed No space left on device"):
        sandbox.run(plan, incident)
    assert sandbox.keepers["mysql"].words["a"] == "of release 2"


def test_accounts_that_cannot_be_written_are_unknown_or_to_be_resumed(
    sandbox: Sandbox, incident: Incident, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("rollback_actions.rollback.losses.account_store", full)
        patch.setattr("rollback_actions.rollback.losses.write_record", full)
        with pytest.raises(ActionFailed, match=r"accounts of the records: .* observed No space left"):
            sandbox.run(plan, incident)
    assert (incident.folder / "unfinished.json").exists()
    assert sandbox.run(plan, incident).records == CHANGED
