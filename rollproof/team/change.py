"""The record of a planned migration: its notifications, and their acknowledgements.

It is kept in the hash-chained journal of the change: `rollback_actions.contacts.contacts` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rollproof.incident.incident import change_folder
from rollproof.incident.journal import records_of, verify_journal
from rollproof.profile.profile import Target
from rollproof.record_names import JOURNAL
from rollproof.system.clock import Moment

# After each attempt to notify a channel.
NOTIFIED = "notified"
ACKNOWLEDGED = "acknowledged"
# Maximum difference between the clocks of two machines.
CLOCKS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Notification:
    """The result of notifying one channel; `document` is the change document's SHA-256 at that time.

    `reason` says why it was not delivered.
    """

    sequence: int
    at: Moment
    channel: str
    delivered: bool
    document: str
    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The statement that `name` knows of the migration and will be there; `user` on `host` recorded it."""

    sequence: int
    at: Moment
    name: str
    user: str
    host: str


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """The records of one migration in the journal `source`, in order."""

    source: Path
    notifications: Sequence[Notification] = ()
    acknowledgements: Sequence[Acknowledgement] = ()

    @property
    def latest(self) -> Notification | None:
        """The newest delivered notification."""
        return next((one for one in reversed(self.notifications) if one.delivered), None)

    def why_not_notified(self, channel: str, document: str) -> str:
        """Return why `channel` has not taken a message about the change document `document`, "" if it has."""
        ours = [one for one in self.notifications if one.channel == channel]
        delivered = [one for one in ours if one.delivered]
        if any(one.document == document for one in delivered):
            return ""
        if delivered:
            return "was notified before the change document was edited"
        return f"did not take it: {ours[-1].reason}" if ours else "was never tried as it is in the profile"

    def why_void(self, said: Acknowledgement, on_call: Sequence[str], seconds: float) -> str:
        """Return why an acknowledgement does not count, "" if it does: it is valid for `seconds`."""
        if on_call and said.name not in on_call:
            return "is by somebody who is not on call"
        if self.latest is None or said.sequence < self.latest.sequence:
            return "came before the team's latest notification"
        age = said.at.seconds_ago()
        if age < -CLOCKS_SECONDS:
            return f"is dated {-age / 60:.0f} min ahead of this clock: set both clocks"
        return f"is {age / 60:.0f} min old, not at most {seconds / 60:.0f}" if age > seconds else ""


def change_journal_path(target: Target, migration: str) -> Path:
    """Return the path of the journal of the migration to commit `migration`."""
    return change_folder(target.folders.incidents, target.name, migration) / JOURNAL


def read_change(target: Target, migration: str) -> ChangeRecord:
    """Return the record of the migration to commit `migration`.

    Records of another migration or target do not count, even if this journal holds them.
    """
    path = change_journal_path(target, migration)
    ours = [
        one
        for one in verify_journal(path)
        if (one.get("migration"), one.get("target")) == (migration, target.name)
    ]
    return ChangeRecord(
        source=path,
        notifications=records_of(Notification, NOTIFIED, ours),
        acknowledgements=records_of(Acknowledgement, ACKNOWLEDGED, ours),
    )
