"""The commands of an incident's record: `report`, `bundle` and `verify-bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollproof.cli.options import examples
from rollproof.errors import ExitCode, shortened
from rollproof.home import incidents as default_incidents
from rollproof.home import typed
from rollproof.incident.incident import named_incident
from rollproof.record_names import LOST_WINDOW

if TYPE_CHECKING:
    from reports.bundle.verify_record import Checked

app = typer.Typer()
# Characters of a name that are shown: whoever made the bundle chose it.
_SHOWN = 120

Incident = Annotated[str, typer.Argument(metavar="INCIDENT", help="Id of an incident, or its folder.")]
AnyProfile = Annotated[
    Path | None,
    typer.Option(
        "--target",
        envvar="ROLLPROOF_TARGET",
        help="Profile of the target, for its incidents, its secrets, and the key that signs the record.",
    ),
]


@app.command(
    epilog=examples("report INCIDENT", "report incidents/INCIDENT --target prod.toml"),
)
def report(
    incident: Incident,
    incidents: Annotated[
        Path | None,
        typer.Option(
            help="Folder that the incident of that id is in (default: the profile's, else that of the"
            " checkout or of the working folder)."
        ),
    ] = None,
    profile: AnyProfile = None,
) -> None:
    """Rebuild verdict.json, pictures, postmortem.md and report.html of an incident from its folder alone.

    Works for a killed run, too. Installs the tools that report.html needs, once. Exits 1 when the record
    holds a likely secret.
    """
    from reports.run.renewal import rebuild_report

    raise typer.Exit(rebuild_report(incident, incidents, profile))


@app.command(
    epilog=examples("bundle INCIDENT --target prod.toml --output record.tar.gz"),
)
def bundle(
    incident: Incident,
    output: Annotated[Path | None, typer.Option(help="File to write (default: ID.tar.gz here).")] = None,
    profile: AnyProfile = None,
    *,
    with_records: Annotated[
        bool,
        typer.Option("--with-records", help="Include the records that a restore overwrote: users' data."),
    ] = False,
    anyway: Annotated[
        bool,
        typer.Option("--anyway", help="Bundle it even if its record does not hold; its checker says so."),
    ] = False,
) -> None:
    """Pack INCIDENT into one archive, with every file's hash; users' records only with --with-records."""
    from reports.bundle.bundle import write_bundle
    from rollproof.profile.profile import load_target
    from rollproof.redaction.redactor import Redactor

    target = load_target(profile) if profile else None
    redactor = target.redactor() if target else Redactor()
    found = named_incident(incident, target.folders.incidents if target else default_incidents())
    made = write_bundle(
        found,
        output or Path(f"{found.id}.tar.gz"),
        redactor,
        with_records=with_records,
        anyway=anyway,
        signing=target.signing if target else None,
    )
    if target is None:
        typer.echo("no profile is named: only what looks like a token was looked for, no secret by name")
    checked = made.checked
    left_out = [f"left out: {ascii(name)[1:-1]} ({why})" for name, why in made.left_out.items()]
    for line in (
        _about(checked, made.path),
        *left_out,
        *checked.lines(),
    ):
        typer.echo(redactor.text(line))
    if with_records and any(found.folder.glob(f"{LOST_WINDOW}*")):
        typer.echo("WITH RECORDS: it holds the data of users; hand it on only to people who may see that")
    typer.echo(f"bundle: {made.path}")


@app.command(epilog=examples("verify-bundle record.tar.gz"))
def verify_bundle(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE", exists=True, dir_okay=False, help="File that the command bundle made."
        ),
    ],
    signers: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="File of allowed signers, as ssh-keygen has it: one must have signed it.",
        ),
    ] = None,
) -> None:
    """Verify BUNDLE: every hash matches, nothing is missing, added or changed, and its record holds."""
    from reports.bundle.verify_record import check
    from rollproof.redaction.redactor import Redactor

    checked = check(file, signers)
    for line in (*checked.lines(), _about(checked, file), _next(checked.code)):
        typer.echo(Redactor().text(line))
    if checked.code:
        raise typer.Exit(checked.code)


def _next(code: int) -> str:
    """Return what to do after that end of the checker."""
    if code == ExitCode.FAILED:
        return "HINT: do not trust it: fetch it again, or have it bundled again from the incident"
    if code == ExitCode.BROKEN:
        return f"HINT: see each line of it; {typed('report ID')} seals what a killed command left unsealed"
    return "compare that SHA-256 with what its maker says: who changes a bundle can change its hashes"


def _about(checked: Checked, bundle: Path) -> str:
    """Return what a bundle is of; whoever made it chose these names."""
    from rollproof.system.files import sha256_of

    incident, target = (ascii(shortened(text, _SHOWN))[1:-1] for text in (checked.incident, checked.target))
    size = f"{checked.files:,} files, {checked.size:,} bytes"
    return f"incident {incident} of target {target}: {size}; sha256 {sha256_of(bundle)}"
