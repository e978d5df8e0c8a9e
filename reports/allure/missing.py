"""Results of checks that wrote none: their worker died, they never began, or the run was killed."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import attrs
from allure_commons.model2 import TestResult

from reports.allure.metadata import write_environment
from reports.allure.recorded import NODE_ID, recorded_results
from reports.allure.results import RedactingLogger, unreported
from reports.incident.record import IncidentRecord
from reports.run.environment import environment_of
from reports.text.stages import TITLES
from rollproof.record_names import ENVIRONMENT_FILE, RESULTS
from rollproof.redaction.redactor import Redactor
from rollproof.system.clock import Moment
from rollproof.system.files import write_whole


def write_missing_results(record: IncidentRecord, redactor: Redactor | None = None) -> None:
    """Write a result for each run's checks that have none since the run began."""
    folder, incident = record.incident.folder / RESULTS, record.incident
    folder.mkdir(exist_ok=True)
    if not (folder / ENVIRONMENT_FILE).exists():
        write_environment(folder, environment_of(incident, record.rollback))
    missing = {f"{one.uuid}-result.json": (one, until) for one, until in _every_result(record)}
    # A result that an earlier rebuild wrote is no result of the check's own.
    own = defaultdict[str, list[int]](list)
    for found in recorded_results(folder):
        if found.path.name not in missing:
            own[found.check].append(found.start)
    redactor = redactor or Redactor()
    for name, (result, until) in missing.items():
        check = next(label.value for label in result.labels if label.name == NODE_ID)
        if any(result.start <= start < until for start in own[check]):
            # The check's own result appeared after an earlier rebuild.
            (folder / name).unlink(missing_ok=True)
        else:
            RedactingLogger(_Whole(folder / name), redactor).report_result(result)


def _every_result(record: IncidentRecord) -> Iterator[tuple[TestResult, float]]:
    """Yield a result for each check of each run, as the ledger has it, under an id that stays the same.

    Beside it is the start of the next run, in milliseconds since 1970.
    """
    incident = record.incident
    starts = [
        _milliseconds(run.facts.started if run.facts is not None else incident.started) for run in record.runs
    ]
    for run, began, until in zip(record.runs, starts, [*starts, math.inf][1:], strict=True):
        wanted = [(stage, check) for stage, planned in run.plan.items() for check in planned.checks]
        for stage, planned_id in wanted:
            if stage in TITLES:
                # A damaged plan may hold lone surrogates, which cannot be written.
                check = planned_id.encode("utf-8", "backslashreplace").decode()
                result = unreported(incident.id, stage, check, run.results.get(planned_id), began)
                result.uuid = str(uuid5(NAMESPACE_URL, f"{incident.id}/{run.number}/{check}"))
                yield result, until


def _milliseconds(moment: Moment) -> int:
    return int(datetime.fromisoformat(moment.wall).timestamp() * 1000)


class _Whole:
    """Writes one result as Allure's logger does, but under a name that stays the same."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def report_result(self, result: TestResult) -> None:
        data: dict[str, Any] = attrs.asdict(result, filter=lambda _, value: bool(value) or value is False)
        write_whole(self._path, json.dumps(data, ensure_ascii=False).encode(), mode=0o644)
