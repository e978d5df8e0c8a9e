"""Step 4, team: the change is written down, the team was told of it, and somebody on call will be there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from fixtures.errors import Mismatch, listed
from fixtures.target import Target

if TYPE_CHECKING:
    from fixtures.change import Acknowledgement, ChangeRecord
    from fixtures.change_document import ChangeDocument
    from fixtures.channels import Channel

pytestmark = [pytest.mark.premigration, pytest.mark.step4]

# Clocks of two machines are apart by less than this.
CLOCKS_SECONDS = 60.0


def test_change_is_documented(
    change_document: ChangeDocument, migration: str, target: Target, note: Callable[[str], None]
) -> None:
    """The change document names this migration, and says something under each heading that it must have."""
    if not change_document.names(migration):
        raise Mismatch(
            what="change document",
            expected=f"the migration's commit in it, {migration[:12]} or more of its digits",
            observed="no mention of that commit",
            source=str(change_document.path),
            hint="name the commit that is to be promoted; a document of another change is none of this one",
        )
    sections = target.premigration.team.sections
    wrong = change_document.wrong_with(sections)
    if wrong:
        raise Mismatch(
            what="change document",
            expected=f"the headings {listed(sections)}, with something below each of them",
            observed="; ".join(wrong),
            source=str(change_document.path),
            hint="write what is missing; what is still to be written is no text",
        )
    note(f"{change_document.path.name}: {listed(sections)}; SHA-256 {change_document.digest[:12]}")


def test_team_was_notified(
    change_record: ChangeRecord,
    change_document: ChangeDocument,
    channels: tuple[Channel, ...],
    migration: str,
    note: Callable[[str], None],
) -> None:
    """Every channel has taken the message of this migration, and of the change document as it is now."""
    if not channels:
        raise Mismatch(
            what="channels of the team",
            expected="at least one",
            observed="none",
            source="premigration.team.channels in the profile",
            hint="who is told of nothing cannot help: name the team's channels",
        )
    if not change_record.notifications:
        raise Mismatch(
            what="notification of the team",
            expected=f"one of the migration to {migration[:12]}",
            observed="none",
            source=str(change_record.source),
            hint=_tell(migration),
        )
    untold = [
        f"channel {channel.name} {why}"
        for channel in channels
        if (why := _untold(change_record, channel, change_document.digest))
    ]
    if untold:
        raise Mismatch(
            what="notification of the team",
            expected=f"delivered to each of {len(channels)} channels, with the change document as it is now",
            observed="; ".join(untold),
            source=str(change_record.source),
            hint=_tell(migration),
        )
    told = change_record.told
    ago = told.at.seconds_ago() / 60 if told else 0
    note(f"{len(channels)} of {len(channels)} channels took the message, the last {ago:.0f} min ago")


def test_on_call_acknowledged(
    change_record: ChangeRecord, migration: str, target: Target, note: Callable[[str], None]
) -> None:
    """An engineer on call has acknowledged, recently, and after the team was told for the last time."""
    said = [(one, _void(one, change_record, target)) for one in change_record.acknowledgements]
    holding = [one for one, void in said if not void]
    if not holding:
        on_call = target.premigration.team.on_call
        raise Mismatch(
            what="acknowledgement by an engineer on call",
            expected=f"one of {listed(on_call)}" if on_call else "one, by name",
            observed="; ".join(f"{one.name}'s {void}" for one, void in said) or "none",
            source=str(change_record.source),
            hint=f"python -m rollback_actions acknowledge {migration[:12]} --as NAME",
        )
    last = holding[-1]
    ago = last.at.seconds_ago() / 60
    note(f"{last.name} acknowledged {ago:.0f} min ago, written down by {last.user} on {last.host}")


def _untold(record: ChangeRecord, channel: Channel, document: str) -> str:
    """Return why `channel` does not count as told, "" when it does."""
    ours = [one for one in record.notifications if one.fingerprint == channel.fingerprint]
    delivered = [one for one in ours if one.delivered]
    if any(one.document == document for one in delivered):
        return ""
    if delivered:
        return "was told before the change document was edited"
    return f"did not take it: {ours[-1].reason}" if ours else "was never tried as it is in the profile"


def _void(said: Acknowledgement, record: ChangeRecord, target: Target) -> str:
    """Return why an acknowledgement does not count, "" when it does."""
    team = target.premigration.team
    if team.on_call and said.name not in team.on_call:
        return "is of nobody on call"
    told = record.told
    if told is None or said.sequence < told.sequence:
        return "came before the team was told for the last time"
    age = said.at.seconds_ago()
    if not -CLOCKS_SECONDS <= age <= team.acknowledged_seconds:
        return f"is {age / 60:.0f} min old, not at most {team.acknowledged_seconds / 60:.0f}"
    return ""


def _tell(migration: str) -> str:
    return f"python -m rollback_actions notify {migration[:12]}"
