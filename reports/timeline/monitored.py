"""The severity by the monitor's samples before a rollback, if no response has assessed it.

It is computed from the incident's kept samples by the bands that a run of checks recorded, else by the
runbook's. The same record gives the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from reports.incident.incident_record import OTHER_SHAPE, IncidentRecord
from rollproof.incident.downtime import assess_kept, rollbacks_began
from rollproof.incident.limits import bands_of
from rollproof.monitoring.samples import Sample
from rollproof.monitoring.severity import Assessment
from rollproof.profile.bands import Bands
from rollproof.system.clock import Moment

# The profile's default beat.
_BEAT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Monitored:
    """The severity by `samples`, oldest first; `recorded` is True for the profile's own bands.

    `began` is the start of the rollback that the samples precede, or None: then they are all kept samples.
    `first_bad` is the time of the first bad sample, None if no band was met.
    """

    samples: tuple[Sample, ...]
    assessment: Assessment
    began: Moment | None
    first_bad: Moment | None
    recorded: bool


def monitored(record: IncidentRecord) -> Monitored | None:
    """Assess the kept samples; return None if there are none, or a response has assessed its own."""
    if record.samples or record.response or not record.kept:
        return None
    try:
        began = _began(record)
        bands, beat, recorded = bands_and_beat(record)
        samples, assessment = assess_kept(record.kept, bands, beat, began)
        return Monitored(samples, assessment, began, assessment.first_bad, recorded)
    except OTHER_SHAPE:
        # A time or figure is out of range; the timeline doubts its event.
        return None


def _began(record: IncidentRecord) -> Moment | None:
    """Return the start of the first rollback: later samples judge the rollbacks."""
    start = record.incident.started
    return min(rollbacks_began(record.incident), key=lambda moment: moment.seconds_since(start), default=None)


def bands_and_beat(record: IncidentRecord) -> tuple[Bands, float, bool]:
    """Return the newest recorded bands, the seconds of a beat, and True; else the runbook's, and False."""
    for run in reversed(record.runs):
        try:
            found = bands_of(run.limits)
        except OTHER_SHAPE:
            continue
        if found is not None:
            return *found, True
    return Bands(), _BEAT_SECONDS, False
