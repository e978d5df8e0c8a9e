"""The commands of an incident's record: `report`, `bundle` and `verify-bundle`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rollproof.cli.options import RECORD, AsJson, examples
from rollproof.errors import ExitCode, shortened
from rollproof.home import incidents, typed
from rollproof.incident.incident import named_incident
from rollproof.record_names import LOST_WINDOW

app = typer.Typer()
# Whoever made a bundle also made the names in it.
_SHOWN = 120

Incident = Annotated[str, typer.Argument(help="Id of an incident, or its folder.")]
AnyProfile = Annotated[
    Path | None,
    typer.Option(
        "--target",
        envvar="ROLLPROOF_TARGET",
        help="Profile of the target, for its incidents, its secrets, and the key that signs the record.",
    ),
]


@app.command(
    rich_help_panel=RECORD,
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
    from reports.run.renewal import report_anew

    raise typer.Exit(report_anew(incident, incidents, profile))


@app.command(
    rich_help_panel=RECORD,
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
    """Pack INCIDENT into one archive, with every file's hash and without users' data."""
    from reports.bundle.bundle import write_bundle
    from rollproof.profile.profile import load_target
    from rollproof.redaction.redactor import Redactor

    target = load_target(profile) if profile else None
    redactor = target.redactor() if target else Redactor()
    found = named_incident(incident, target.folders.incidents if target else incidents())
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
    left_out = [f"left out: {_shown(name)} ({why})" for name, why in made.left_out.items()]
    for line in (
        _about(checked.incident, checked.target, checked.files, checked.size, made.sha256),
        *left_out,
        *checked.lines(),
    ):
        typer.echo(redactor.text(line))
    if with_records and any(found.folder.glob(f"{LOST_WINDOW}*")):
        typer.echo("WITH RECORDS: it holds the data of users; hand it on only to people who may see that")
    typer.echo(f"bundle: {made.path}")


@app.command(rich_help_panel=RECORD, epilog=examples("verify-bundle record.tar.gz"))
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
    *,
    as_json: AsJson = False,
) -> None:
    """Verify BUNDLE: every hash matches, nothing is missing, added or changed, and its record holds."""
    from reports.bundle.verify_record import check
    from reports.terminal.document import answer
    from rollproof.redaction.redactor import Redactor
    from rollproof.system.files import sha256_of

    checked = check(file, signers)
    seen = VerifiedBundle(
        bundle=str(file),
        sha256=sha256_of(file),
        incident=checked.incident,
        target=checked.target,
        files=checked.files,
        size=checked.size,
        record_holds=not checked.wrong,
        record_sealed=not checked.wrong and not checked.unsealed,
        record=tuple(shortened(line, 2 * _SHOWN) for line in checked.lines()),
    )
    answer(seen, _verified_lines, Redactor().text, ExitCode(checked.code), as_json=as_json)


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """What a bundle is of, and what its checker says of the record in it.

    `sha256` is that of the whole file, `size` is in bytes. `record_holds` says whether all that is sealed
    holds, and `record_sealed` whether that is all of it.
    """

    bundle: str
    sha256: str
    incident: str
    target: str
    files: int
    size: int
    record_holds: bool
    record_sealed: bool
    record: tuple[str, ...]


def _verified_lines(seen: VerifiedBundle) -> Iterator[str]:
    about = _about(seen.incident, seen.target, seen.files, seen.size, seen.sha256)
    # The checker bounds its lines, and says first what does not hold.
    yield from (about, *seen.record) if seen.record_holds else (*seen.record, about)
    if not seen.record_holds:
        yield "HINT: do not trust it: fetch it again, or have it bundled again from the incident"
    elif not seen.record_sealed:
        yield f"HINT: nothing vouches for unsealed files: {typed('report ID')}, then bundle it again"
    else:
        yield "compare that SHA-256 with what its maker says: who changes a bundle can change its hashes"
        yield f"verified: {seen.bundle}"


def _about(incident: str, target: str, files: int, size: int, sha256: str) -> str:
    of = f"incident {_shown(incident)} of target {_shown(target)}"
    return f"{of}: {files:,} files, {size:,} bytes; sha256 {sha256}"


def _shown(text: str) -> str:
    """Return a text that whoever made a bundle chose."""
    return ascii(shortened(text, _SHOWN))[1:-1]
