"""Rebuilds an incident's whole record from its folder, even if its run was killed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from reports.allure.missing import write_missing_results
from reports.html.html import render
from reports.incident.record import read_incident_record
from reports.postmortem.postmortem import story_of
from reports.run.record import cause_lines, complete
from reports.verdict.verdict import lines, recounted, write_verdict
from rollproof.errors import ExitCode, Unverifiable
from rollproof.home import incidents as default_incidents
from rollproof.incident.incident import named_incident, report_paths
from rollproof.profile.profile import Signing, Target, load_target_for_checks
from rollproof.record_names import REPORT
from rollproof.redaction.redactor import Redactor
from rollproof.sealing.seal import promised, sealed
from rollproof.verdict import RunVerdict


def rebuild_report(incident: str, incidents: Path | None, profile: Path | None = None) -> ExitCode:
    """Rebuild the record of `incident`, its folder or its id in `incidents`, and print the result.

    Without `incidents` the id is looked up where `profile` has its incidents, else where none is named. The
    record is signed with the key of `profile`, if it has one. For pages that need more see `complete`.
    """
    target = load_target_for_checks(profile) if profile is not None else None
    place = incidents or (target.folders.incidents if target is not None else default_incidents())
    folder = named_incident(incident, place).folder
    verdict = renew(folder, lambda text: print(text, file=sys.stderr), target)  # noqa: T201
    record = read_incident_record(folder, target.signing if target is not None else Signing())
    notes = [
        f"  sealed  {record.seal}",
        *(f"  not trusted  {doubt}" for doubt in record.doubts),
        f"  report  {folder / REPORT}",
    ]
    causes = cause_lines(story_of(record, verdict).causes)
    for lead, rest, _style in (*causes, *lines(verdict, folder, notes=notes)):
        print(f"{lead}{rest}")  # noqa: T201
    # Where no profile is at hand, search by the secrets' shapes alone.
    wrong = Redactor().wrong_in(report_paths(folder))
    for text in wrong:
        print(text, file=sys.stderr)  # noqa: T201
    return ExitCode.FAILED if wrong else ExitCode.VERIFIED


def renew(folder: Path, say: Callable[[str], None], target: Target | None = None) -> RunVerdict:
    """Rebuild an incident's verdict, results of unreported checks, pages, pictures and report.

    `say` shows the steps that take long. Existing files are overwritten, except people's text. A second
    rebuild makes the same files. The record is sealed then, and signed if `target` has a key.
    """
    folder = folder.resolve()
    signing = target.signing if target is not None else Signing()
    with sealed(folder, signing, "report", say):
        record = read_incident_record(folder, signing)
        try:
            verdict = replace(recounted(record), signature=promised(signing)[0])
            write_verdict(folder, verdict)
            write_missing_results(record)
            rendered = partial(render, folder, progress=say)
            story = story_of(record, verdict)
            problems = complete(story, Redactor(), say, rendered, drawn=True, target=target)
        except OSError as error:
            raise Unverifiable.of_file(
                error.filename or folder,
                error,
                what="record of the incident",
                expected="files that can be read and written",
                hint="take out what is no file; else copy the folder to where you can write, under the same"
                " name",
            ) from None
    if problems:
        raise problems[0]
    return verdict
