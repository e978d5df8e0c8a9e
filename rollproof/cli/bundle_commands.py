"""The commands `rollproof bundle` and `verify-bundle`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rollproof.cli.options import AsJson
from rollproof.errors import ExitCode, UsageProblem, shortened
from rollproof.home import incidents, typed
from rollproof.incident.incident import named_incident
from rollproof.record_names import LOST_WINDOW

EXAMPLES = {
    "bundle_command": ("bundle INCIDENT --target prod.toml --output record.tar.gz",),
    "verify_bundle_command": ("verify-bundle record.tar.gz",),
}

# Whoever made a bundle also made the names in it.
_SHOWN = 120


def bundle_command(
    incident: Annotated[str, typer.Argument(help="Id of an incident, or its folder.")],
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write (default: ID.tar.gz here)."),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            "--target",
            envvar="ROLLPROOF_TARGET",
            help="Profile of the target, for its incidents and its secrets.",
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
        bool,
        typer.Option(
            "--anyway", help="Bundle it even if its record does not hold; whoever checks it is told."
        ),
    ] = False,
) -> None:
    """Pack INCIDENT into one archive, with every file's hash and without users' data."""
    from reports.bundle.bundle import write_bundle
    from rollproof.profile.profile import load_target
    from rollproof.redaction.redactor import Redactor

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
    checked = bundle.checked
    left_out = [f"left out: {_shown(name)} ({why})" for name, why in bundle.left_out.items()]
    for line in (
        _about(checked.incident, checked.target, checked.files, checked.size, bundle.sha256),
        *left_out,
        *checked.lines(),
    ):
        typer.echo(redactor.text(line))
    if with_records and any(found.folder.glob(f"{LOST_WINDOW}*")):
        typer.echo("WITH RECORDS: it holds the data of users; hand it on only to people who may see that")
    typer.echo(f"bundle: {bundle.path}")


def verify_bundle_command(
    bundle: Annotated[Path, typer.Argument(help="File that the command bundle made.")],
    sha256: Annotated[
        str | None,
        typer.Option(help="SHA-256 of the whole file, from another source."),
    ] = None,
    signers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File of allowed signers, as ssh-keygen has it: one must have signed it."
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Verify BUNDLE: every hash matches, nothing is missing, added or changed, and its record holds."""
    if signers is not None and not signers.is_file():
        raise UsageProblem(
            what="--signers",
            expected="a file of allowed signers, a line for each person",
            observed="something else" if signers.exists() else "none",
            source=str(signers),
            hint="ada@example.org ssh-ed25519 AAAA… is such a line: a name, and what ends in .pub of a key",
        )
    if not bundle.is_file():
        raise UsageProblem(
            what="bundle",
            expected="a file",
            observed="something else" if bundle.exists() else "none",
            source=str(bundle),
            hint=f"make one: {typed('bundle ID')}",
        )
    from reports.bundle.verify_record import check
    from reports.terminal.document import answer
    from rollproof.redaction.redactor import Redactor
    from rollproof.system.files import sha256_of

    digest = sha256_of(bundle)
    checked = check(bundle, signers)
    if sha256 is not None and sha256.lower() != digest:
        checked.wrong.insert(
            0, f"the SHA-256 of the whole file: expected {shortened(sha256, _SHOWN)}, observed {digest}"
        )
    seen = VerifiedBundle(
        bundle=str(bundle),
        sha256=digest,
        sha256_given=sha256 is not None,
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

    `sha256` is that of the whole file: `sha256_given` tells whether it was expected so. `size` is in bytes.
    `record_holds` tells whether all that is sealed holds, and `record_sealed` whether that is all of it.
    """

    bundle: str
    sha256: str
    sha256_given: bool
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
        return
    if not seen.record_sealed:
        yield f"HINT: nothing vouches for unsealed files: {typed('report ID')}, then bundle it again"
        return
    if not seen.sha256_given:
        yield "compare that SHA-256 with what its maker says: who changes a bundle can change its hashes"
    yield f"verified: {seen.bundle}"


def _about(incident: str, target: str, files: int, size: int, sha256: str) -> str:
    of = f"incident {_shown(incident)} of target {_shown(target)}"
    return f"{of}: {files:,} files, {size:,} bytes; sha256 {sha256}"


def _shown(text: str) -> str:
    """Return a text that whoever made a bundle chose."""
    return ascii(shortened(text, _SHOWN))[1:-1]
