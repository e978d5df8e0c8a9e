"""Results of checks that wrote none: their worker died, they never began, or the run was killed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import attrs
from allure_commons.model2 import TestResult

from reports.allure.results import NODE_ID, RedactingLogger, environment_of, unreported, write_environment
from reports.incident.record import OTHER_SHAPE, IncidentRecord
from reports.text.page import TITLES
from rollproof.reading import read_regular
from rollproof.record_names import ENVIRONMENT_FILE, RESULTS
from rollproof.redaction.redactor import Redactor
from rollproof.system.files import encodable, write_whole


def write_missing_results(record: IncidentRecord, redactor: Redactor | None = None) -> None:
    """Write a result, with the ledger's verdict, for each check that wrote none in its newest run."""
    folder = record.incident.folder / RESULTS
    folder.mkdir(exist_ok=True)
    if not (folder / ENVIRONMENT_FILE).exists():
        write_environment(folder, environment_of(record.incident, record.rollback))
    newest = _newest_results(record)
    own_starts = _starts(folder, written_here={_name(result) for result in newest.values()})
    for check, result in newest.items():
        path = folder / _name(result)
        if max(own_starts[check], default=-1) >= result.start:
            # An earlier rebuild wrote this file; the check's own result has come since.
            path.unlink(missing_ok=True)
        else:
            RedactingLogger(_WholeFileLogger(path), redactor or Redactor()).report_result(result)


def _newest_results(record: IncidentRecord) -> Mapping[str, TestResult]:
    """Return a result for each planned check, from the newest run that planned it.

    Each rebuild gives a result the same id, and so the same file.
    """
    incident, found = record.incident, dict[str, TestResult]()
    for run in record.runs:
        moment = run.facts.started if run.facts is not None else incident.started
        began = int(datetime.fromisoformat(moment.wall).timestamp() * 1000)
        planned = {
            check: stage for stage, plan in run.plan.items() if stage in TITLES for check in plan.checks
        }
        for planned_id, stage in planned.items():
            # A damaged plan may hold lone surrogates, which cannot be written.
            check = encodable(planned_id)
            result = unreported(incident.id, stage, check, run.results.get(planned_id), began)
            result.uuid = str(uuid5(NAMESPACE_URL, f"{incident.id}/{run.number}/{check}"))
            found[check] = result
    return found


def _name(result: TestResult) -> str:
    return f"{result.uuid}-result.json"


def _starts(folder: Path, written_here: set[str]) -> Mapping[str, list[int]]:
    """Return when each check began by its own results, in milliseconds since 1970.

    A result that is torn or unreadable does not count: the seal shows that it was altered.
    """
    found = defaultdict[str, list[int]](list)
    for path in folder.glob("*-result.json"):
        try:
            result = json.loads(read_regular(path))
            checks = [label["value"] for label in result["labels"] if label["name"] == NODE_ID]
            start = int(result["start"])
        except (OSError, *OTHER_SHAPE):
            continue
        if path.name not in written_here:
            for check in checks:
                found[str(check)].append(start)
    return found


class _WholeFileLogger:
    """Writes one result as Allure's logger does, but under a name that stays the same."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def report_result(self, result: TestResult) -> None:
        data: dict[str, Any] = attrs.asdict(result, filter=lambda _, value: bool(value) or value is False)
        write_whole(self._path, json.dumps(data, ensure_ascii=False).encode())
