"""The commands `python -m rollback_actions bundle` and `verify-bundle`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fixtures.errors import ExitCode, UsageProblem, shortened
from fixtures.home import incidents, typed
from fixtures.incident.incident import named_incident

if TYPE_CHECKING:
    from fixtures.redaction.redactor import Redactor
    from reports.bundle.bundle import Bundle

EXAMPLES = {
    "bundle_command": ("bundle INCIDENT --target prod.toml --output record.tar.gz",),
    "verify_bundle_command": ("verify-bundle record.tar.gz",),
}

# Whoever made a bundle also made the names in it.
_SHOWN, _MOST_LINES = 120, 20


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
            help="Profile of the target, for its incidents and its secrets.",
            show_default=False,
        ),
    ] = None,
    *,
    with_records: Annotated[
        bool,
        typer.Option("--with-records", help="Include the records that a restore overwrote: users' data."),
    ] = False,
    with_work: Annotated[
        bool,
        typer.Option("--with-working-copy", help="Include changes of the working copy that were set aside."),
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Bundle it even if it does not hold: each check says so.")
    ] = False,
) -> None:
    """Pack INCIDENT into one archive, with every file's hash and without users' data."""
    from fixtures.redaction.redactor import Redactor
    from fixtures.target.profile import load_target
    from reports.bundle.bundle import write_bundle

    target = load_target(profile) if profile else None
    redactor = target.redactor() if target else Redactor()
    found = named_incident(incident, target.folders.incidents if target else incidents())
    bundle = write_bundle(
        found,
        output or Path(f"{found.id}.tar.gz"),
        redactor,
        with_records=with_records,
        with_work=with_work,
        anyway=anyway,
        signing=target.signing if target else None,
    )
    if target is None:
        typer.echo("no profile is named: only what looks like a token was looked for, no secret by name")
    _say(bundle, redactor)
    for line in bundle.said:
        typer.echo(redactor.text(line))
    if with_records and any(name.startswith("lost-window") for name in bundle.manifest.files):
        typer.echo("WITH RECORDS: it holds the data of users; hand it on to nobody who may not see that")
    typer.echo(f"bundle: {bundle.path}")


def verify_bundle_command(
    bundle: Annotated[Path, typer.Argument(help="File that the command bundle made.", show_default=False)],
    sha256: Annotated[
        str | None,
        typer.Option(help="SHA-256 of the whole file, from another source.", show_default=False),
    ] = None,
    signers: Annotated[
        Path | None,
        typer.Option(help="File of the keys that may have signed it, see ssh-keygen.", show_default=False),
    ] = None,
    profile: Annotated[str | None, typer.Option("--target", hidden=True, help="Refused, in words.")] = None,
) -> None:
    """Verify BUNDLE: every hash matches, nothing is missing, added or changed, and its record holds."""
    if profile is not None:
        raise UsageProblem(
            what="--target",
            expected="none: a bundle is verified by itself, and says which target it is of",
            observed=shortened(profile, _SHOWN),
            source="the command line",
            hint=typed(f"verify-bundle {shortened(str(bundle), _SHOWN)}"),
        )
    from fixtures.redaction.redactor import Redactor
    from reports.bundle.bundle_check import verify_bundle
    from reports.bundle.record_check import check_record

    found = verify_bundle(bundle, sha256)
    _say(found, Redactor())
    checked = check_record(found.path, signers)
    for line in checked.lines[:_MOST_LINES]:
        typer.echo(Redactor().text(shortened(line, 2 * _SHOWN)))
    if not checked.holds:
        raise typer.Exit(ExitCode.FAILED)
    if sha256 is None:
        typer.echo(
            "compare that SHA-256 with what its maker says: who changes a bundle can change its hashes"
        )
    typer.echo(f"verified: {found.path}")


def _say(bundle: Bundle, redactor: Redactor) -> None:
    manifest = bundle.manifest
    target = ascii(shortened(manifest.target, _SHOWN))[1:-1]
    typer.echo(redactor.text(f"incident {manifest.incident} of target {target}"))
    typer.echo(f"{len(manifest.files):,} files, {manifest.size:,} bytes; sha256 {bundle.sha256}")
    for name, why in islice(manifest.left_out.items(), _MOST_LINES):
        what, reason = (ascii(shortened(text, _SHOWN))[1:-1] for text in (name, why))
        typer.echo(redactor.text(f"left out: {what} ({reason})"))
    if len(manifest.left_out) > _MOST_LINES:
        typer.echo(f"left out: {len(manifest.left_out) - _MOST_LINES:,} more")
