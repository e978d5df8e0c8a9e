"""The target's downtime: from the first bad sample to the verified end, against its objective.

All that a record knows of an incident's beginning is gathered and judged here, for the verdict and for pages.
A response has recorded the first bad sample: it has looked. Without a response the earliest of three counts.
These are the first bad sample kept from before the rollback, the detection that the contacts' clock counts
from, and the rollback's beginning. It is the incident's T+0 too.

Like a phase beyond its window, a downtime beyond the objective is a failure of its own. It is judged only
when everything else was verified and holds, and no later run can shorten it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rollproof.errors import Problem, UsageProblem
from rollproof.home import typed
from rollproof.incident.incident import CENTURY, Incident
from rollproof.incident.journal import DETECTED, read_journal
from rollproof.incident.rollbacks import ROLLBACK_BEGAN
from rollproof.incident.samples import whole_samples
from rollproof.incident.severity import assess
from rollproof.profile.bands import Bands
from rollproof.profile.profile import Target
from rollproof.record_names import CONTACTS, DOWNTIME, JOURNAL, RESPONSE
from rollproof.system.clock import Moment
from rollproof.system.record_files import read_record, rounded, write_record

ALLOWED = "allowed"
"""A person's permissions, by the command's options, before the first assessment."""
ALLOWABLE = ("over_budget", "again", "take_over")
"""The permissions in such a record, each true or false; `confirm` is a name, or nothing."""
ASSESSED, INVESTIGATING, DECIDED, AGREED = "assessed", "investigating", "decided", "agreed"
ROLLING_BACK, ROLLED_BACK = "rolling back", "rolled back"
VERIFYING, VERIFIED, ENDED = "verifying", "verified", "ended"


class ResponseEnding(StrEnum):
    """The endings of a response."""

    MONITORING = "continue monitoring"
    DECLINED = "declined"
    RESUMED = "resume operations"
    LATE = "resume operations, later than the objective"
    MANUAL = "manual intervention"
    REFUSED = "refused"
    CUT_OFF = "unknown"


class Since(StrEnum):
    """Possible origins of an incident's timeline, T+0, and of its downtime."""

    RESPONSE = "the first bad sample"  # by a response's first assessment
    MONITOR = "the first bad sample of the monitor"
    DETECTION = "the detection"
    ROLLBACK = "the beginning of the rollback"
    START = "the start of the incident"


def is_late(seconds: float, objective: float) -> bool:
    """Return whether a downtime was longer than its objective, in the shown precision."""
    return round(seconds, 1) > objective


@dataclass(frozen=True, slots=True)
class Downtime:
    """From when, in words and as a moment, for how many `seconds`, and how many the profile allows."""

    since: Moment
    since_is: str
    seconds: float = field(metadata=rounded(3))
    objective: float

    @property
    def late(self) -> bool:
        """Whether it was longer than the objective, in the shown precision."""
        return is_late(self.seconds, self.objective)

    def __str__(self) -> str:
        """Return it in words."""
        expected = f"expected at most {self.objective:g} s, observed {self.seconds:.1f} s"
        return f"downtime, from {self.since_is} to the verified end: {expected}"


def record_downtime(target: Target, incident: Incident, verified_seconds: float) -> Downtime | None:
    """Record the downtime up to the verification, `verified_seconds` after the rollback began.

    Return None if nothing was rolled back. The first verified end of a rollback counts: verifying it again
    changes nothing.

    Raises:
        OSError: it cannot be written. `UsageProblem`: the existing record cannot be read.
    """
    rollback = incident.rollback()
    if rollback is None:
        return None
    known = read_downtime(incident)
    if known is not None:
        return known
    beat = target.premigration.monitoring.beat_seconds
    since_is, since = _origin(incident, target.severity, beat) or (Since.ROLLBACK, rollback.started)
    seconds = rollback.started.seconds_since(since) + verified_seconds
    found = Downtime(since, since_is, seconds, float(target.rto_seconds))
    write_record(incident.folder / DOWNTIME, found)
    return found


def downtime_seconds(incident: Incident) -> float | None:
    """Return the recorded downtime of `incident`, None if there is none that can be read."""
    with suppress(UsageProblem):
        found = read_downtime(incident)
        return None if found is None else round(found.seconds, 3)
    return None


def judged_downtime(incident: Incident) -> tuple[bool | None, str | None]:
    """Return whether the downtime of `incident` was late, and its description; (False, None) without one.

    The first is None if its record cannot be read: the downtime may have been late.
    """
    try:
        found = read_downtime(incident)
    except UsageProblem as problem:
        return None, problem.summary
    return (False, None) if found is None else (found.late, str(found))


def read_downtime(incident: Incident) -> Downtime | None:
    """Return the downtime of `incident`, or None if none is recorded.

    Raises:
        UsageProblem: it cannot be read.
    """
    return read_record(
        Downtime,
        incident.folder / DOWNTIME,
        what="downtime of the incident",
        hint=f"delete that file, and verify again: {typed('verify verification')}",
    )


def incident_began(incident: Incident, bands: Bands, beat_seconds: float) -> tuple[str, Moment]:
    """Return T+0 of `incident` and its name: as its downtime has recorded it, else by `bands`."""
    recorded = _recorded(incident)
    if recorded is not None:
        return recorded.since_is, recorded.since
    return _origin(incident, bands, beat_seconds) or (Since.START, incident.started)


def rollbacks_began(incident: Incident) -> list[Moment]:
    """Return the recorded beginnings: of each run in the journal, and of the first one in its record."""
    found = [Moment.from_record(record["at"]) for record in _records(incident, JOURNAL, ROLLBACK_BEGAN)]
    with suppress(UsageProblem):  # the verdict says that it cannot be read
        if (rollback := incident.rollback()) is not None:
            found.append(rollback.started)
    return found


def _origin(incident: Incident, bands: Bands, beat_seconds: float) -> tuple[Since, Moment] | None:
    """Return what the record knows of the beginning of the outage, or None.

    A response's assessment counts, else the earliest. Whatever is damaged is left out: the verdict and the
    record's doubts name it. The beginning of the rollback counts at the latest.
    """

    def counts(moment: Moment) -> bool:
        return abs(moment.seconds_since(incident.started)) < CENTURY

    def age(moment: Moment) -> float:
        return moment.seconds_since(incident.started)

    with suppress(ValueError, KeyError):
        assessed = [Moment.from_record(one["first_bad"]) for one in _records(incident, RESPONSE, ASSESSED)]
        if ours := [one for one in assessed if counts(one)]:
            return Since.RESPONSE, ours[0]
    begun = [one for one in rollbacks_began(incident) if counts(one)]
    detected = [Moment.from_record(one["at"]) for one in _records(incident, CONTACTS, DETECTED)[:1]]
    known = [
        *((Since.DETECTION, one) for one in detected if counts(one)),
        *((Since.ROLLBACK, one) for one in begun),
    ]
    kept = [one for one in whole_samples(incident.folder) if counts(one.at)]
    with suppress(ValueError, OverflowError):  # a figure that no band can hold
        # Samples after the beginning of the rollback judge the rollback.
        began = min(begun, key=age, default=None)
        before = [one for one in kept if began is None or began.seconds_since(one.at) >= 0]
        seen = assess(bands, before, beat_seconds, began).first_bad
        known = [*([] if seen is None else [(Since.MONITOR, seen)]), *known]
    return min(known, key=lambda one: age(one[1]), default=None)


def _recorded(incident: Incident) -> Downtime | None:
    with suppress(UsageProblem):  # the verdict says that it cannot be read
        found = read_downtime(incident)
        if found is not None and abs(found.since.seconds_since(incident.started)) < CENTURY:
            return found
    return None


def _records(incident: Incident, journal: str, event: str) -> list[Mapping[str, Any]]:
    """Return a journal's records of an `event`, as far as its chain holds."""
    with suppress(Problem):
        return [one for one in read_journal(incident.folder / journal)[0] if one["event"] == event]
    return []
