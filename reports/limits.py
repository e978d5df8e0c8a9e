"""What an incident is judged by: the profile's limits as its record has them, else the runbook's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

from fixtures.response_record import ENDED
from fixtures.rollbacks import ROLLBACK_BEGAN
from reports.incident_record import IncidentRecord

ASSESSMENT_SECONDS = 30.0
_CENTURY = 100 * 365 * 86_400.0
_RUNBOOK = {"objective": 600.0, "rollback": 300.0, "verification": 180.0}


@dataclass(frozen=True, slots=True)
class Limit:
    """So many `seconds`; `recorded` tells whether the record says so, or it is the runbook's."""

    seconds: float
    recorded: bool

    def __str__(self) -> str:
        return f"{self.seconds:g} s" + ("" if self.recorded else " (the runbook's: none is recorded)")


def limit_of(record: IncidentRecord, name: str) -> Limit:
    """Return the newest limit `name` that is recorded: objective, rollback or verification."""
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
    """Tell whether a record has seconds there, as many as a person waits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _CENTURY
