"""Recounts an incident's verdict from its folder alone, without a run of checks or a profile."""

from __future__ import annotations

from dataclasses import replace

from pydantic import ValidationError

from reports.incident.incident_record import OTHER_SHAPE, IncidentRecord, said
from reports.verdict.verdict import read_verdict
from rollproof.errors import Problem, reason_of
from rollproof.incident.incident import Incident
from rollproof.incident.limits import windows_of
from rollproof.incident.tally import tally
from rollproof.profile.profile import Windows
from rollproof.sealing.seal import UNSIGNED
from rollproof.system.clock import Moment
from rollproof.verdict import RunVerdict, Verdict

_DEFAULT = "the windows of the phases are the runbook's: this record does not say what the profile had"


def recounted(record: IncidentRecord) -> RunVerdict:
    """Return the record's verdict, or *broken* with the reason if the record cannot be read."""
    incident = record.incident
    windows, note = _windows(record)
    try:
        verdict = tally(incident, windows, record.seal.evidence)
    except Problem as problem:
        return _broken(incident, said(problem))
    except OSError as error:
        return _broken(incident, f"the record cannot be read: {reason_of(error)}")
    except OTHER_SHAPE as error:
        return _broken(incident, f"the record is damaged: {type(error).__name__}: {error}")
    notes = (*verdict.notes, note) if note and verdict.phases else verdict.notes
    return replace(verdict, notes=notes, signature=_signature(incident))


def _signature(incident: Incident) -> str:
    """Return who signs the record by the verdict that is there."""
    try:
        return read_verdict(incident.folder).signature
    except Problem:
        return UNSIGNED


def _windows(record: IncidentRecord) -> tuple[Windows, str]:
    """Return the newest recorded windows, else the existing verdict's, else the defaults with a note."""
    for run in reversed(record.runs):
        try:
            found = windows_of(run.limits)
        except OTHER_SHAPE:
            # An earlier run may have windows; this run's results count all the same.
            continue
        if found is not None:
            return found, ""
    try:
        phases = read_verdict(record.incident.folder).phases
        known = {name: phase.window for name, phase in phases.items() if phase.window is not None}
        windows = {name: {"start": start, "end": end} for name, (start, end) in known.items()}
        return Windows.model_validate(windows), "" if known else _DEFAULT
    except (Problem, ValidationError):
        return Windows(), _DEFAULT


def _broken(incident: Incident, reason: str) -> RunVerdict:
    last = _last(incident) or incident.started
    return RunVerdict(
        incident=incident.id,
        target=incident.target,
        verdict=Verdict.BROKEN,
        phases={},
        rollback=None,
        rto_seconds=None,
        started=incident.started.wall,
        finished=last.wall,
        partial=(reason,),
    )


def _last(incident: Incident) -> Moment | None:
    try:
        rollback = incident.rollback()
    except (Problem, *OTHER_SHAPE):
        # The verdict's reason says what cannot be read.
        return None
    return rollback.finished if rollback is not None else None
