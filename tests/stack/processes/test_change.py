"""Telling the team of a change and acknowledging it: real deliveries, what is recorded, and the document."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.errors import ExitCode, Mismatch, Unverifiable
from rollproof.incident.journal import verify_journal
from rollproof.profile.profile import load_target
from rollproof.team.change import change_journal_path, read_change
from rollproof.team.change_document import ChangeDocument, read_document
from tests.conftest import write_profile
from tests.unit.command_line import Ran
from tests.unit.team_stand_in import PASSWORD, TOKEN, Channels, join
from tests.world.sandbox import SECRET, Sandbox


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


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _read(folder: Path, content: bytes) -> ChangeDocument:
    (folder / "change.md").write_bytes(content)
    return read_document(load_target(_profile(folder)))


def _profile(folder: Path) -> Path:
    return write_profile(folder, '[premigration.team]\ndocument = "change.md"\n')


@pytest.mark.parametrize(
    ("named", "is_named"),
    [
        (COMMIT, True),
        (COMMIT[:12], True),
        (f"`{COMMIT[:20]}`", True),
        (COMMIT[:11], False),
        (COMMIT[:12] + "f", False),
        (COMMIT + "0", False),
    ],
)
def test_the_commit_is_named_by_enough_of_its_digits(tmp_path: Path, named: str, is_named: bool) -> None:  # noqa: FBT001 - of a table
    assert _read(tmp_path, f"# Migration {named}\n".encode()).names(COMMIT) is is_named


def test_none_is_none(tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="observed no such file"):
        read_document(load_target(_profile(tmp_path)))
    with pytest.raises(Mismatch, match="observed no file that the profile names"):
        read_document(load_target(write_profile(tmp_path)))
    (tmp_path / "change.md").mkdir()
    with pytest.raises(Unverifiable, match="observed Is a directory"):
        read_document(load_target(_profile(tmp_path)))
