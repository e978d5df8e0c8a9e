"""Derives an incident's verdict from its folder alone, without a run of checks or a profile."""

from __future__ import annotations

from dataclasses import replace

from reports.incident.record import OTHER_SHAPE, IncidentRecord, said
from reports.verdict.verdict import read_verdict
from rollproof.errors import Problem, reason_of
from rollproof.incident.tally import tally
from rollproof.verdict import RunVerdict, Verdict


def recounted(record: IncidentRecord) -> RunVerdict:
    """Return the record's verdict, or *broken* with the reason if the record cannot be read.

    Notes that only its run knew, and who signs, are those of the verdict that is there.
    """
    incident = record.incident
    try:
        verdict = tally(incident, record.windows, record.seal.evidence)
    except (Problem, OSError, *OTHER_SHAPE) as error:
        verdict = RunVerdict(
            incident=incident.id,
            target=incident.target,
            verdict=Verdict.BROKEN,
            phases={},
            rollback=None,
            rto_seconds=None,
            started=incident.started.wall,
            finished=incident.started.wall,
            partial=(f"the record cannot be read: {_why(error)}",),
        )
    try:
        there = read_verdict(incident.folder)
    except Problem:
        return verdict
    notes = tuple(dict.fromkeys([*verdict.notes, *there.notes]))
    return replace(verdict, notes=notes, signature=there.signature)


def _why(error: Exception) -> str:
    if isinstance(error, Problem):
        return said(error)
    return reason_of(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
