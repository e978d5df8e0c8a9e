"""`rollproof replay --deletions`: words that users had deleted, and that came back, are deleted again."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from rollback_actions.rollback import deletions
from rollproof.errors import ExitCode
from rollproof.losses.lost_window import read_revived
from rollproof.planning.plan import plan_database
from rollproof.record_names import LOST_WINDOW, REVIVED
from tests.unit.command_line import Ran
from tests.world.sandbox import Sandbox


@pytest.fixture
def file(sandbox: Sandbox) -> Path:
    """What came back to the store mysql, where users had deleted all words before it was rolled back."""
    sandbox.keepers["mysql"].words.clear()
    incident = sandbox.new_incident()
    sandbox.run(plan_database(sandbox.target, "mysql"), incident)
    assert sandbox.keepers["mysql"].words == {"a": "of release 1", "b": "of both"}
    return incident.folder / LOST_WINDOW / "mysql" / REVIVED


def _delete(sandbox: Sandbox, file: Path) -> deletions.DeletedAgain:
    return deletions.delete_revived(
        sandbox.target, sandbox.engine, sandbox.control, "mysql", read_revived(file), sandbox.outside
    )


def test_what_is_as_it_came_back_is_deleted_and_what_users_changed_since_stays(
    sandbox: Sandbox, file: Path
) -> None:
    store = sandbox.keepers["mysql"]
    store.words |= {"b": "of a user", "c": "of a user"}
    found = _delete(sandbox, file)
    assert str(found) == "gone: 1; left: 1"
    assert found.left == {"words b": deletions.ANOTHER}
    assert store.words == {"b": "of a user", "c": "of a user"}
    del store.words["b"]
    # What is gone already is no reproach.
    assert str(_delete(sandbox, file)) == "gone: 2; left: 0"


def test_a_record_that_is_there_after_it_was_deleted_is_left(sandbox: Sandbox, file: Path) -> None:
    sandbox.keepers["mysql"].stays = frozenset("a")
    assert _delete(sandbox, file).left == {"words a": deletions.STAYED}


@pytest.mark.parametrize(("text", "instead"), [('"}\n', ""), ('"hash"', '"h"')])
def test_a_list_that_is_cut_off_or_another_file_is_refused(
    run: Ran, file: Path, text: str, instead: str
) -> None:
    file.write_text(file.read_text().replace(text, instead))
    run("replay", "--deletions", str(file), code=ExitCode.USAGE)


def test_nothing_is_deleted_unless_the_list_is_agreed_to(run: Ran, file: Path) -> None:
    run.monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    said = run("replay", "--deletions", str(file), code=ExitCode.FAILED)
    assert "words: 2 came back\n  a\n  b\n" in said
    assert run.sandbox.keepers["mysql"].words == {"a": "of release 1", "b": "of both"}
