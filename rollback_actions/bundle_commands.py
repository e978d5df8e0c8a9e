"""The commands `python -m rollback_actions bundle` and `verify-bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fixtures.incident import named_incident
from fixtures.redaction import Redactor
from fixtures.target import load_target
from rollback_actions.bundle import Bundle, write_bundle
from rollback_actions.bundle_check import verify_bundle

bundle_app = typer.Typer()
_INCIDENTS = Path(__file__).resolve().parent.parent / "incidents"


@bundle_app.command("bundle")
def bundle_command(
    incident: Annotated[str, typer.Argument(help="Id of an incident, or its folder.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option(help="File to write (default: ID.tar.gz here).", show_default=False)
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            "--target",
            envvar="ROLLPROOF_TARGET",
            help="Profile of the target: its incidents are looked for, and its secrets.",
            show_default=False,
        ),
    ] = None,
    *,
    with_records: Annotated[
        bool, typer.Option("--with-records", help="Include what a restore overwrote: the data of users.")
    ] = False,
) -> None:
    """Make one archive of INCIDENT to hand on, with the hash of every file; without the data of users."""
    target = load_target(profile) if profile else None
    redactor = target.redactor() if target else Redactor()
    found = named_incident(incident, target.folders.incidents if target else _INCIDENTS)
    bundle = write_bundle(found, output or Path(f"{found.id}.tar.gz"), redactor, with_records=with_records)
    if target is None:
        typer.echo("no profile is named: only what looks like a token was looked for, no secret by name")
    _say(bundle, redactor)
    if with_records and any(name.startswith("lost-window") for name in bundle.manifest.files):
        typer.echo("WITH RECORDS: it holds the data of users; hand it on to nobody who may not see that")
    typer.echo(f"bundle: {bundle.path}")


@bundle_app.command("verify-bundle")
def verify_bundle_command(
    bundle: Annotated[Path, typer.Argument(help="File that the command bundle made.", show_default=False)],
    sha256: Annotated[
        str | None,
        typer.Option(help="SHA-256 of the whole file, known from elsewhere.", show_default=False),
    ] = None,
) -> None:
    """See that a BUNDLE is what was written: every hash, nothing missing, added or changed."""
    found = verify_bundle(bundle, sha256)
    _say(found, Redactor())
    if sha256 is None:
        typer.echo(
            "compare that SHA-256 with what its maker says: who changes a bundle can change its hashes"
        )
    typer.echo(f"verified: {found.path}")


def _say(bundle: Bundle, redactor: Redactor) -> None:
    manifest = bundle.manifest
    typer.echo(redactor.text(f"incident {manifest.incident} of target {ascii(manifest.target)[1:-1]}"))
    typer.echo(f"{len(manifest.files):,} files, {manifest.size:,} bytes; sha256 {bundle.sha256}")
    for name, why in manifest.left_out.items():
        typer.echo(redactor.text(f"left out: {ascii(name)[1:-1]} ({ascii(why)[1:-1]})"))
