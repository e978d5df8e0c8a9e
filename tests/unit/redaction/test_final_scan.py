"""The last scan finds a secret in whatever file it is, also inside base64, and does not show it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from rollproof.incident.incident import report_paths
from rollproof.redaction.redactor import Redactor

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


def test_a_secret_that_is_learned_after_a_scan_is_found_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(f"it was {AWKWARD} all along")
    redactor = Redactor([TOKEN])
    assert redactor.scan(tmp_path) == []

    redactor.add(AWKWARD)

    assert [finding.kind for finding in redactor.scan(tmp_path)] == ["plain"]


def test_scan_of_what_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked.txt").write_text("x")

    def refuse(*_arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr("rollproof.redaction.scan.open_regular", refuse)

    with pytest.raises(PermissionError):
        Redactor([TOKEN]).scan(tmp_path)


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
