"""Every spelling of a secret is found; ordinary words are left alone."""

from __future__ import annotations

import base64
import html
import json
import shlex
from collections.abc import Callable
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import quoteattr

import pytest
from _pytest._io.saferepr import saferepr

from reports.text.page import escaped
from rollproof.redaction.redactor import SHORTEST_REST, Redactor
from rollproof.redaction.secret import remember
from rollproof.redaction.shapes import MARKER

TOKEN = "kT9vQx2R7mWpL4sZ8nB1cY6hD3fG0aJ5"  # noqa: S105 - a canary
AWKWARD = 'p@ss/wörd\'with "all" <of>\\them&'
LINES = "erste Zeile: schlüssel\nzweite Zeile\t& Schloß\r\n日本語の鍵"


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
    "python in ascii": ascii,
    "json with slashes": lambda secret: json.dumps(secret).replace("/", "\\/"),
    "xml attribute": quoteattr,
    "name of a parameter": lambda secret: secret.encode("unicode_escape").decode(),
    "markdown": escaped,
    "shell": shlex.quote,
    "sql": lambda secret: "'" + secret.replace("'", "''") + "'",
    "basic": lambda secret: f"Basic {base64.b64encode(f'user:{secret}'.encode()).decode()}",
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 in a url": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
}


@pytest.mark.parametrize("secret", [TOKEN, AWKWARD, LINES, "tiny"], ids=["token", "awkward", "lines", "tiny"])
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


def test_a_secret_of_short_lines_is_redacted_in_each() -> None:
    assert Redactor(["abcd1234\nefgh5678"]).text("E  abcd1234\nE  efgh5678") == f"E  {MARKER}\nE  {MARKER}"


def test_the_end_of_a_line_is_no_part_of_a_secret() -> None:
    assert Redactor([f"{TOKEN}\n"]).text(f"token {TOKEN}.") == f"token {MARKER}."


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


def test_what_the_process_learns_is_redacted_by_those_made_before() -> None:
    redactor = Redactor()

    remember(TOKEN)

    assert redactor.text(TOKEN) == MARKER
    assert redactor.known() == (TOKEN,)


def test_what_is_no_text_is_redacted_by_shape_too() -> None:
    token = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2lnbmF0dXJl"
    assert Redactor().data(b"\xff\xfe " + token + b" \x80") == b"\xff\xfe [redacted] \x80"


def test_binary_data_is_redacted_and_otherwise_kept() -> None:
    assert Redactor([TOKEN]).data(b"\xff\x00" + TOKEN.encode() + b"\xfe") == b"\xff\x00[redacted]\xfe"


@pytest.mark.parametrize("secret", ["pä$$wörd-77", "s3cret-of-the-canary", "K0r7!xQ-9z"])
def test_what_is_left_of_a_secret_that_was_cut_is_redacted(secret: str) -> None:
    redactor = Redactor([secret])
    for size in range(SHORTEST_REST, len(secret)):
        for mark in ("...", "…", "\n[cut after 4096 bytes]", "… [the first 400 of 900 characters]"):
            assert redactor.text(f"x={secret[:size]}{mark}") == f"x={MARKER}{mark}"
        for mark in ("...", "…", "[7 characters before these are left out]\n"):
            assert redactor.text(f"{mark}{secret[-size:]} y") == f"{mark}{MARKER} y"
    # So does pytest print a local variable.
    shown = saferepr("x" * 108 + secret + "y" * 300)
    assert secret[:5] in shown
    assert secret[:5] not in redactor.text(shown)
    assert redactor.text("wait...\nfor the rest … of it") == "wait...\nfor the rest … of it"


@pytest.mark.parametrize("secret", ["pä$$wörd-77", "päßwörter sind/geheim", "K0r7!xQ-9z"])
def test_a_secret_is_known_as_bytes_in_hexadecimal_and_in_a_url_within_a_url(secret: str) -> None:
    data = secret.encode()
    octal = "".join(chr(byte) if byte < 128 else f"\\{byte:o}" for byte in data)
    twice = quote(quote(secret, safe=""), safe="")
    numbered = secret.encode("ascii", "xmlcharrefreplace").decode()
    for form in (repr(data), repr(repr(data)), octal, data.hex(), data.hex().upper(), twice, numbered):
        shown = Redactor([secret]).text(f"<{form}>")
        assert MARKER in shown
        assert shown.replace(MARKER, "").strip("<>b\"'") == ""
