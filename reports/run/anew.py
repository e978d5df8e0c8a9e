"""Rebuilds an incident's record from its folder alone, and prints the result."""

from __future__ import annotations

import sys
from pathlib import Path

from fixtures.errors import ExitCode, Problem, code_of, disk_full, no_space
from fixtures.incident.incident import load_incident, named_incident, record_of
from fixtures.record_names import REPORT
from fixtures.redaction.redactor import Redactor
from fixtures.system.process import escape_half_characters
from fixtures.target.profile import Signing, load_target
from reports.html.history import history_of
from reports.incident.incident_record import read_record
from reports.run.renewal import renew
from reports.verdict.summary import lines


def report_anew(incident: str, incidents: Path, profile: Path | None = None) -> ExitCode:
    """Rebuild the whole record of `incident`, named by its folder or by its id in `incidents`.

    It is signed with the key of `profile`, if there is one.
    """
    escape_half_characters()
    try:
        signing = load_target(profile).signing if profile is not None else Signing()
        folder = named_incident(incident, incidents).folder
        verdict = renew(folder, lambda text: print(text, file=sys.stderr), signing)  # noqa: T201
        record = read_record(folder)
        history = history_of(load_incident(folder))
    except Problem as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        return code_of(problem)
    except OSError as error:
        full = no_space(error)
        if full is None:
            raise
        print(disk_full(full), file=sys.stderr)  # noqa: T201
        return ExitCode.BROKEN
    notes = [
        f"  sealed  {record.standing or 'the chain cannot be read'}",
        *(f"  not trusted  {doubt}" for doubt in record.doubts),
        f"  report  {folder / REPORT}",
    ]
    for lead, rest, _style in lines(verdict, folder, notes=notes):
        print(f"{lead}{rest}")  # noqa: T201
    # No profile is at hand: search by the secrets' shapes alone.
    wrong = Redactor().wrong_in([*record_of(folder), *([history] if history.exists() else [])])
    for text in wrong:
        print(text, file=sys.stderr)  # noqa: T201
    return ExitCode.FAILED if wrong else ExitCode.VERIFIED
