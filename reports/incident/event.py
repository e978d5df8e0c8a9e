"""One event of an incident: its text, time and outcome."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rollproof.incident.journal_steps import Step
from rollproof.monitoring.severity import Severity
from rollproof.verdict import Verdict


class Kind(StrEnum):
    """Kinds of events."""

    INCIDENT = "incident"  # opened, detected, closed
    DEPLOYMENT = "deployment"
    SAMPLE = "sample"
    ASSESSMENT = "assessment"
    DECISION = "decision"
    RESPONSE = "response"  # a step of the runbook's emergency flow, and its end
    ROLLBACK = "rollback"
    ACTION = "action"  # a step of an action
    PHASE = "phase"  # a stage of one run of checks
    CHECK = "check"  # a check that did not pass
    CONTACT = "contact"
    ACKNOWLEDGEMENT = "acknowledgement"
    REOPENING = "reopening"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Event:
    """An event `at` a time in UTC, reported by the file `source` of the incident's folder.

    `text` is one line of untrusted origin: whoever shows it escapes it. `seconds` is the duration, None for
    an instant or an end that is not recorded. `deadline` is the time limit in seconds after `at`. `verdict`
    is *broken* if the end is not recorded. `step` is the id of an action's step. `same` is the text's part
    that repeated events share, "" for the whole text. `ending` is a response's ending and its reason, "" for
    every other event.
    """

    at: datetime
    kind: Kind
    text: str
    source: str
    verdict: Verdict | None = None
    severity: Severity | None = None
    seconds: float | None = None
    deadline: float | None = None
    step: Step | None = None
    same: str = ""
    ending: str = ""

    @property
    def ends(self) -> datetime:
        """The event's end; its start if the duration is unknown."""
        return self.at + timedelta(seconds=self.seconds or 0.0)

    @property
    def late(self) -> bool:
        """Whether the event exceeded its deadline."""
        return self.deadline is not None and self.seconds is not None and self.seconds > self.deadline
