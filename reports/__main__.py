"""The command line: ``python -m reports INCIDENT`` makes the whole record of an incident anew."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from fixtures.errors import ExitCode, Problem
from fixtures.final_scan import record_of
from fixtures.incident import load_incident, named_incident
from fixtures.redaction import Redactor
from reports.history import history_of
from reports.html import REPORT
from reports.incident_record import read_record
from reports.renewal import renew
from reports.summary import lines

_ROOT = Path(__file__).resolve().parent.parent

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def report(
    incident: Annotated[str, typer.Argument(help="Id of an incident, or its folder.", show_default=False)],
    incidents: Annotated[
        Path,
        typer.Option("--incidents", help="Folder that the incident of that id is in."),
    ] = _ROOT / "incidents",
) -> None:
    """Make verdict.json, pictures, postmortem.md and report.html of an incident anew, from its folder alone.

    Also of one whose run was killed. Installs what report.html needs, once. Exits 1 when what looks like a
    secret is in the record.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A record that was damaged may hold half a character, which no terminal takes.
            stream.reconfigure(errors="backslashreplace")
    try:
        folder = named_incident(incident, incidents).folder
        verdict = renew(folder, lambda text: print(text, file=sys.stderr))  # noqa: T201
        doubts = read_record(folder).doubts
        history = history_of(load_incident(folder))
    except Problem as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        raise typer.Exit(problem.exit_code) from None
    for lead, rest, _style in lines(verdict, folder):
        print(f"{lead}{rest}")  # noqa: T201
    for doubt in doubts:
        print(f"  not trusted  {doubt}")  # noqa: T201
    print(folder / REPORT)  # noqa: T201
    # No profile is at hand, so by their shapes alone.
    wrong = Redactor().wrong_in([*record_of(folder), *([history] if history.exists() else [])])
    for text in wrong:
        print(text, file=sys.stderr)  # noqa: T201
    if wrong:
        raise typer.Exit(ExitCode.FAILED)


if __name__ == "__main__":
    app()
