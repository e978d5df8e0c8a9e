"""`verdict.json`: the verdict of an incident, for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from fixtures.errors import UsageProblem
from fixtures.files import read_regular, write_whole
from fixtures.verdict import PhaseVerdict, RollbackVerdict, RunVerdict, Verdict

VERDICT = "verdict.json"


def write_verdict(folder: Path, verdict: RunVerdict) -> Path:
    """Write the verdict into the incident's folder, whole or not at all, and return its path."""
    path = folder / VERDICT
    text = json.dumps(to_record(verdict), ensure_ascii=False, allow_nan=False, indent=2)
    # Half a character, from a record that was damaged, is spelled as JSON has it.
    write_whole(path, f"{text}\n".encode("utf-8", "backslashreplace"), mode=0o644)
    return path


def read_verdict(folder: Path) -> RunVerdict:
    """Return the verdict that `write_verdict` wrote into the incident's folder.

    Raises:
        UsageProblem: there is none, or it is not one.
    """
    path = folder / VERDICT
    try:
        return from_record(json.loads(read_regular(path).decode()))
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        OverflowError,
        RecursionError,
    ) as error:
        raise UsageProblem(
            what="verdict",
            expected=f"a readable {VERDICT}",
            observed=error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}",
            source=str(path),
            hint="run the checks again: pytest -m verification --target PROFILE",
        ) from None


def to_record(verdict: RunVerdict) -> dict[str, Any]:
    """Return the verdict as JSON can hold it.

    `records`, `first`, `partial`, `notes` and `late` are there only where there is something to say.
    """
    record: dict[str, Any] = {
        "incident": verdict.incident,
        "target": verdict.target,
        "verdict": verdict.verdict.value,
        "phases": {name: _phase_record(phase) for name, phase in verdict.phases.items()},
        "rollback": None
        if verdict.rollback is None
        else {"verdict": verdict.rollback.verdict.value, "seconds": verdict.rollback.seconds},
        "rto_seconds": verdict.rto_seconds,
        "started": verdict.started,
        "finished": verdict.finished,
    }
    if verdict.rollback is not None and verdict.rollback.records is not None:
        record["records"] = dict(verdict.rollback.records)
    if verdict.partial:
        record["partial"] = list(verdict.partial)
    if verdict.notes:
        record["notes"] = list(verdict.notes)
    if verdict.late is not None:
        record["late"] = verdict.late
    return record


def from_record(record: dict[str, Any]) -> RunVerdict:
    """Return the verdict that `to_record` made a record of.

    Raises:
        KeyError, TypeError, ValueError: it is no such record.
    """
    rollback = record["rollback"]
    return RunVerdict(
        incident=record["incident"],
        target=record["target"],
        verdict=Verdict(record["verdict"]),
        phases={name: _phase(phase) for name, phase in record["phases"].items()},
        rollback=None
        if rollback is None
        else RollbackVerdict(Verdict(rollback["verdict"]), rollback["seconds"], record.get("records")),
        rto_seconds=record["rto_seconds"],
        started=record["started"],
        finished=record["finished"],
        partial=tuple(record.get("partial", ())),
        notes=tuple(record.get("notes", ())),
        late=record.get("late"),
    )


def _phase_record(phase: PhaseVerdict) -> dict[str, Any]:
    record: dict[str, Any] = {
        "verdict": phase.verdict.value,
        "seconds": phase.seconds,
        "window": None if phase.window is None else [_whole_number(seconds) for seconds in phase.window],
        "checks": {
            "passed": phase.passed,
            "failed": phase.failed,
            "broken": phase.broken,
            "blocked": phase.blocked,
        },
    }
    if phase.first is not None:
        check, reason = phase.first
        record["first"] = {"check": check, "reason": reason}
    if phase.partial is not None:
        record["partial"] = phase.partial
    return record


def _phase(record: dict[str, Any]) -> PhaseVerdict:
    window = record["window"]
    phase = PhaseVerdict(
        verdict=Verdict(record["verdict"]),
        seconds=record["seconds"],
        window=None if window is None else (float(window[0]), float(window[1])),
        partial=record.get("partial"),
        **record["checks"],
    )
    first = record.get("first")
    return phase if first is None else replace(phase, first=(first["check"], first["reason"]))


def _whole_number(seconds: float) -> float:
    """Return 120, not 120.0, as people write windows."""
    return int(seconds) if float(seconds).is_integer() else seconds
