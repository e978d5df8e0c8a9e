"""Telling the team and acknowledging it: real deliveries to a small server, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollproof.errors import ExitCode
from rollproof.incident.journal import verify_journal
from rollproof.team.change import change_journal_path, read_change
from tests.unit.command_line import Ran
from tests.unit.sandbox import SECRET, Sandbox
from tests.unit.team_stand_in import PASSWORD, TOKEN, Channels, channels, join


@pytest.fixture
def server() -> Iterator[Channels]:
    with channels() as there:
        yield there


def _kept(sandbox: Sandbox) -> str:
    """Return all that is in the record, which must hold no secret."""
    text = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted(sandbox.target.folders.incidents.rglob("*"))
        if path.is_file()
    )
    for secret in (SECRET, PASSWORD, TOKEN):
        assert secret not in text
    return text


def _said(text: str) -> str:
    assert PASSWORD not in text
    assert TOKEN not in text
    return text


def test_every_channel_is_told_what_there_is_to_know(away: Ran, sandbox: Sandbox, server: Channels) -> None:
    document = join(sandbox, server.apprise("one"), server.apprise("two"))
    said = _said(away("notify", sandbox.bad[:10], "--when", "Tuesday at noon"))
    assert "channel 1 (json://127.0.0.1): delivered (" in said
    assert "channel 2 (json://127.0.0.1): delivered (" in said
    assert sorted(name for name, _, _ in server.sent) == ["one", "two"]
    for _, body, login in server.sent:
        assert login == f"team:{PASSWORD}"
        assert body["title"] == f"Migration of sandbox to {sandbox.bad[:12]} is planned"
        message = body["message"]
        for words in (
            f"Migration: {sandbox.bad} release 2, [redacted]",
            f"Known good, to roll back to: {sandbox.commit} (baseline ",
            "When: Tuesday at noon",
            f"Change document: {document}",
            "On call: Ada, Grace",
            f"rollproof acknowledge {sandbox.bad[:12]} --target {sandbox.profile} --as NAME",
        ):
            assert words in message
    events = [record["event"] for record in verify_journal(change_journal_path(sandbox.target, sandbox.bad))]
    assert events == ["notified", "notified"]
    record = read_change(sandbox.target, sandbox.bad)
    assert all(one.delivered and not one.reason for one in record.notifications)
    assert '"host"' in _kept(sandbox)


def test_a_channel_that_fails_is_named_with_its_reason(away: Ran, sandbox: Sandbox, server: Channels) -> None:
    server.statuses["two"] = 500
    join(
        sandbox,
        server.apprise("one"),
        server.apprise("two"),
        f"json://team:{PASSWORD}@127.0.0.1:9/{TOKEN}",
        f"nonsense://{TOKEN}",
    )
    said = _said(away("notify", sandbox.bad, code=ExitCode.FAILED))
    assert "channel 1 (json://127.0.0.1): delivered" in said
    for number in (2, 3):
        assert f"channel {number} (json://127.0.0.1): NOT DELIVERED: Apprise did not deliver it" in said
    assert "channel 4 (nonsense): NOT DELIVERED: a URL that Apprise does not understand" in said
    record = read_change(sandbox.target, sandbox.bad)
    assert [one.delivered for one in record.notifications] == [True, False, False, False]


def test_nobody_and_nothing_to_tell_are_refused(away: Ran, sandbox: Sandbox, server: Channels) -> None:
    join(sandbox)
    said = away("notify", sandbox.bad, code=ExitCode.USAGE)
    assert "channels of the team: expected at least one, observed none" in said
    assert "HINT: channels = [" in said
    document = join(sandbox, server.apprise("one"))
    document.unlink()
    said = away("notify", sandbox.bad, code=ExitCode.FAILED)
    assert "change document: expected " in said
    assert "observed no such file" in said
    assert server.sent == []


def test_an_acknowledgement_is_written_down(away: Ran, sandbox: Sandbox, server: Channels) -> None:
    join(sandbox, server.apprise("one"))
    away("notify", sandbox.bad)
    said = away("acknowledge", sandbox.bad[:12], "--as", "Ada", "--by", "a call")
    assert f"acknowledged by Ada: the migration to {sandbox.bad[:12]}" in said
    (one,) = read_change(sandbox.target, sandbox.bad).acknowledgements
    assert one.name == "Ada"
    assert one.user
    assert one.host
    records = verify_journal(change_journal_path(sandbox.target, sandbox.bad))
    assert records[-1]["source"] == "a call"
    assert one.at.seconds_ago() < 60


def test_nobody_acknowledges_what_nobody_was_told(away: Ran, sandbox: Sandbox, server: Channels) -> None:
    join(sandbox, server.apprise("one"))
    said = away("acknowledge", sandbox.bad, "--as", "Ada", code=ExitCode.USAGE)
    assert "expected one that was delivered, observed none" in said
    server.statuses["one"] = 500
    away("notify", sandbox.bad, code=ExitCode.FAILED)
    assert "observed none" in away("acknowledge", sandbox.bad, "--as", "Ada", code=ExitCode.USAGE)
    # Another migration is another record.
    server.statuses.clear()
    away("notify", sandbox.commit)
    assert "observed none" in away("acknowledge", sandbox.bad, "--as", "Ada", code=ExitCode.USAGE)


def test_who_is_not_on_call_does_not_acknowledge(away: Ran, sandbox: Sandbox, server: Channels) -> None:
    join(sandbox, server.apprise("one"))
    away("notify", sandbox.bad)
    said = away("acknowledge", sandbox.bad, "--as", "Adda", code=ExitCode.USAGE)
    assert "expected one of Ada, Grace, observed 'Adda'" in said
    assert "did you mean Ada?" in said
    assert read_change(sandbox.target, sandbox.bad).acknowledgements == ()


def test_anybody_acknowledges_where_nobody_is_on_call(away: Ran, sandbox: Sandbox, server: Channels) -> None:
    join(sandbox, server.apprise("one"), on_call=())
    away("notify", sandbox.bad)
    away("acknowledge", sandbox.bad, "--as", "Zoe")
    assert "expected a name" in away("acknowledge", sandbox.bad, "--as", "", code=ExitCode.USAGE)
