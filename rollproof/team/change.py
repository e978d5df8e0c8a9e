"""The record of a planned migration: its notifications, and their acknowledgements.

It is kept in the hash-chained journal of the change: `rollback_actions.contacts.change_notice` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rollproof.incident.incident import change_folder
from rollproof.incident.journal import verify_journal
from rollproof.profile.profile import Target
from rollproof.record_names import JOURNAL
from rollproof.system.clock import Moment
from rollproof.system.record_files import record_of

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
    """The statement that `name` knows of the migration and is there; `user` on `host` recorded it."""

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
    def told(self) -> Notification | None:
        """The newest delivered notification."""
        return next((one for one in reversed(self.notifications) if one.delivered), None)

    def untold(self, channel: str, document: str) -> str:
        """Return the reason why `channel` does not know the change document `document`, or ""."""
        ours = [one for one in self.notifications if one.channel == channel]
        delivered = [one for one in ours if one.delivered]
        if any(one.document == document for one in delivered):
            return ""
        if delivered:
            return "was told before the change document was edited"
        return f"did not take it: {ours[-1].reason}" if ours else "was never tried as it is in the profile"

    def void(self, said: Acknowledgement, on_call: Sequence[str], seconds: float) -> str:
        """Return the reason why an acknowledgement does not count, or ""; it holds for `seconds`."""
        if on_call and said.name not in on_call:
            return "is of nobody on call"
        told = self.told
        if told is None or said.sequence < told.sequence:
            return "came before the team was told for the last time"
        age = said.at.seconds_ago()
        if not -CLOCKS_SECONDS <= age <= seconds:
            return f"is {age / 60:.0f} min old, not at most {seconds / 60:.0f}"
        return ""


def change_journal(target: Target, migration: str) -> Path:
    """Return the journal of the migration to commit `migration`."""
    return change_folder(target.folders.incidents, target.name, migration) / JOURNAL


def read_change(target: Target, migration: str) -> ChangeRecord:
    """Return the record of the migration to commit `migration`.

    Records of another migration or another target do not count, wherever they are.
    """
    path = change_journal(target, migration)
    ours = [
        one
        for one in verify_journal(path)
        if (one.get("migration"), one.get("target")) == (migration, target.name)
    ]
    return ChangeRecord(
        source=path,
        notifications=[record_of(Notification, one, more=True) for one in ours if one["event"] == NOTIFIED],
        acknowledgements=[
            record_of(Acknowledgement, one, more=True) for one in ours if one["event"] == ACKNOWLEDGED
        ],
    )
