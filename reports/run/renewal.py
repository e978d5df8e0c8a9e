"""Rebuilds an incident's whole record from its folder, even if its run was killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import attrs
from allure_commons.model2 import TestResult

from fixtures.errors import Unverifiable, reason_of
from fixtures.record_names import ENVIRONMENT_FILE, RESULTS, VERDICT
from fixtures.redaction.redactor import Redactor
from fixtures.sealing.chain import promised, sealed
from fixtures.system.clock import Moment
from fixtures.system.files import read_regular, sha256_of, write_whole
from fixtures.target.profile import Signing
from fixtures.verdict import RunVerdict
from reports.allure.metadata import write_metadata
from reports.allure.results import NODE_ID, RedactingLogger, unreported
from reports.html.html import render
from reports.incident.incident_record import OTHER_SHAPE, IncidentRecord, read_record
from reports.run.completion import complete
from reports.run.environment import environment_of, unknown_executor
from reports.text.room import Room
from reports.text.stages import TITLES
from reports.verdict.downtime_result import results_of_time
from reports.verdict.recount import recounted
from reports.verdict.verdict import read_verdict, write_verdict

_UNSIGNED = Signing()


def renew(folder: Path, say: Callable[[str], None], signing: Signing = _UNSIGNED) -> RunVerdict:
    """Rebuild an incident's verdict, results of unreported checks, pictures, post-mortem and report.

    `say` is told of steps that take long. Existing files are overwritten, except people's text, and a verdict
    whose hash is in the journal. A second rebuild makes the same files. The record is sealed then, and signed
    with the key of `signing`, if there is one.

    Raises:
        UsageProblem: the folder holds no incident, or its incident.json cannot be read.
        Unverifiable: the folder cannot be written.
        NoReport: Allure is not available, or fails; the rest is made.
    """
    folder = folder.resolve()
    with sealed(folder, signing, "report", say):
        return _renewed(folder, say, promised(signing)[0])


def _renewed(folder: Path, say: Callable[[str], None], signature: str) -> RunVerdict:
    record = read_record(folder)
    try:
        verdict = _verdict(record, signature)
        anew = _complete_results(record, verdict)
        rendered = partial(render, folder, progress=say, bare=True)
        problems = complete(folder, Redactor(), say, rendered, drawn=True, anew=anew)
    except OSError as error:
        raise Unverifiable(
            what="record of the incident",
            expected="files that can be read and written",
            observed=reason_of(error),
            source=str(error.filename or folder),
            hint="take out what is no file; else copy the folder to where you can write, under the same name",
        ) from None
    if problems:
        raise problems[0]
    return verdict


def _verdict(record: IncidentRecord, signature: str) -> RunVerdict:
    """Write and return the verdict; keep an existing one whose hash is in the journal."""
    path = record.incident.folder / VERDICT
    if path.is_file():
        digest = sha256_of(path)
        if any(entry.get("verdict_sha256") == digest for entry in record.journal):
            return read_verdict(record.incident.folder)
    verdict = replace(recounted(record), signature=signature)
    write_verdict(record.incident.folder, verdict)
    return verdict


def _complete_results(record: IncidentRecord, verdict: RunVerdict) -> set[str]:
    """Write a result for each run's checks that have none since the run began; return the files' names.

    Downtime and late phases are results of the last run.
    """
    folder, incident = record.incident.folder / RESULTS, record.incident
    folder.mkdir(exist_ok=True)
    if not (folder / ENVIRONMENT_FILE).exists():
        rows = environment_of(incident, record.rollback)
        write_metadata(folder, incident, rows, unknown_executor(incident.id))
    there, written = list(_results(folder)), set()
    redactor, room = Redactor(), Room(folder, workers=1)
    judged = results_of_time(incident, verdict)
    for run in record.runs:
        began = _milliseconds(run.started or incident.started)
        wanted = {stage: planned.checks for stage, planned in run.plan.items()}
        recorded = dict(run.results)
        for one in judged if run is record.runs[-1] else ():
            wanted[one.phase] = (*wanted.get(one.phase, ()), one.check)
            recorded[one.check] = one
        for stage, checks in wanted.items():
            for planned_id in checks if stage in TITLES else ():
                # A damaged plan may hold lone surrogates, which cannot be written.
                node_id = planned_id.encode("utf-8", "backslashreplace").decode()
                identity = str(uuid5(NAMESPACE_URL, f"{incident.id}/{run.number}/{node_id}"))
                path = folder / f"{identity}-result.json"
                written.add(path.name)
                if any(known == node_id and begun >= began for known, begun, own in there if own != path):
                    # The check's own result appeared after an earlier rebuild: remove the substitute.
                    path.unlink(missing_ok=True)
                    continue
                result = unreported(incident.id, stage, node_id, recorded.get(planned_id), began)
                result.uuid = identity
                RedactingLogger(_Whole(path), redactor, room).report_result(result)
    return written


def _results(folder: Path) -> Iterator[tuple[str, int, Path]]:
    """Yield the node id, start in milliseconds and file of each readable result."""
    for path in sorted(folder.glob("*-result.json")):
        try:
            result = json.loads(read_regular(path).decode())
            node_ids = [label["value"] for label in result["labels"] if label["name"] == NODE_ID]
            yield str(node_ids[0]), int(result["start"]), path
        except (OSError, *OTHER_SHAPE):
            # A torn or unreadable result does not count: its check gets another one.
            continue


def _milliseconds(moment: Moment) -> int:
    return int(datetime.fromisoformat(moment.wall).timestamp() * 1000)


class _Whole:
    """Writes one result as Allure's logger does, but under a name that stays the same."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def report_result(self, result: TestResult) -> None:
        data: dict[str, Any] = attrs.asdict(result, filter=lambda _, value: bool(value) or value is False)
        write_whole(self._path, json.dumps(data, ensure_ascii=False).encode(), mode=0o644)
