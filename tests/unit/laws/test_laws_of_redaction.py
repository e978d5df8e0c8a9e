"""Redaction: no spelling of a secret that is promised survives, whatever stands around it."""

from __future__ import annotations

import base64
import html
import json
import shlex
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rollproof.redaction.redactor import Redactor

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "URL": quote,
    "URL, whole": lambda secret: quote(secret, safe=""),
    "URL, form": quote_plus,
    "URL in a URL": lambda secret: quote(quote(secret, safe=""), safe=""),
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "JSON, UTF-8": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda secret: json.dumps(json.dumps(secret))[3:-3],
    "Python": lambda secret: repr(secret)[1:-1],
    "Python, bytes": lambda secret: repr(secret.encode())[2:-1],
    "HTML": html.escape,
    "shell": lambda secret: shlex.quote(f" {secret}")[2:-1],
    "SQL": lambda secret: secret.replace("'", "''"),
    "hexadecimal": lambda secret: secret.encode().hex(),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode().rstrip("="),
    "base64, URL": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
}
# Signs that some spelling writes otherwise, and letters of one to four bytes.
secrets = st.text("aZ09'\"\\/&<>%+= $é\u2603\U0001f511-_.:", min_size=8, max_size=24).map(str.strip)
around = st.text("xyz {}[](),;", max_size=6)


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(word=secrets, before=around, after=around)
@example(word="p'a\"ss\\word/1", before="", after="")
@example(word="aaaaaaaa", before="x", after="x")
def test_no_spelling_survives(spelling: str, word: str, before: str, after: str) -> None:
    assume(len(word) >= 8)
    written = SPELLINGS[spelling](word)
    redactor = Redactor([word])
    shown = redactor.text(f"{before}{written}{after}")
    assert written not in shown
    assert redactor.data(f"{before}{written}{after}".encode()).decode() == shown


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
    assert text[first:end] not in Redactor([secret]).text(f"Authorization: Basic {text}")


@given(st.lists(secrets, min_size=1, max_size=3), around)
def test_secrets_that_contain_one_another_leave_no_rest(every: list[str], between: str) -> None:
    assume(all(len(secret) >= 8 for secret in every))
    longer = every[0] + "Q7" + every[-1]
    shown = Redactor([*every, longer]).text(between.join([*every, longer]))
    assert not any(secret in shown for secret in [*every, longer])


@given(secrets, st.text("aZ09'\"\\/&<>%+= $é-_.:", max_size=40))
def test_what_was_redacted_stays_so(secret: str, text: str) -> None:
    assume(len(secret) >= 8)
    redactor = Redactor([secret])
    once = redactor.text(f"{text}{secret}{text}")
    assert redactor.text(once) == once
