"""The whole record of an incident made anew from its folder, whatever became of the run that began it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import attrs
from allure_commons.model2 import TestResult

from fixtures.clock import Moment
from fixtures.errors import Unverifiable
from fixtures.files import read_regular, sha256_of, write_whole
from fixtures.incident import CHANGE
from fixtures.redaction import Redactor
from fixtures.verdict import RunVerdict
from reports.allure_metadata import RESULTS, write_metadata
from reports.allure_results import NODE_ID, RedactingLogger, unreported
from reports.checksums import add_checksums
from reports.downtime_result import downtime_result
from reports.drawing import draw
from reports.environment import environment_of, unknown_executor
from reports.html import render
from reports.incident_record import OTHER_SHAPE, IncidentRecord, read_record
from reports.postmortem import write_post_mortem
from reports.processes import NoReport
from reports.recount import recounted
from reports.room import Room
from reports.stages import TITLES
from reports.verdict import VERDICT, read_verdict, write_verdict


def renew(folder: Path, say: Callable[[str], None]) -> RunVerdict:
    """Make verdict, results of checks that never reported, pictures, post-mortem and report of an incident.

    `say` is told what takes long. What is there is overwritten, but for what people wrote, and a verdict that
    the journal names by its hash. A second time makes the same.

    Raises:
        UsageProblem: the folder is none of an incident, or its incident.json cannot be read.
        Unverifiable: the folder cannot be written. NoReport: Allure cannot be had, or fails; the rest is
            made.
    """
    folder = folder.resolve()
    record = read_record(folder)
    try:
        verdict = _verdict(record)
        add_checksums(folder, _complete_results(record, verdict))
        _draw(folder, say)
        if record.incident.kind != CHANGE:
            write_post_mortem(folder)
    except OSError as error:
        raise Unverifiable(
            what="record of the incident",
            expected="files that can be read and written",
            observed=error.strerror or type(error).__name__,
            source=str(error.filename or folder),
            hint="take out what is no file; else copy the folder to where you can write, under the same name",
        ) from None
    render(folder, progress=say, bare=True)
    return verdict


def _draw(folder: Path, say: Callable[[str], None]) -> None:
    """Draw the pictures, after the verdict and before the page that shows them; say which cannot be drawn."""
    try:
        for problem in draw(folder, Redactor()):
            say(problem)
    except NoReport as problem:
        # Nothing else of the record depends on them.
        say(str(problem))


def _verdict(record: IncidentRecord) -> RunVerdict:
    """Write the verdict, and return it; leave one that is vouched for as it is."""
    path = record.incident.folder / VERDICT
    if path.is_file():
        digest = sha256_of(path)
        if any(entry.get("verdict_sha256") == digest for entry in record.journal):
            return read_verdict(record.incident.folder)
    verdict = recounted(record)
    write_verdict(record.incident.folder, verdict)
    return verdict


def _complete_results(record: IncidentRecord, verdict: RunVerdict) -> set[str]:
    """Write a result for each check of each run that has none since the run began; return their files.

    The downtime that the last run came to is one more.
    """
    folder, incident = record.incident.folder / RESULTS, record.incident
    folder.mkdir(exist_ok=True)
    if not (folder / "environment.properties").exists():
        rows = environment_of(incident, record.rollback)
        write_metadata(folder, incident, rows, unknown_executor(incident.id))
    there, written = list(_results(folder)), set()
    redactor, room = Redactor(), Room(folder, workers=1)
    downtime = downtime_result(incident, verdict)
    for run in record.runs:
        began = _milliseconds(run.started or incident.started)
        wanted = {stage: planned.checks for stage, planned in run.plan.items()}
        recorded = dict(run.results)
        if downtime is not None and run is record.runs[-1]:
            wanted[downtime.phase] = (*wanted.get(downtime.phase, ()), downtime.check)
            recorded[downtime.check] = downtime
        for stage, checks in wanted.items():
            for planned_id in checks if stage in TITLES else ():
                # Half a character, from a plan that was damaged, is written nowhere.
                node_id = planned_id.encode("utf-8", "backslashreplace").decode()
                identity = str(uuid5(NAMESPACE_URL, f"{incident.id}/{run.number}/{node_id}"))
                path = folder / f"{identity}-result.json"
                written.add(path.name)
                if any(known == node_id and begun >= began for known, begun, own in there if own != path):
                    # It was being written while an earlier renewal looked.
                    path.unlink(missing_ok=True)
                    continue
                result = unreported(incident.id, stage, node_id, recorded.get(planned_id), began)
                result.uuid = identity
                RedactingLogger(_Whole(path), redactor, room).report_result(result)
    return written


def _results(folder: Path) -> Iterator[tuple[str, int, Path]]:
    """Yield node id and beginning, in milliseconds, of each result that can be read, and its file."""
    for path in sorted(folder.glob("*-result.json")):
        try:
            result = json.loads(read_regular(path).decode())
            node_ids = [label["value"] for label in result["labels"] if label["name"] == NODE_ID]
            yield str(node_ids[0]), int(result["start"]), path
        except (OSError, *OTHER_SHAPE):
            # A result that a kill tore is none, nor is what is no file: the check gets another one.
            continue


def _milliseconds(moment: Moment) -> int:
    return int(datetime.fromisoformat(moment.wall).timestamp() * 1000)


class _Whole:
    """Writes one result, as Allure's logger does but under a name that is the same each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def report_result(self, result: TestResult) -> None:
        data: dict[str, Any] = attrs.asdict(result, filter=lambda _, value: bool(value) or value is False)
        write_whole(self._path, json.dumps(data, ensure_ascii=False).encode(), mode=0o644)
