"""What `--json` prints: one document, as its published schema says: green, red, broken or a mistake."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from reports.terminal.document import answer, ask
from rollback_actions import check_run
from rollproof.errors import ExitCode
from tests.unit.command_line import Ran

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
