"""Channels: what is said of one is no secret, and what is secret of one is known to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.profile.channels import names_of, public_part
from rollproof.profile.profile import Target, load_target
from rollproof.redaction.channel_secrets import parts_of
from rollproof.redaction.redactor import Redactor
from tests.conftest import write_profile


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("json://user:pass-word-1@127.0.0.1:8080/path-token", "json://127.0.0.1"),
        ("mailtos://me:secret@mail.example.org?to=you@example.org", "mailtos://mail.example.org"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", "slack"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", "tgram"),
        ("ntfy://my-secret-topic", "ntfy"),
        ("json://[", "json"),
        ("no url at all, but a token", "no URL"),
        ("My Token://x", "no URL"),
    ],
)
def test_scheme_and_host_are_said_and_no_more(url: str, said: str) -> None:
    assert public_part(url) == said


@pytest.mark.parametrize(
    ("url", "shown", "hidden"),
    [
        ("json://user:pass-word-1@127.0.0.1:8080/tok3n-of-it", "HTTP 500 from 127.0.0.1", "pass-word-1"),
        ("json://user:p%40ss-word@127.0.0.1/x", "it took p", "p@ss-word"),
        ("json://127.0.0.1/tok3n-of-it", "posted to 127.0.0.1", "tok3n-of-it"),
        ("mailto://me:x@example.org?to=you@example.org", "mail of example.org", "you@example.org"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlaz", "slack said no", "TIiajkdnlaz"),
        ("tgram://123456789:abcdefg_hij/12315544", "telegram said no", "abcdefg_hij"),
        ("ntfy://my-secret-topic", "ntfy said no", "my-secret-topic"),
    ],
)
def test_a_token_is_redacted_by_itself(url: str, shown: str, hidden: str) -> None:
    text = Redactor(parts_of(url)).text(f"{shown}: {hidden}.")
    assert shown in text
    assert hidden not in text


def _target(folder: Path, *urls: str) -> Target:
    for number, url in enumerate(urls):
        (folder / f"channel{number}").write_text(url, encoding="utf-8")
    files = ", ".join(f'{{file = "channel{number}"}}' for number in range(len(urls)))
    return load_target(write_profile(folder, f"[premigration.team]\nchannels = [{files}]\n"))


def test_a_channel_is_named_without_its_secrets(tmp_path: Path) -> None:
    urls = _target(tmp_path, "json://u:one-secret@h/x", "slack://A/B/C").premigration.team.channels
    assert names_of(urls) == ("1 (json://h)", "2 (slack)")
    assert names_of(urls[:1], "on-call") == ("on-call 1 (json://h)",)


def test_the_parts_are_secrets_of_the_target(tmp_path: Path) -> None:
    target = _target(tmp_path, "json://u:one-secret@h/tok3n-of-it")
    assert {"one-secret", "tok3n-of-it", "u:one-secret"} < target.secrets()
