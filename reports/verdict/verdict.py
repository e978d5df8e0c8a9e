"""`verdict.json`: the verdict of an incident, for programs, and how it is derived again from the folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from reports.incident.record import OTHER_SHAPE, IncidentRecord, without_source
from rollproof.errors import Problem, UsageProblem, reason_of
from rollproof.home import typed
from rollproof.incident.tally import tally
from rollproof.record_names import VERDICT
from rollproof.system.files import write_page
from rollproof.system.record_files import as_json, read_record
from rollproof.verdict import RunVerdict, Verdict


def write_verdict(folder: Path, verdict: RunVerdict) -> Path:
    """Write the verdict into the incident's folder, whole or not at all; return its path."""
    path = folder / VERDICT
    text = json.dumps(as_json(verdict), ensure_ascii=False, allow_nan=False, indent=2)
    write_page(path, f"{text}\n")
    return path


def read_verdict(folder: Path) -> RunVerdict:
    """Return the verdict that `write_verdict` wrote; raises `UsageProblem` if there is none."""
    path = folder / VERDICT
    what, hint = "verdict", f"run the checks again: {typed('verify verification --target PROFILE')}"
    found = read_record(RunVerdict, path, what=what, hint=hint)
    if found is None:
        raise UsageProblem(
            what=what, expected=f"a readable {VERDICT}", observed="no such file", source=str(path), hint=hint
        )
    return found


def recounted(record: IncidentRecord) -> RunVerdict:
    """Return the record's verdict, or *broken* with the reason if the record cannot be read.

    Its `notes` and `signature` come from the folder's `verdict.json`, if that can be read: the rest of the
    record does not hold them all.
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
            verified_seconds=None,
            started=incident.started.wall,
            finished=incident.started.wall,
            partial=(f"the record cannot be read: {_why(error)}",),
        )
    try:
        earlier = read_verdict(incident.folder)
    except Problem:
        return verdict
    notes = tuple(dict.fromkeys([*verdict.notes, *earlier.notes]))
    return replace(verdict, notes=notes, signature=earlier.signature)


def _why(error: Exception) -> str:
    if isinstance(error, Problem):
        return without_source(error)
    return reason_of(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
