"""The journal: what was written stays as it was, or it shows."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rollback_actions.session import journal as journal_module
from rollback_actions.session.journal import Journal
from rollproof.errors import ActionFailed, Problem
from rollproof.incident import journal as reading
from rollproof.incident.journal import JournalBroken, read_journal, verify_journal
from rollproof.system.files import append_line, json_line


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


def test_an_edited_record_is_seen(path: Path) -> None:
    path.write_text(path.read_text().replace("2 stopped", "3 stopped"))
    with pytest.raises(Problem, match="record 2 of the journal"):
        verify_journal(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"event": []}, r"\[\] as event, not a valid string"),
        ({"event": None}, "None as event"),
        ({"at": "today"}, "'today' as at, not an object"),
        ({"minutes": {"on_call": "0"}}, "'0' as minutes"),
        ({"first_bad": {"wall": "today"}}, "'today' as first_bad"),
        ({"findings": []}, r"\[\] as findings"),
    ],
)
def test_a_record_of_another_shape_breaks_the_chain_though_its_hash_holds(
    path: Path, change: dict[str, object], said: str
) -> None:
    first = {**verify_journal(path)[0], **change}
    first["hash"] = reading.hash_of({key: value for key, value in first.items() if key != "hash"})
    path.write_bytes(json_line(first))
    with pytest.raises(JournalBroken, match=f"expected a record of a journal, observed {said}"):
        verify_journal(path)


def test_each_text_in_a_list_or_an_object_is_redacted(path: Path) -> None:
    journal = Journal(path, lambda text: text.replace("secret", "[redacted]"))
    journal.write("named", names=("a", "secret b"))
    journal.write("assessed", findings={"findings": ({"text": "a secret", "beats": (1, 2)},)})
    named, assessed = verify_journal(path)[-2:]
    assert named["names"] == ["a", "[redacted] b"]
    assert assessed["findings"] == {"findings": [{"text": "a [redacted]", "beats": [1, 2]}]}


@pytest.mark.parametrize("number", [2, 1], ids=["as it was", "numbered anew"])
def test_a_removed_record_is_seen(path: Path, number: int) -> None:
    first, _, last = verify_journal(path)[:3]
    last = {**last, "sequence": number}
    last["hash"] = reading.hash_of({key: value for key, value in last.items() if key != "hash"})
    path.write_bytes(json_line(first) + json_line(last))
    with pytest.raises(Problem, match="record 1 of the journal"):
        Journal(path, str)


class _Full:
    """A disk that is full for the first calls of something, before that or after it is done."""

    def __init__(self, does: Callable[..., None], *, after: bool) -> None:
        self._does = does
        self._after = after
        self.full = True

    def __call__(self, *arguments: object) -> None:
        if self._after or not self.full:
            self._does(*arguments)
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("after", [True, False])
def test_a_full_disk_is_said_and_gone_on_after(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    full = _Full(append_line, after=after)
    monkeypatch.setattr(journal_module, "append_line", full)
    journal = Journal(path, str)
    for number in range(2):
        with pytest.raises(
            ActionFailed, match=r"No space left on device .*\nHINT: every step needs its record"
        ):
            journal.write("lost?", number=number)
    full.full = False
    journal.write("room again")
    records = verify_journal(path)
    assert records[-1]["event"] == "room again"
    assert len(records) == (8 if after else 6)


@pytest.mark.parametrize("line", [b"\0\0\0\0", b"[]", b"null", b'{"event":', b'{"sequence": NaN}', b"\xff"])
def test_what_is_no_record_breaks_the_chain_there(path: Path, line: bytes) -> None:
    with path.open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(JournalBroken, match="record 5 of the journal: expected a record of a journal"):
        Journal(path, str)
    records, broken = read_journal(path)
    assert len(records) == 5
    assert broken is not None


def test_a_journal_that_cannot_be_read_is_not_taken_for_a_broken_one(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(ActionFailed, match="expected a file that can be read, observed Is a directory"):
        verify_journal(tmp_path / "journal.jsonl")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ActionFailed, match="observed Not a regular file"):
        read_journal(tmp_path / "pipe")


def test_it_goes_on_after_a_torn_line(path: Path) -> None:
    path.write_text(path.read_text() + '{"event": "star')
    journal = Journal(path, str)
    journal.write("resumed")
    journal.write("and on")
    assert [record["event"] for record in verify_journal(path)][-2:] == ["resumed", "and on"]
