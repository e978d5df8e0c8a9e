"""`rollproof replay`: exported words go back into their store, and each that could not is reported."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rollback_actions.rollback import replay
from rollproof.errors import ExitCode, Meaning, Unverifiable
from rollproof.incident.incident import new_incident
from rollproof.incident.rollback_request import RollbackKind, RollbackRequest
from rollproof.losses.lost_window import find_exported
from rollproof.planning.plan import plan_database
from rollproof.planning.unfinished import Unfinished
from rollproof.record_names import LOST_WINDOW
from tests.unit.command_line import Ran
from tests.world.sandbox import Sandbox
from tests.world.stores import WordStore


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """A target whose store mysql was rolled back: of a and c, what users wrote is exported."""
    sandbox.keepers["mysql"].words |= {"a": "of a user", "c": "of another"}
    sandbox.run(plan_database(sandbox.target, "mysql"), sandbox.new_incident())
    return sandbox


@pytest.fixture
def store(sandbox: Sandbox) -> WordStore:
    store = sandbox.keepers["mysql"]
    assert store.words == {"a": "of release 1", "b": "of both"}
    return store


@pytest.fixture
def file(sandbox: Sandbox) -> Path:
    (file,) = sandbox.target.folders.incidents.glob(f"*/{LOST_WINDOW}/mysql/*-words.jsonl")
    return file


def _put_back(sandbox: Sandbox, file: Path, *, overwrite: bool = False) -> replay.PutBack:
    exported, outside = find_exported(file), sandbox.outside
    return replay.put_back(
        sandbox.target, sandbox.engine, sandbox.control, exported, outside, overwrite=overwrite
    )


def _left(found: replay.PutBack) -> dict[str, str]:
    """Return the keys of the records that were not put back, each with the reason."""
    return {key: reason for (key, _), reason in found.left}


def test_only_what_is_not_there_in_another_version_is_put_back_unasked(
    sandbox: Sandbox, store: WordStore, file: Path
) -> None:
    found = _put_back(sandbox, file)
    assert str(found) == "put back: 1; not put back: 1"
    assert store.words == {"a": "of release 1", "b": "of both", "c": "of another"}
    assert _left(found) == {"a": replay.ANOTHER}
    assert str(_put_back(sandbox, file, overwrite=True)) == "put back: 2; not put back: 0"
    assert store.words == {"a": "of a user", "b": "of both", "c": "of another"}
    # A further run changes nothing.
    store.refuses = dict.fromkeys("abc", Meaning.OTHER)
    assert str(_put_back(sandbox, file)) == "put back: 2; not put back: 0"


def test_a_record_that_is_refused_is_reported(sandbox: Sandbox, store: WordStore, file: Path) -> None:
    store.refuses = {"a": Meaning.OTHER}
    assert _left(_put_back(sandbox, file, overwrite=True)).keys() == {"a"}
    assert "c" in store.words


def test_a_silent_store_is_asked_once(sandbox: Sandbox, store: WordStore, file: Path) -> None:
    store.refuses = {"a": Meaning.TIMEOUT}
    with pytest.raises(Unverifiable):
        _put_back(sandbox, file, overwrite=True)
    assert "c" not in store.words


def test_a_record_that_reads_back_otherwise_is_not_put_back(
    sandbox: Sandbox, store: WordStore, file: Path
) -> None:
    store.trigger = lambda key: store.words.update({key: "of a trigger"})
    assert set(_left(_put_back(sandbox, file, overwrite=True)).values()) == {replay.READS_OTHERWISE}


def test_a_record_goes_back_without_what_its_collection_no_longer_has(
    sandbox: Sandbox, store: WordStore, file: Path
) -> None:
    store.lacks, store.trigger = {"late"}, lambda key: store.words.update({key: "less"})
    found = _put_back(sandbox, file, overwrite=True)
    assert str(found) == "put back: 2; not put back: 0; without late, which is there no more"


def test_a_collection_with_another_division_is_read_as_a_whole(
    sandbox: Sandbox, store: WordStore, file: Path
) -> None:
    """What the restore brought back may have another key."""
    with closing(sqlite3.connect(file.with_name("records.db"))) as records, records:
        records.execute("UPDATE part SET bound = CAST('x' AS BLOB)")
    _put_back(sandbox, file, overwrite=True)
    assert store.words["a"] == "of a user"


@pytest.mark.parametrize("text", ["{first}", "{first}{first}", "no JSON\n"])
def test_a_file_that_was_changed_is_refused(run: Ran, store: WordStore, file: Path, text: str) -> None:
    file.write_text(text.format(first=file.read_text().splitlines(keepends=True)[0]))
    run("replay", str(file), code=ExitCode.USAGE)
    assert store.words == {"a": "of release 1", "b": "of both"}


def test_another_file_or_a_file_of_another_target_is_refused(run: Ran, file: Path) -> None:
    run("replay", str(file.parent.parent / "README.txt"), code=ExitCode.FAILED)
    run("replay", str(file.with_name("0001-other.jsonl")), code=ExitCode.USAGE)
    incident = file.parents[2] / "incident.json"
    incident.write_text(incident.read_text().replace('"sandbox"', '"another"'))
    run("replay", str(file), code=ExitCode.USAGE)


def test_nothing_is_put_back_while_a_rollback_is_unfinished(run: Ran, store: WordStore, file: Path) -> None:
    target = run.sandbox.target
    incident = new_incident(target.folders.incidents, target.name)
    Unfinished.begin(incident, RollbackRequest(RollbackKind.DATABASE, run.sandbox.commit, ("mysql",)))
    assert "rollback resume" in run("replay", str(file), code=ExitCode.USAGE)
    assert "c" not in store.words
