"""The command line: ``rollproof report INCIDENT`` rebuilds the whole record of an incident."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reports.terminal.guard import guarded
from rollproof.errors import EXIT_CODES_TOLD, ExitCode

EXAMPLES = {
    "report": ("report INCIDENT", "report incidents/INCIDENT --target prod.toml"),
}

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(epilog=EXIT_CODES_TOLD, context_settings={"help_option_names": ["-h", "--help"]})
def report(
    incident: Annotated[
        str, typer.Argument(metavar="INCIDENT", help="Id of an incident, or its folder.", show_default=False)
    ],
    incidents: Annotated[
        Path | None,
        typer.Option(
            "--incidents",
            metavar="FOLDER",
            help="Folder that the incident of that id is in (default: the profile's, else that of the"
            " checkout or of the working folder).",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            "--target",
            metavar="PROFILE",
            envvar="ROLLPROOF_TARGET",
            help="Profile of the target, for its incidents and the key that signs the record.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Rebuild verdict.json, pictures, postmortem.md and report.html of an incident from its folder alone.

    Works for a killed run, too. Installs the tools that report.html needs, once. Exits 1 when the record
    holds a likely secret.
    """
    from reports.run.renewal import report_anew  # noqa: PLC0415 - help is said without it

    raise typer.Exit(report_anew(incident, incidents, profile))


def main() -> ExitCode:
    """Run the command line."""
    return guarded(app)
