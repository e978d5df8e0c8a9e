"""Records are read strictly or refused in words; `--json` prints one document by its published schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest

from reports.terminal.document import answer, ask
from rollback_actions import check_run
from rollproof.errors import ExitCode, UsageProblem
from rollproof.redaction.secret import remember
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
    ask("names")
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
