"""The records of a response in an incident's folder; `rollback_actions.respond.response` writes them."""

from __future__ import annotations

from enum import StrEnum

ALLOWED = "allowed"
"""A person's permissions, by the command's options, before the first assessment."""
ALLOWABLE = ("over_budget", "again", "take_over")
"""The permissions in such a record, each true or false; `confirm` is a name, or nothing."""
ASSESSED, INVESTIGATING, DECIDED, AGREED = "assessed", "investigating", "decided", "agreed"
ROLLING_BACK, ROLLED_BACK = "rolling back", "rolled back"
VERIFYING, VERIFIED, ENDED = "verifying", "verified", "ended"


class Ending(StrEnum):
    """The endings of a response."""

    MONITORING = "continue monitoring"
    DECLINED = "declined"
    RESUMED = "resume operations"
    LATE = "resume operations, later than the objective"
    MANUAL = "manual intervention"
    REFUSED = "refused"
    CUT_OFF = "unknown"
