"""`rollproof replay`: exported words go back into their store, and each that could not is reported."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rollback_actions.rollback import replay
from rollproof.engines.compose import ComposeEngine
from rollproof.errors import ExitCode, Meaning
from rollproof.incident.incident import new_incident
from rollproof.incident.journal import verify_journal
from rollproof.monitoring.rollback_request import Kind, RollbackRequest
from rollproof.planning.plan import plan_database
from rollproof.planning.unfinished import Unfinished
from rollproof.record_names import LOST_WINDOW
from tests.unit.command_line import Ran
from tests.unit.sandbox import Sandbox
from tests.unit.word_store import WordStore, readable


@pytest.fixture
def sandbox(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A target whose store mysql was rolled back: of a and c, what users wrote is exported."""
    sandbox.keepers["mysql"].words |= {"a": "of a user", "c": "of another"}
    incident = sandbox.new_incident()
    sandbox.run(plan_database(sandbox.target, "mysql"), incident)
    monkeypatch.setattr(replay, "open_keeper", lambda name, *_: sandbox.keepers[name])
    monkeypatch.setattr(replay, "open_engine", lambda _: ComposeEngine)
    with readable(sandbox.keepers):
        yield sandbox


@pytest.fixture
def store(sandbox: Sandbox) -> WordStore:
    store = sandbox.keepers["mysql"]
    assert store.words == {"a": "of release 1", "b": "of both"}
    return store


@pytest.fixture
def file(sandbox: Sandbox) -> Path:
    (file,) = sandbox.target.folders.incidents.glob(f"*/{LOST_WINDOW}/mysql/*-words.jsonl")
    return file


def _left(said: str) -> dict[str, str]:
    """Return the records that are reported as not put back, each with the reason."""
    lines = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    return dict(line.split(": ", 1) for line in lines)


def test_only_what_is_not_there_in_another_version_is_put_back_unasked(
    run: Ran, store: WordStore, file: Path
) -> None:
    said = run("replay", str(file), code=ExitCode.FAILED)
    assert "put back: 1; not put back: 1" in said
    assert store.words == {"a": "of release 1", "b": "of both", "c": "of another"}
    assert _left(said) == {"a": replay.ANOTHER}
    assert "put back: 2; not put back: 0" in run("replay", str(file), "--overwrite")
    assert store.words == {"a": "of a user", "b": "of both", "c": "of another"}
    journal = verify_journal(file.parents[2] / "journal.jsonl")
    results = [record.get("result") for record in journal if record.get("id") == "put back"]
    assert results == [None, "put back: 1; not put back: 1", None, "put back: 2; not put back: 0"]


def test_a_second_run_changes_nothing(run: Ran, store: WordStore, file: Path) -> None:
    run("replay", str(file), "--overwrite")
    store.refuses = dict.fromkeys("abc", Meaning.OTHER)
    assert "put back: 2; not put back: 0" in run("replay", str(file))


def test_a_record_that_is_refused_is_reported(run: Ran, store: WordStore, file: Path) -> None:
    store.refuses = {"a": Meaning.OTHER}
    said = run("replay", str(file), "--overwrite", code=ExitCode.FAILED)
    assert _left(said).keys() == {"a"}
    assert "c" in store.words


def test_a_silent_store_is_asked_once(run: Ran, store: WordStore, file: Path) -> None:
    store.refuses = {"a": Meaning.TIMEOUT}
    run("replay", str(file), "--overwrite", code=ExitCode.BROKEN)
    assert "c" not in store.words


def test_a_record_that_reads_back_otherwise_is_not_put_back(run: Ran, store: WordStore, file: Path) -> None:
    store.trigger = lambda key: store.words.update({key: "of a trigger"})
    said = run("replay", str(file), "--overwrite", code=ExitCode.FAILED)
    assert set(_left(said).values()) == {replay.READS_OTHERWISE}


def test_a_collection_with_another_division_is_read_as_a_whole(
    run: Ran, store: WordStore, file: Path
) -> None:
    """What the restore brought back may have another key."""
    with closing(sqlite3.connect(file.with_name("records.db"))) as records, records:
        records.execute("UPDATE part SET bound = CAST('x' AS BLOB)")
    run("replay", str(file), "--overwrite")
    assert store.words["a"] == "of a user"


def _shortened(file: Path) -> None:
    file.write_text(file.read_text().splitlines(keepends=True)[0])


def _doubled(file: Path) -> None:
    file.write_text(file.read_text().splitlines(keepends=True)[0] * 2)


@pytest.mark.parametrize("damage", [_shortened, _doubled, lambda file: file.write_text("no JSON\n")])
def test_a_file_that_was_changed_is_refused(run: Ran, store: WordStore, file: Path, damage: Any) -> None:  # noqa: ANN401
    damage(file)
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
    Unfinished.begin(incident, RollbackRequest(Kind.DATABASE, run.sandbox.commit, ("mysql",)))
    assert "rollback resume" in run("replay", str(file), code=ExitCode.USAGE)
    assert "c" not in store.words
