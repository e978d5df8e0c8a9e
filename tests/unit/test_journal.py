"""The journal: what was written stays as it was, or it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.errors import Problem
from rollback_actions.journal import Journal, verify_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    journal = Journal(tmp_path / "journal.jsonl", lambda text: text.replace("hunter2", "[redacted]"))
    journal.write("opened", note="it is hunter2")
    with journal.step("stop the writers") as result:
        result["result"] = "2 stopped"
    with pytest.raises(ValueError, match="boom"), journal.step("restore mysql"):
        raise ValueError("boom hunter2")
    return journal.path


def test_events_are_in_order_and_redacted(path: Path) -> None:
    records = verify_journal(path)
    assert [record["event"] for record in records] == ["opened", "started", "ended", "started", "failed"]
    assert "hunter2" not in path.read_text()
    assert records[2]["result"] == "2 stopped"
    assert records[4]["error"] == "ValueError: boom [redacted]"


def test_it_goes_on_where_it_ended(path: Path) -> None:
    Journal(path, str).write("resumed")
    assert [record["sequence"] for record in verify_journal(path)] == [0, 1, 2, 3, 4, 5]


def test_an_edited_record_is_seen(path: Path) -> None:
    path.write_text(path.read_text().replace("2 stopped", "3 stopped"))
    with pytest.raises(Problem, match="record 2 of the journal"):
        verify_journal(path)


def test_a_removed_record_is_seen(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:1] + lines[2:]))
    with pytest.raises(Problem, match="record 1 of the journal"):
        Journal(path, str)


def test_a_torn_last_line_is_dropped(path: Path) -> None:
    whole = path.read_text()
    path.write_text(whole + '{"event": "star')
    assert len(verify_journal(path)) == 5


def test_it_goes_on_after_a_torn_line(path: Path) -> None:
    path.write_text(path.read_text() + '{"event": "star')
    journal = Journal(path, str)
    journal.write("resumed")
    journal.write("and on")
    assert [record["event"] for record in verify_journal(path)][-2:] == ["resumed", "and on"]
