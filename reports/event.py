"""One event of an incident: what happened, when, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from fixtures.severity import Severity
from fixtures.verdict import Verdict


class Kind(StrEnum):
    """What an event is."""

    INCIDENT = "incident"  # opened, detected, closed
    DEPLOYMENT = "deployment"
    SAMPLE = "sample"
    ASSESSMENT = "assessment"
    DECISION = "decision"
    RESPONSE = "response"  # a step of the runbook's emergency flow, and its end
    ROLLBACK = "rollback"
    ACTION = "action"  # a step of what was done
    PHASE = "phase"  # a stage of one run of checks
    CHECK = "check"  # one that did not pass
    CONTACT = "contact"
    ACKNOWLEDGEMENT = "acknowledgement"
    REOPENING = "reopening"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened `at` a time in UTC, by the file `source` of the incident's folder.

    `text` is one line, and of foreign origin: whoever shows it escapes it. What takes time began `at` that
    time and took `seconds`, None where it was an instant or its end is not recorded. `deadline` is how many
    seconds after `at` it was to be over. `verdict` is *broken* where its end is not recorded.
    """

    at: datetime
    kind: Kind
    text: str
    source: str
    verdict: Verdict | None = None
    severity: Severity | None = None
    seconds: float | None = None
    deadline: float | None = None

    @property
    def ends(self) -> datetime:
        """When it was over, as far as that is known."""
        return self.at + timedelta(seconds=self.seconds or 0.0)

    @property
    def late(self) -> bool:
        """Whether it took longer than it was to take."""
        return self.deadline is not None and self.seconds is not None and self.seconds > self.deadline
