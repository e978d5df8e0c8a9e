"""The journal and other records: what was written stays as it was, or it shows; and what `--json` prints."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest

from reports.terminal.document import answer, expect_document
from rollback_actions import check_run
from rollback_actions.session import session as session_module
from rollback_actions.session.session import Journal
from rollproof.errors import ActionFailed, ExitCode, Problem, UsageProblem
from rollproof.incident import journal as reading
from rollproof.incident.journal import JournalBroken, read_journal, verify_journal
from rollproof.redaction.secret import remember
from rollproof.system.files import append_line, json_line
from rollproof.system.record_files import (
    LEFT_OUT,
    Must,
    WrongRecord,
    load_lines,
    parse_record,
    read_record,
    record_of,
    rounded,
    write_record,
)
from tests.unit.command_line import Ran


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


@pytest.mark.parametrize("number", [2, 1], ids=["as it was", "numbered again"])
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
    monkeypatch.setattr(session_module, "append_line", full)
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


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Part:
    size: int
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Kept:
    name: Annotated[str, Must("a short name", lambda name: len(name) < 80)]
    parts: tuple[Part, ...] = ()
    colour: Colour = Colour.RED
    seconds: float = field(default=0.0, metadata=rounded(3))
    counts: Mapping[str, int] | None = None
    ready: bool = field(default=False, metadata=LEFT_OUT)


WHOLE = Kept("one", (Part(1), Part(2, 0.5)), Colour.RED, 1.25, {"users": 3}, ready=True)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    for record in (WHOLE, Kept("two")):
        write_record(path, record)
        assert read_record(Kept, path, what="kept", hint="x") == record
    assert read_record(Kept, tmp_path / "none", what="kept", hint="x") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"name": "a", "nmae": "b"}', "the unknown name nmae"),
        ("{}", "no name"),
        ('{"name": 1}', "1 as name, not a valid string"),
        ('{"name": "a", "parts": [{"size": "1"}]}', "'1' as parts.0.size, not a valid integer"),
        ('{"name": "a", "parts": [{"size": true}]}', "True as parts.0.size, not a valid integer"),
        # As a number this one is beyond no limit, and would be well.
        ('{"name": "a", "seconds": "nan"}', "'nan' as seconds, not a valid number"),
        ('{"name": "a", "colour": "blue"}', "'blue' as colour, not 'red'"),
        ('{"name": "%s"}' % ("a" * 80), "as name, not a short name"),
        ('{"name": 1, "ready": 1}', "1 as name, not a valid string, and 1 more"),
        ("[" * 200_000, "no JSON: "),
        ("", "no JSON: "),
    ],
)
def test_another_shape_is_one_error(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "kept.json"
    path.write_text(text)
    with pytest.raises(UsageProblem) as raised:
        read_record(Kept, path, what="what was kept", hint="do this")
    line, hint = str(raised.value).splitlines()
    assert line.startswith("what was kept: expected a readable kept.json, observed ")
    assert said in line
    assert line.endswith(f"(from {path})")
    assert hint == "HINT: do this"
    assert len(line) < 400


@pytest.mark.parametrize(
    "place", ['"name": "a", "colour": "%s"', '"name": "a", "%s": 1', '"name": "a", "seconds": "%s"']
)
def test_no_secret_is_in_the_error(place: str) -> None:
    secret = "correct-horse-battery"  # noqa: S105 - what must not be seen
    remember(secret)
    with pytest.raises(WrongRecord) as raised:
        parse_record(Kept, f"{{{place % f'x {secret} y'}}}".encode())
    # Neither whole nor its beginning, however it is cut.
    assert secret[:8] not in str(raised.value)


def test_a_later_version_may_say_more_where_that_is_fine() -> None:
    assert record_of(Kept, {"name": "a", "more": 1}, more=True) == Kept("a")
    with pytest.raises(WrongRecord, match="unknown name more"):
        record_of(Kept, {"name": "a", "more": 1})


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    assert list(load_lines(Kept, path)) == []
    path.write_text('{"name": "a"}\n{"name": "b"}\n{"na')
    assert [one.name for one in load_lines(Kept, path)] == ["a", "b"]


HOSTILE = "\0\x1b[31m\x7f\x9b\u202e \udce9 \"}\n{ '"
LONG = HOSTILE + "x" * 1_000_000


@dataclass(frozen=True)
class Names:
    """A record of names that somebody else chose."""

    name: str
    by_name: dict[str, str]


def test_hostile_names_stay_one_valid_document(capsys: pytest.CaptureFixture[str]) -> None:
    expect_document("names")
    record = Names(LONG, {HOSTILE: HOSTILE})
    answer(record, lambda _: ["for people"], lambda text: text.replace("31m", "[redacted]"), as_json=True)
    said = capsys.readouterr().out
    # Every parser reads it: it is ASCII, and has no half character even as an escape.
    found = json.loads(said.encode("ascii"))
    clean = HOSTILE.replace("31m", "[redacted]").replace("\udce9", "\\udce9")
    assert found["result"] == {"name": clean + LONG.removeprefix(HOSTILE), "by_name": {clean: clean}}
    assert re.fullmatch(r"[ -~\n]*", said)


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--service=nobody"),
        ("plan", "--commit=" + "x" * 100_000, "--whole"),
        ("rollback", "status"),
        ("gate", "no-such-commit"),
        ("compare", "no-such-baseline"),
    ],
    ids=lambda arguments: " ".join(arguments)[:30],
)
def test_a_mistake_is_a_document_with_what_the_error_says(run: Ran, arguments: tuple[str, ...]) -> None:
    found = run.document(*arguments, code=ExitCode.USAGE)
    assert found.problem is not None
    assert arguments[0] in found.command
    assert f"HINT: {found.problem.hint}"[:200] in run(*arguments, code=ExitCode.USAGE)


def test_checks_that_did_not_run_are_a_document_without_a_result(
    run: Ran, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(check_run, "run_checks", lambda *_: ExitCode.USAGE)
    junit = tmp_path / "junit.xml"
    junit.write_text("of an earlier run", encoding="utf-8")
    found = run.document("gate", run.sandbox.bad, f"--junit={junit}", code=ExitCode.USAGE)
    assert not junit.exists()
    assert found.problem is not None
    assert found.problem.observed == "exit code 4"
