"""The last scan finds a secret in whatever file it is, and a command that leaves one says so as it ends."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from rollback_actions.rollback import rollback_run
from rollproof.errors import ActionFailed, ExitCode
from rollproof.incident.incident import Incident, report_paths
from rollproof.incident.leaks import SecretInRecord, without_leaks
from rollproof.planning.plan import Plan
from rollproof.planning.unfinished import Unfinished
from rollproof.record_names import SAMPLES
from rollproof.redaction.redactor import Redactor
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.unit.command_line import Ran
from tests.world.sandbox import SECRET

TOKEN = "kT9vQx2R7mWpL4sZ8nB1cY6hD3fG0aJ5"  # noqa: S105 - a canary
AWKWARD = 'p@ss/wörd\'with "all" <of>\\them&'


def test_scan_says_where_and_not_what(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "page.html").write_text(
        f"<p>\nline\n{base64.b64encode(f'xx{TOKEN}xx'.encode()).decode()}</p>"
    )
    (tmp_path / "dump.bin").write_bytes(b"\x00\xff\n" + TOKEN.encode())
    (tmp_path / "jwt.txt").write_text("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjEyMzQ1fQ.c2lnbmF0dXJl")
    (tmp_path / "clean.txt").write_text("nothing here")
    (tmp_path / "empty.txt").touch()

    findings = Redactor([TOKEN]).scan(tmp_path)

    places = {(finding.file.name, finding.line, finding.kind) for finding in findings}
    assert {
        ("page.html", 3, "base64"),
        ("dump.bin", 2, "plain"),
        ("jwt.txt", 1, "token"),
    } <= places
    assert {finding.file.name for finding in findings} == {"page.html", "dump.bin", "jwt.txt"}
    assert all(TOKEN[:12] not in finding.problem for finding in findings)


def test_an_attachment_in_base64_is_found_and_a_page_may_have_examples(tmp_path: Path) -> None:
    attached = base64.b64encode(json.dumps({"password": AWKWARD}).encode()).decode()
    example = f"<html>\n<p>{attached}, or mysql://app:hunter2@db"
    for name in ("report.html", "a.txt"):
        (tmp_path / name).write_text(example)
    found = {(one.file.name, one.line, one.kind) for one in Redactor([AWKWARD]).scan(tmp_path)}
    assert found == {("report.html", 2, "base64"), ("a.txt", 2, "base64"), ("a.txt", 2, "password")}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("mysql://app:hunter2@db", "password"),
        (
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----",
            "private key",
        ),
        ("a?X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835", "signature"),
        ("key AKIAIOSFODNN7EXAMPLE", "key"),
    ],
)
def test_what_can_only_be_a_secret_is_found_undeclared(tmp_path: Path, text: str, kind: str) -> None:
    (tmp_path / "a.log").write_text(text)

    assert [finding.kind for finding in Redactor().scan(tmp_path)] == [kind]


def test_a_secret_that_only_a_later_stretch_of_a_file_holds_is_found(tmp_path: Path) -> None:
    size = 4 * 1024 * 1024
    (tmp_path / "a.log").write_text("x" * (size - 10) + " mysql://app:hunter2@db and mysql://app:hunter3@db")

    assert [finding.offset for finding in Redactor().scan(tmp_path)] == [size + 3, size + 30]


def test_what_a_restore_overwrote_is_no_report(tmp_path: Path) -> None:
    for name in ("lost-window", "lost-window-2", "allure-results", "pictures"):
        (tmp_path / name).mkdir()
    (tmp_path / "postmortem.md").touch()

    assert [path.name for path in report_paths(tmp_path)] == ["allure-results", "pictures", "postmortem.md"]


FAILURE = ActionFailed(what="restore", expected="b", observed="c", source="d", hint="e")


@pytest.mark.parametrize("error", [None, FAILURE], ids=["passed", "failed"])
def test_a_rollback_whose_record_holds_a_secret_says_so_and_how_it_went(
    run: Ran, monkeypatch: pytest.MonkeyPatch, error: ActionFailed | None
) -> None:
    def roll_back(_: object, plan: Plan, incident: Incident, *__: object) -> object:
        unfinished = Unfinished.begin(incident, plan.request)
        (incident.folder / SAMPLES).write_text(f"first line\n{SECRET}\n")
        if error is not None:
            raise error
        unfinished.end()
        return unfinished.outcome(Verdict.PASSED, Moment.now())

    monkeypatch.setattr(rollback_run, "roll_back", roll_back)
    said = run("rollback", "service", "backend", code=ExitCode.FAILED)
    (folder,) = run.sandbox.target.folders.incidents.glob("*-sandbox-*")
    assert f"(from {folder / SAMPLES}:2)" in said
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
