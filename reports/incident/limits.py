"""The limits that an incident is judged by: the profile's as recorded, else the runbook's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

from reports.incident.incident_record import IncidentRecord
from rollproof.incident.incident import CENTURY
from rollproof.incident.response_record import ENDED
from rollproof.incident.rollbacks import ROLLBACK_BEGAN

ASSESSMENT_SECONDS = 30.0
_RUNBOOK = {"objective": 600.0, "rollback": 300.0, "verification": 180.0}


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit in seconds; `recorded` is False if the record has none and it is the runbook's."""

    seconds: float
    recorded: bool

    def __str__(self) -> str:
        return f"{self.seconds:g} s" + ("" if self.recorded else " (the runbook's: none is recorded)")


def limit_of(record: IncidentRecord, name: str) -> Limit:
    """Return the newest recorded limit `name` (objective, rollback or verification), else the runbook's."""
    found = next((seconds for seconds in _recorded(record, name) if is_seconds(seconds)), None)
    return Limit(_RUNBOOK[name] if found is None else float(found), found is not None)


def _recorded(record: IncidentRecord, name: str) -> Iterator[Any]:
    for run in reversed(record.runs):
        yield run.limits.get(name)
    if name == "objective":
        yield from (entry.get("objective_seconds") for entry in record.response if entry["event"] == ENDED)
    key = {"objective": "objective_seconds", "rollback": "budget_seconds"}.get(name, "")
    begun = [entry for entry in record.journal if entry["event"] == ROLLBACK_BEGAN]
    yield from (entry.get(key) for entry in reversed(begun))


def is_seconds(value: object) -> TypeGuard[int | float]:
    """Return True for a plausible number of seconds: positive, and less than a century."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < CENTURY
