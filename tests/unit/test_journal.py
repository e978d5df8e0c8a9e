"""The journal: what was written stays as it was, or it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.command import Deadline, observed, run_command
from fixtures.errors import ActionFailed, Problem
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


@pytest.mark.parametrize("left", [0, 1, 4])
def test_a_journal_that_was_cut_short_is_seen(path: Path, left: int) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:left]))
    with pytest.raises(Problem, match=f"expected 5 records, or one more, .*observed {left} records"):
        verify_journal(path)


@pytest.mark.parametrize("text", ["", "x", "000000000001 " + "0" * 64])
def test_a_head_that_was_changed_is_seen(path: Path, text: str) -> None:
    path.with_suffix(".head").write_text(text)
    with pytest.raises(Problem, match="observed 5 records"):
        verify_journal(path)


def test_a_head_one_record_behind_is_what_a_kill_leaves(path: Path) -> None:
    head = path.with_suffix(".head").read_text()
    Journal(path, str).write("written, then killed")
    path.with_suffix(".head").write_text(head)
    assert len(verify_journal(path)) == 6
    Journal(path, str).write("resumed")
    assert len(verify_journal(path)) == 7


def test_programs_are_written_down_with_code_and_output(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", lambda text: text.replace("hunter2", "[redacted]"))
    script = ["sh", "-c", "echo hunter2 is out; echo of it >&2; exit 3"]
    with observed(journal.ran), pytest.raises(ActionFailed):
        run_command(script, what="a script", deadline=Deadline(10))
    with observed(journal.ran):
        run_command(["echo", "an answer"], what="echo", deadline=Deadline(10))
        run_command(["echo", "a secret"], what="echo", deadline=Deadline(10), private=True)
    run_command(["true"], what="true", deadline=Deadline(10))
    runs, failed, *others = verify_journal(journal.path)
    assert (runs["event"], runs["command"]) == (
        "runs",
        "sh -c 'echo [redacted] is out; echo of it >&2; exit 3'",
    )
    assert (failed["event"], failed["code"], failed["output"]) == ("ran", 3, "of it")
    ended = [(record["code"], record["output"]) for record in others if record["event"] == "ran"]
    assert ended == [(0, "an answer"), (0, "no word on its standard error")]


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
