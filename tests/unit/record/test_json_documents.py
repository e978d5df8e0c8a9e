"""What `--json` prints: one document, as its published schema says: green, red, broken or a mistake."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from reports.terminal.document import answer, ask
from rollback_actions import check_run
from rollproof.errors import ExitCode
from rollproof.incident.incident import find_or_create_change
from rollproof.incident.ledger import Note, NoteKind, Planned, Result, Run
from rollproof.runbook import STEPS
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.unit.command_line import Ran
from tests.world.sandbox import SECRET

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


NOTES = (Note("seen"), Note("waived", NoteKind.WAIVED, "Ada"))


@pytest.fixture
def gated(run: Ran, monkeypatch: pytest.MonkeyPatch) -> Callable[[Verdict], None]:
    """Let the gate's checks end with a verdict, without running them."""

    def let(verdict: Verdict) -> None:
        target = run.sandbox.target

        def check(_: object, __: object, *options: str) -> ExitCode:
            assert options == ("premigration", f"--migration={run.sandbox.bad}")
            now = Moment.now()
            change = find_or_create_change(target.folders.incidents, target.name, run.sandbox.bad)
            ran = Run.begin(change.folder, now, gated=True, migration=run.sandbox.bad)
            ran.write_plan({step: Planned((f"test_{step}",)) for step in STEPS})
            writer = ran.writer()
            for step in STEPS:
                ended = verdict if step == "step2" else Verdict.PASSED
                said = "" if ended is Verdict.PASSED else f"it holds {SECRET}"
                writer.write(Result(f"test_{step}", step, ended, 0.1, said, now, NOTES))
            writer.close()
            (change.folder / "gate.md").write_text("# the page\n", encoding="utf-8")
            return {Verdict.PASSED: ExitCode.VERIFIED, Verdict.FAILED: ExitCode.FAILED}.get(
                verdict, ExitCode.BROKEN
            )

        monkeypatch.setattr(check_run, "run_checks", check)

    return let


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict.PASSED, ExitCode.VERIFIED),
        (Verdict.FAILED, ExitCode.FAILED),
        (Verdict.BROKEN, ExitCode.BROKEN),
    ],
)
def test_the_gate(run: Ran, gated: Callable[[Verdict], None], verdict: Verdict, code: ExitCode) -> None:
    gated(verdict)
    found = run.found("gate", run.sandbox.bad, code=code)
    assert (found.commit, found.verdict.verdict) == (run.sandbox.bad, verdict)
    assert [item.verdict for item in found.items if item.phase == "step2"] == [verdict]
    assert found.items[0].notes == NOTES
    said = run("gate", run.sandbox.bad, code=code)
    assert said.startswith("# the page\n")
    assert f"record: {found.folder}" in said


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
