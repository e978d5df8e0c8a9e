"""Every spelling of a secret is found; ordinary words are left alone."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from fixtures.redaction import MARKER, Redactor

TOKEN = "kT9vQx2R7mWpL4sZ8nB1cY6hD3fG0aJ5"  # noqa: S105 - a canary
AWKWARD = 'p@ss/wörd\'with "all" <of>\\them&'


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "python": repr,
    "python in a longer text": lambda secret: repr({"quotes": f"'\"{secret}"}),
    "json": json.dumps,
    "json in utf-8": lambda secret: json.dumps(secret, ensure_ascii=False),
    "json in json": lambda secret: json.dumps(json.dumps({"password": secret})),
    "url path": quote,
    "url": lambda secret: quote(secret, safe=""),
    "form": quote_plus,
    "html": html.escape,
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 in a url": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
}


@pytest.mark.parametrize("secret", [TOKEN, AWKWARD, "tiny"], ids=["token", "awkward", "tiny"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_redacted(secret: str, spelling: str) -> None:
    spelled = SPELLINGS[spelling](secret)

    text = Redactor([secret]).text(f"before {spelled} after")

    assert MARKER in text
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert spelled not in text
    assert secret[2:] not in text


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "app:"])
@pytest.mark.parametrize("after", ["", "z", "zz"])
def test_base64_of_a_longer_text_is_redacted(before: str, after: str) -> None:
    encoded = base64.b64encode(f"{before}{TOKEN}{after}".encode()).decode()

    text = Redactor([TOKEN]).text(f"X-Credentials: {encoded}")

    longest = max((len(piece) for piece in text.removeprefix("X-Credentials: ").split(MARKER)), default=0)
    assert MARKER in text
    assert longest <= 8


def test_what_a_printer_left_of_a_secret_is_redacted() -> None:
    redactor = Redactor([TOKEN])

    assert redactor.text(f"Client('{TOKEN[:20]}...") == f"Client('{MARKER}..."
    assert redactor.text(f"...{TOKEN[-17:]}')") == f"...{MARKER}')"
    assert redactor.text(f"{TOKEN[:14]}...{TOKEN[-14:]}") == f"{MARKER}...{MARKER}"


def test_the_longer_of_two_secrets_leaves_no_rest() -> None:
    assert Redactor(["secret", "secret-and-more"]).text("secret-and-more") == MARKER


def test_ordinary_words_that_begin_a_secret_stay() -> None:
    redactor = Redactor(["application-password-of-the-canary"])

    assert redactor.text("the application-server is down") == "the application-server is down"


def test_a_key_of_several_lines_is_redacted_line_by_line() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nq83vVl1mXk2pQw==\n-----END KEY-----"

    text = Redactor([key]).text("E    MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nE    q83vVl1mXk2pQw==")

    assert text == f"E    {MARKER}\nE    {MARKER}"


def test_short_secrets_are_counted_and_left() -> None:
    redactor = Redactor(["abc", "", "abcd"])

    assert redactor.too_short == 1
    assert redactor.text("abc abcd") == f"abc {MARKER}"


def test_secrets_added_later_are_redacted() -> None:
    redactor = Redactor()
    assert redactor.text(TOKEN) == TOKEN

    redactor.add(TOKEN)

    assert redactor.text(TOKEN) == MARKER
    assert TOKEN not in repr(redactor)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2ln is stale", f"token {MARKER} is stale"),
        ("'eyJhbGciOiJIUzI1N...2ln'", f"'{MARKER}'"),
        ("Authorization: Bearer abcdef", f"Authorization: Bearer {MARKER}"),
        ("{'authorization': 'Basic YXBw'}", f"{{'authorization': 'Basic {MARKER}'}}"),
        ("bearer 0123456789abcdef0123", f"bearer {MARKER}"),
        ("mysql://app:hunter2@db:3306/x", f"mysql://app:{MARKER}@db:3306/x"),
        ("redis://:p@ss@cache", f"redis://:{MARKER}@cache"),
    ],
)
def test_what_looks_like_a_secret_is_redacted(text: str, clean: str) -> None:
    assert Redactor().text(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8090/users?mail=anna@example.org",
        "bearer authentication is required",
        "authorization failed for user app",
        "postgres://db:5432/x",
        "checks/verification/test_phase1_infrastructure.py::test_running[mysql]",
    ],
)
def test_what_does_not_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_binary_data_is_redacted_and_otherwise_kept() -> None:
    assert Redactor([TOKEN]).data(b"\xff\x00" + TOKEN.encode() + b"\xfe") == b"\xff\x00[redacted]\xfe"


def test_scan_says_where_and_not_what(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "page.html").write_text(
        f"<p>\nline\n{base64.b64encode(f'xx{TOKEN}xx'.encode()).decode()}</p>"
    )
    (tmp_path / "dump.bin").write_bytes(b"\x00\xff\n" + TOKEN.encode())
    (tmp_path / "cut.txt").write_text(f"{TOKEN[:12]}...")
    (tmp_path / "jwt.txt").write_text("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjEyMzQ1fQ.c2lnbmF0dXJl")
    (tmp_path / "clean.txt").write_text("nothing here")
    (tmp_path / "empty.txt").touch()

    findings = Redactor([TOKEN]).scan(tmp_path)

    places = {(finding.file.name, finding.line, finding.kind) for finding in findings}
    assert {
        ("page.html", 3, "base64"),
        ("dump.bin", 2, "plain"),
        ("cut.txt", 1, "part"),
        ("jwt.txt", 1, "token"),
    } <= places
    assert {finding.file.name for finding in findings} == {"page.html", "dump.bin", "cut.txt", "jwt.txt"}
    assert all(TOKEN[:12] not in str(finding) for finding in findings)


def test_scan_of_what_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked.txt").write_text("x")

    def refuse(*_arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)

    with pytest.raises(PermissionError):
        Redactor([TOKEN]).scan(tmp_path)
