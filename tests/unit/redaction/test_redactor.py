"""A known secret is found in each form; ordinary words are left alone."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rollproof.redaction.redactor import Redactor
from rollproof.redaction.secret import remember
from rollproof.redaction.shapes import MARKER

TOKEN = "kT9vQx2R7mWpL4sZ8nB1cY6hD3fG0aJ5"  # noqa: S105 - a canary

# Each form of a secret as it stands inside a longer text.
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "JSON in UTF-8": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda secret: json.dumps(json.dumps(secret))[3:-3],
    "Python": lambda secret: repr(secret)[1:-1],
    "name of a parameter": lambda secret: secret.encode("unicode_escape").decode(),
    "URL": lambda secret: quote(secret, safe=""),
    "URL, path": quote,
    "URL, form": quote_plus,
    "HTML": html.escape,
    "HTML of JSON": lambda secret: html.escape(json.dumps(secret)[1:-1]),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode().rstrip("="),
    "base64, URL": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
}
# Signs that some form writes otherwise, and letters of one to four bytes.
secrets = st.text("aZ09'\"\\/&<>%+= $é\u2603\U0001f511-_.:\n\t", min_size=8, max_size=24).map(str.strip)


@pytest.mark.parametrize("form", FORMS)
@given(secrets, st.text("xyz {}[](),;", max_size=6))
@example('p@ss/wörd\'with "all" <of>\\them&', " ")
@example("erste Zeile: schlüssel\nzweite\t& Schloß\r\n日本語の鍵", "")
@example(TOKEN, "x")
@example("aaaaaaaa", "x")
def test_no_form_of_a_secret_survives(form: str, secret: str, around: str) -> None:
    assume(len(secret) >= 8)
    written = FORMS[form](secret)
    redactor = Redactor([secret])
    shown = redactor.text(f"{around}{written}{around}")
    assert written not in shown
    assert MARKER in shown
    assert redactor.text(shown) == shown
    assert redactor.data(f"{around}{written}{around}".encode()).decode() == shown


@given(secrets, st.binary(max_size=4), st.binary(max_size=4), st.booleans())
def test_no_secret_survives_inside_base64_of_more(
    secret: str,
    before: bytes,
    after: bytes,
    url: bool,  # noqa: FBT001 - made up
) -> None:
    assume(len(secret) >= 8)
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    data = secret.encode()
    text = encode(before + data + after).decode()
    # Of what is before and after, the characters that share their six bits with it may stay.
    first, end = -(-len(before) * 8 // 6), (len(before) + len(data)) * 8 // 6
    assert text[first:end] not in Redactor([secret]).text(f"X-Credentials: {text}")


@given(st.lists(secrets, min_size=1, max_size=3), st.text("xyz ,", max_size=3))
def test_secrets_that_contain_one_another_leave_no_rest(every: list[str], between: str) -> None:
    assume(all(len(secret) >= 8 for secret in every))
    longer = every[0] + "Q7" + every[-1]
    shown = Redactor([*every, longer]).text(between.join([*every, longer]))
    assert not any(secret in shown for secret in [*every, longer])


def test_a_secret_around_another_and_words_around_it_are_told_apart() -> None:
    assert Redactor(["secret", "secret-and-more"]).text("a secret-and-more b") == f"a {MARKER} b"
    redactor = Redactor(["application-password-of-the-canary"])
    assert redactor.text("the application-server is down...") == "the application-server is down..."


def test_a_secret_of_several_lines_is_redacted_line_by_line() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nq83vVl1mXk2pQw==\n-----END KEY-----"
    text = Redactor([key]).text("E    MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nE    q83vVl1mXk2pQw==")
    assert text == f"E    {MARKER}\nE    {MARKER}"


def test_the_end_of_a_line_is_no_part_of_a_secret_and_short_ones_are_counted() -> None:
    redactor = Redactor(["abc", "", "abcd\n"])
    assert redactor.too_short == 1
    assert redactor.text("abc abcd.") == f"abc {MARKER}."


def test_a_secret_that_is_learned_later_is_redacted() -> None:
    redactor = Redactor()
    assert redactor.text(f"{TOKEN} first-of-two") == f"{TOKEN} first-of-two"
    redactor.add("first-of-two")
    remember(TOKEN)
    assert redactor.text(f"{TOKEN} first-of-two") == f"{MARKER} {MARKER}"
    assert set(redactor.known()) == {"first-of-two", TOKEN}
    assert TOKEN not in repr(redactor)


def test_binary_data_is_redacted_and_otherwise_kept() -> None:
    token = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2lnbmF0dXJl"
    data = b"\xff\x00" + TOKEN.encode() + b"\xfe " + token + b" \x80"
    assert Redactor([TOKEN]).data(data) == b"\xff\x00[redacted]\xfe [redacted] \x80"
