"""A bundle: one archive of an incident to hand on, with its seal, and the checker of both.

The same folder makes the same bytes: files are sorted, and owners, modes and times are fixed. Records that a
restore overwrote are users' data, and changes that nobody has committed are somebody's work. Both are left
out unless asked for. Pass the SHA-256 of the whole bundle on separately: against whoever changes an unsigned
record and its seal, there is nothing else.
"""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reports.bundle import verify_record
from reports.bundle.verify_record import Checked
from rollproof.errors import ActionFailed, Problem, UsageProblem
from rollproof.home import typed
from rollproof.incident.incident import Incident
from rollproof.profile.profile import Signing
from rollproof.record_names import LOST_WINDOW, SEAL, SIGNATURE
from rollproof.redaction.redactor import Redactor
from rollproof.sealing.seal import CHECKER, record_files, seal_text_of_people

CHECKER_FILE = Path(verify_record.__file__)
_RECORDS = "records of users: --with-records includes them"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A written bundle: its path, and what its checker found.

    `left_out` maps files and folders that are not in it to the reason.
    """

    path: Path
    left_out: Mapping[str, str]
    checked: Checked


def write_bundle(
    incident: Incident,
    output: Path,
    redactor: Redactor,
    *,
    with_records: bool = False,
    anyway: bool = False,
    signing: Signing | None = None,
) -> Bundle:
    """Write the bundle of `incident` as `output`, whole or not at all.

    What people have written into the post-mortem is sealed first, by the key of `signing`. A record that does
    not hold is refused, unless it is wanted `anyway`.
    """
    _require_new(incident, output)
    signing = signing or Signing()
    try:
        seal_text_of_people(incident.folder, signing)
    except Problem:
        if not anyway:
            raise
    left_out: dict[str, str] = {}
    temporary = output.with_name(f".{output.name}.part")
    try:
        files = _files(incident.folder, left_out, with_records=with_records)
        _require_no_secret(incident, files, redactor)
        _write(temporary, incident, files)
        checked = verify_record.check(temporary, signing.allowed_signers)
        _require_holding(incident, checked, anyway=anyway)
        temporary.replace(output)
    except OSError as error:
        raise ActionFailed.of_file(
            error.filename or output,
            error,
            what="bundle",
            expected="files of the incident that can be read, and a file that can be written",
            hint="correct the permissions, or name another place: --output=…",
        ) from None
    finally:
        # Where it cannot be removed, as on a disk that can only be read, the reason is known already.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return Bundle(output, left_out, checked)


def _require_holding(incident: Incident, checked: Checked, *, anyway: bool) -> None:
    if checked.wrong and not anyway:
        raise ActionFailed(
            what="record of the incident",
            expected="one that holds",
            observed="; ".join(checked.lines()),
            source=str(incident.folder),
            hint="put back what was changed, from a copy; or add --anyway; what a killed command left is "
            f"sealed by: {typed('report ID')}",
        )


def _require_new(incident: Incident, output: Path) -> None:
    within = output.resolve().is_relative_to(incident.folder.resolve())
    if within or output.exists():
        raise UsageProblem(
            what="bundle",
            expected="a new file outside of the incident",
            observed="one within it" if within else "a file that is there",
            source=str(output),
            hint="name another one: --output=…",
        )


def _files(folder: Path, left_out: dict[str, str], *, with_records: bool) -> dict[str, Path]:
    """Return the files to bundle by their names, and add what is not bundled to `left_out`."""
    found = dict(record_files(folder))
    found |= {name: folder / name for name in (SEAL, SIGNATURE) if (folder / name).exists()}
    for path in sorted(folder.glob(f"{LOST_WINDOW}*")):
        if not with_records:
            left_out[path.name] = _RECORDS
            continue
        below = path.rglob("*") if path.is_dir() else [path]
        found |= {one.relative_to(folder).as_posix(): one for one in below if one.is_file()}
    for name in [name for name, path in found.items() if path.is_symlink()]:
        left_out[name] = "a link"
        del found[name]
    return {name: found[name] for name in sorted(found)} | {CHECKER: CHECKER_FILE}


def _require_no_secret(incident: Incident, files: Mapping[str, Path], redactor: Redactor) -> None:
    """Refuse a secret, except records that a restore overwrote, which include users' sessions."""
    scanned = (path for name, path in files.items() if not name.startswith(LOST_WINDOW))
    found = next((finding for path in scanned for finding in redactor.scan(path)), None)
    if found is not None:
        raise ActionFailed(
            what="secret in the record",
            expected="none",
            observed=f"one ({found.kind}) at byte {found.offset}",
            source=f"{incident.folder / found.file}:{found.line}",
            hint="take it out of that file, and replace the secret in the target; nothing is bundled",
        )


def _write(path: Path, incident: Incident, files: Mapping[str, Path]) -> None:
    # Like the folder, it may hold users' data: only this account may read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with (
        os.fdopen(descriptor, "wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, file in files.items():
            with file.open("rb") as stream:
                member = tarfile.TarInfo(f"{incident.id}/{name}")
                member.size, member.mode = os.fstat(stream.fileno()).st_size, 0o644
                archive.addfile(member, stream)
