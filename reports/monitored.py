"""What the monitor saw before a rollback, where nobody ran a response that says how bad it was.

It is told from the samples that the incident keeps, by the bands that a run of checks has recorded; by the
runbook's where none has. The same record, the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from fixtures.bands import Bands
from fixtures.clock import Moment
from fixtures.limits import bands_of
from fixtures.samples import Sample
from fixtures.severity import Assessment, assess, first_bad
from reports.incident_record import OTHER_SHAPE, IncidentRecord
from reports.timeline_rollback import rollback_began

# What the profile has where it does not say.
_BEAT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Monitored:
    """How bad it was by `samples`, oldest first; `recorded` tells whether the bands are the profile's.

    `began` is the beginning of the rollback that they come before, None where nothing was rolled back: then
    they are all. `first_bad` is when the first bad sample came, None where no band was met.
    """

    samples: tuple[Sample, ...]
    assessment: Assessment
    began: Moment | None
    first_bad: Moment | None
    recorded: bool


def monitored(record: IncidentRecord) -> Monitored | None:
    """Return what the kept samples say, None where there are none, or a response has assessed its own."""
    if record.samples or record.response or not record.kept:
        return None
    try:
        began = _began(record)
        samples = tuple(one for one in record.kept if began is None or began.seconds_since(one.at) >= 0)
        bands, beat, recorded = _bands(record)
        assessment = assess(bands, samples, beat, began)
        return Monitored(samples, assessment, began, first_bad(assessment), recorded)
    except OTHER_SHAPE:
        # A moment or a figure that no calendar and no number has; its event is doubted.
        return None


def _began(record: IncidentRecord) -> Moment | None:
    """Return when the first rollback began: what came after it says how the rollbacks went."""
    start = record.incident.started
    return min(rollback_began(record), key=lambda moment: moment.seconds_since(start), default=None)


def _bands(record: IncidentRecord) -> tuple[Bands, float, bool]:
    for run in reversed(record.runs):
        try:
            found = bands_of(run.limits)
        except OTHER_SHAPE:
            continue
        if found is not None:
            return *found, True
    return Bands(), _BEAT_SECONDS, False
