"""Telling the team of a change and acknowledging it, by real deliveries; step 4, red where it is false."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from checks.premigration import test_step4_team as step4
from fixtures.gating.evidence import Expect
from rollproof.errors import ExitCode, Mismatch, Unverifiable
from rollproof.incident.journal import JournalBroken, verify_journal
from rollproof.profile.contacts import names_of
from rollproof.profile.profile import load_target
from rollproof.team.change import (
    Acknowledgement,
    ChangeDocument,
    ChangeRecord,
    change_journal_path,
    read_change,
    read_document,
)
from tests.conftest import write_profile
from tests.unit.clock import ago
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


@dataclass(frozen=True)
class Team:
    """A team that was told of a migration, and an engineer who has acknowledged it."""

    run: Ran
    sandbox: Sandbox
    server: Channels
    document: Path

    @property
    def journal(self) -> Path:
        return change_journal_path(self.sandbox.target, self.sandbox.bad)

    @property
    def record(self) -> ChangeRecord:
        return read_change(self.sandbox.target, self.sandbox.bad)

    def rejoin(self, *urls: str, on_call: tuple[str, ...] = ("Ada",), more: str = "") -> None:
        join(self.sandbox, *urls, on_call=on_call, more=more)

    def notify(self, code: ExitCode = ExitCode.VERIFIED) -> None:
        self.run("notify", self.sandbox.bad, code=code)

    def acknowledge(self, name: str = "Ada") -> None:
        self.run("acknowledge", self.sandbox.bad, "--as", name)

    # The checks themselves, in this process: what an operator's run costs is paid where it shows more.

    def notified(self, record: ChangeRecord | None = None) -> str:
        target = self.sandbox.target
        document, ways = read_document(target), names_of(target.premigration.team.channels)
        return _noted(
            lambda note: step4.test_team_was_notified(
                record or self.record, document, ways, self.sandbox.bad, Expect([]), note
            )
        )

    def acknowledged(self, record: ChangeRecord | None = None) -> str:
        target = self.sandbox.target
        return _noted(
            lambda note: step4.test_on_call_acknowledged(
                record or self.record, self.sandbox.bad, target, Expect([]), note
            )
        )

    def documented(self) -> str:
        target = self.sandbox.target
        document = read_document(target)
        return _noted(
            lambda note: step4.test_change_is_documented(document, self.sandbox.bad, target, Expect([]), note)
        )


def _noted(check: Callable[[Callable[[str], None]], None]) -> str:
    """Return what a check notes when it is green; what it raises passes on."""
    notes: list[str] = []
    check(notes.append)
    (text,) = notes
    return text


def _red(check: Callable[[], str]) -> str:
    with pytest.raises(Mismatch) as told:
        check()
    text = str(told.value)
    assert ": expected " in text
    assert ", observed " in text
    assert "\nHINT: " in text
    return text


@pytest.fixture
def team(away: Ran, sandbox: Sandbox, server: Channels) -> Team:
    document = join(sandbox, server.apprise("one"), server.apprise("two"))
    team = Team(away, sandbox, server, document)
    team.notify()
    team.acknowledge()
    return team


def test_a_record_of_which_a_line_is_missing_is_broken(team: Team) -> None:
    lines = team.journal.read_text(encoding="utf-8").splitlines(keepends=True)
    team.journal.write_text("".join([*lines[:1], *lines[2:]]), encoding="utf-8")
    # The checks are given this record: what it raises is what they end with.
    with pytest.raises(JournalBroken, match="journal"):
        _ = team.record


def test_a_channel_that_does_not_know_is_red(team: Team) -> None:
    assert "was never tried" in _red(lambda: team.notified(ChangeRecord(team.journal)))
    team.document.write_text(team.document.read_text(encoding="utf-8") + "More.\n", encoding="utf-8")
    assert _red(team.notified).count("was notified before the change document was edited") == 2
    team.server.statuses["two"] = 500
    team.notify(ExitCode.FAILED)
    said = _red(team.notified)
    assert "channel 2 (json://127.0.0.1) was notified before the change document was edited" in said
    assert "channel 1" not in said
    team.server.statuses.clear()
    team.notify()
    assert "2 of 2 channels" in team.notified()
    team.server.statuses["three"] = 500
    team.rejoin(*map(team.server.apprise, ("one", "two", "three")))
    assert "channel 3 (json://127.0.0.1) was never tried as it is in the profile" in _red(team.notified)
    team.notify(ExitCode.FAILED)
    said = _red(team.notified)
    assert "channel 3 (json://127.0.0.1) did not take it: " in said
    assert PASSWORD not in said
    team.rejoin()
    assert "channels of the team: expected at least one, observed none" in _red(team.notified)


def test_an_acknowledgement_is_of_somebody_on_call_and_of_now(team: Team) -> None:
    record = team.record
    (one,) = record.acknowledgements
    for hours, said in ((-5, "Ada's is 300 min old, not at most 240"), (2, "Ada's is dated 120 min ahead")):
        other: Acknowledgement = replace(one, at=ago(-hours * 3600))
        changed = replace(record, acknowledgements=[other])
        assert said in _red(lambda changed=changed: team.acknowledged(changed))  # type: ignore[misc]
    nobody = replace(record, acknowledgements=[])
    assert "expected one of Ada, Grace, observed none" in _red(lambda: team.acknowledged(nobody))
    team.notify()
    assert "observed Ada's came before the team's latest notification" in _red(team.acknowledged)
    team.acknowledge("Grace")
    assert team.acknowledged().startswith("Grace acknowledged ")
    team.rejoin(team.server.apprise("one"), on_call=("Ada",))
    assert "Grace's is by somebody who is not on call" in _red(team.acknowledged)
    team.rejoin(team.server.apprise("one"), on_call=())
    assert "expected one, by name, observed none" in _red(lambda: team.acknowledged(nobody))
    assert team.acknowledged().startswith("Grace acknowledged ")


def test_a_document_of_another_change_or_without_its_headings_is_red(team: Team) -> None:
    text = team.document.read_text(encoding="utf-8")
    team.document.write_text(text.replace(team.sandbox.bad, team.sandbox.commit), encoding="utf-8")
    assert "observed no mention of that commit" in _red(team.documented)
    cut = text.replace("Signing in takes a little longer for a minute.", "TODO")
    team.document.write_text(cut.replace("## Rollback plan", "## Plan"), encoding="utf-8")
    assert "observed Impact says nothing; Rollback plan is missing" in _red(team.documented)
