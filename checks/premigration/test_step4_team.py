"""Step 4, team: the change is documented, the team was notified, and an engineer on call is there."""

from __future__ import annotations

import pytest

from fixtures.gating.evidence import Expect, Note
from rollproof.errors import listed
from rollproof.home import typed
from rollproof.profile.profile import Target
from rollproof.team.change import ChangeDocument, ChangeRecord

pytestmark = [pytest.mark.premigration, pytest.mark.step4]


def test_change_is_documented(
    change_document: ChangeDocument, migration: str, target: Target, expect: Expect, note: Note
) -> None:
    """The change document names this migration, and has text under each required heading."""
    sections, expect = target.premigration.team.sections, expect.of(change_document.path)
    wrong = change_document.wrong_with(sections)
    if not change_document.names(migration):
        wrong = ["no mention of that commit", *wrong]
    expect(not wrong,
           what="change document",
           expected=f"commit {migration[:12]}, and the headings {listed(sections)} with text below each",
           instead="; ".join(wrong),
           hint="write what is missing; a placeholder does not count")
    note(f"{change_document.path.name}: {listed(sections)}; SHA-256 {change_document.digest[:12]}")


def test_team_was_notified(
    change_record: ChangeRecord, change_document: ChangeDocument, channels: tuple[str, ...],
    migration: str, expect: Expect, note: Note,
) -> None:
    """Every channel has taken the message about this migration and the current change document."""
    expect = expect.of(change_record.source, hint=typed(f"notify {migration[:12]}"))
    expect(channels,
           what="channels of the team",
           expected="at least one", observed=len(channels) or "none",
           source="premigration.team.channels in the profile",
           hint="only a team that is notified can help: name the team's channels")
    why = {one: change_record.why_not_notified(one, change_document.digest) for one in channels}
    missing = "; ".join(f"channel {name} {text}" for name, text in why.items() if text)
    expect(not missing,
           what="notification of the team",
           expected=f"delivered to each of {len(channels)} channels, with the change document as it is now",
           instead=missing)
    ago = change_record.latest.at.seconds_ago() / 60 if change_record.latest else 0
    note(f"{len(channels)} of {len(channels)} channels took the message, the last {ago:.0f} min ago")


def test_on_call_acknowledged(
    change_record: ChangeRecord, migration: str, target: Target, expect: Expect, note: Note
) -> None:
    """An engineer on call has acknowledged, recently, and after the team's last notification."""
    team = target.premigration.team
    said = [(one, change_record.why_void(one, team.on_call, team.acknowledged_seconds))
            for one in change_record.acknowledgements]
    holding = [one for one, void in said if not void]
    expect(holding,
           what="acknowledgement by an engineer on call",
           expected=f"one of {listed(team.on_call)}" if team.on_call else "one, by name",
           observed="; ".join(f"{one.name}'s {void or 'counts'}" for one, void in said) or "none",
           source=change_record.source,
           hint=typed(f"acknowledge {migration[:12]} --as NAME"))
    last, ago = holding[-1], holding[-1].at.seconds_ago() / 60
    note(f"{last.name} acknowledged {ago:.0f} min ago, written down by {last.user} on {last.host}")
