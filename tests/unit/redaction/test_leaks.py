"""A secret in the record of a command is found when the command ends, and said with its file."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from rollback_actions.rollback import rollback_run
from rollproof.errors import ActionFailed, ExitCode
from rollproof.incident.incident import Incident
from rollproof.incident.leaks import SecretInRecord, without_leaks
from rollproof.planning.plan import Plan
from rollproof.planning.unfinished import Unfinished
from rollproof.redaction.redactor import Redactor
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.unit.command_line import Ran
from tests.unit.sandbox import SECRET

FAILURE = ActionFailed(what="restore", expected="b", observed="c", source="d", hint="e")


@pytest.mark.parametrize("error", [None, FAILURE], ids=["passed", "failed"])
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pictures/page.svg", SECRET),
        ("samples.jsonl", SECRET),
        ("report.html", base64.b64encode(f"password of the canary: {SECRET}".encode()).decode()),
    ],
    ids=["picture", "samples", "report"],
)
def test_a_rollback_whose_record_holds_a_secret_says_so_and_how_it_went(
    run: Ran, monkeypatch: pytest.MonkeyPatch, file: str, text: str, error: ActionFailed | None
) -> None:
    def roll_back(_: object, plan: Plan, incident: Incident, *__: object) -> object:
        unfinished = Unfinished.begin(incident, plan.request)
        path = incident.folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"first line\n{text}\n")
        if error is not None:
            raise error
        unfinished.end()
        return unfinished.outcome(Verdict.PASSED, Moment.now())

    monkeypatch.setattr(rollback_run, "roll_back", roll_back)
    said = run("rollback", "service", "backend", code=ExitCode.FAILED)
    (folder,) = run.sandbox.target.folders.incidents.glob("*-sandbox-*")
    assert f"(from {folder / file}:2)" in said
    assert "secret in the record: expected none, observed one (" in said
    assert ("rollback: passed in" in said) is (error is None)
    assert ("MANUAL INTERVENTION" in said) is (error is not None)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError(), FAILURE], ids=repr)
def test_the_record_is_scanned_however_the_command_ends(tmp_path: Path, error: BaseException) -> None:
    said: list[str] = []
    (tmp_path / "a.txt").write_text(SECRET)
    with pytest.raises(type(error)) as raised, without_leaks(tmp_path, Redactor([SECRET]), said.append):
        raise error
    note = raised.value.__notes__[-1]
    assert f"(from {tmp_path / 'a.txt'}:1)" in note
    assert said == ([] if error is FAILURE else [note])


def test_a_file_that_cannot_be_read_is_not_known_to_be_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("x")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "a.txt")

    monkeypatch.setattr("rollproof.redaction.scan.open_regular", refuse)
    with pytest.raises(SecretInRecord) as raised, without_leaks(tmp_path, Redactor(), print):
        pass
    (note,) = raised.value.__notes__
    assert (
        "scan for secrets: expected files that can be read, observed Permission denied (from a.txt)" in note
    )
