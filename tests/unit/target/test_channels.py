"""Channels: what is said of one is no secret, also where its plugin fails."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from rollback_actions.contacts import delivery
from rollback_actions.contacts.delivery import deliver
from rollproof.profile.channels import public_part


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
    ("url", "part"),
    [
        ("json://user:pass-word-1@127.0.0.1:8080/tok3n-of-it", "pass-word-1"),
        ("json://user:p%40ss-word@127.0.0.1/x", "p@ss-word"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlaz", "TIiajkdnlaz"),
        ("tgram://123456789:abcdefg_hij/12315544", "abcdefg_hij"),
    ],
)
def test_a_plugin_that_fails_says_no_part_of_its_url(
    url: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Channel:
        def notify(self, **_: str) -> bool:
            raise ConnectionError(f"HTTP 500 from {part} of {url}")

    monkeypatch.setattr(delivery, "sender_of", lambda _: Channel())
    (found,) = deliver({"1": SecretStr(url)}, "title", "body", 10.0).values()
    assert not found.delivered
    assert found.reason.startswith("ConnectionError: Apprise did not deliver it")
    assert part not in found.reason
