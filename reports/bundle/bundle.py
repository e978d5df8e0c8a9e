"""A bundle: one archive of an incident to hand on, with a manifest of the SHA-256 of every file in it.

The same folder makes the same bytes: files are sorted, and owners, modes and times are fixed. Records that a
restore overwrote are users' data, and changes that nobody has committed are somebody's work. Both are left
out unless asked for, and the manifest names them. The manifest's hashes reveal damage and changes, unless
whoever changed a file changed the manifest too. Against that there is the signed chain of the record, which
`verify_record.py` in the bundle checks. So there is the SHA-256 of the whole bundle, to be passed on
separately.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Annotated

from reports.bundle.record_check import CHECKER, Checked, check_record
from rollproof.errors import ActionFailed, Problem, UsageProblem, reason_of
from rollproof.home import typed
from rollproof.incident.incident import ID, Incident
from rollproof.profile.profile import Signing
from rollproof.record_names import LOST_WINDOW, UNTRACKED, WORKING_COPY
from rollproof.redaction.redactor import Redactor
from rollproof.sealing.chain import seal_text_of_people
from rollproof.system.files import canonical_json, sha256_of
from rollproof.system.record_files import Must, Natural, as_json

MANIFEST = "bundle.json"
MODE = 0o644
VERSION = 1
# What a check reads of a bundle that anybody may have made.
MOST_FILES = 20_000
LARGEST_MANIFEST = 8 * 1024**2
_RECORDS = "records of users: --with-records includes them"
_OF_WORK = "changes that nobody has committed: --with-working-copy includes them"
_KEPT_WORK = (WORKING_COPY, UNTRACKED)
_REMAINS = "what a kill left of a file, or a lock"
_NO_FILE = "neither a file nor a folder"


# Whoever changes the manifest can make its hash again: of what it says beside hashes, little is free.
Reason = Annotated[str, Must("a reason of a bundle", {_RECORDS, _OF_WORK, _REMAINS, _NO_FILE}.__contains__)]
Sha256 = Annotated[str, Must("a SHA-256 in hexadecimal", re.compile(r"[0-9a-f]{64}").fullmatch)]


@dataclass(frozen=True, slots=True)
class Held:
    """A bundled file's required size in bytes, and its SHA-256 in hexadecimal."""

    size: Natural
    sha256: Sha256


@dataclass(frozen=True, slots=True)
class Manifest:
    """The bundled files, and in `left_out` the files that are not bundled, with the reason."""

    incident: Annotated[str, Must("an id of an incident", ID.fullmatch)]
    target: str
    files: Mapping[str, Held]
    left_out: Mapping[str, Reason]
    version: Annotated[int, Must(f"version {VERSION}", VERSION.__eq__)] = VERSION

    @property
    def size(self) -> int:
        """Total bytes of all files."""
        return sum(file.size for file in self.files.values())


@dataclass(frozen=True, slots=True)
class SealedManifest:
    """A manifest as it is in the bundle: with the SHA-256 of its content, written as canonical JSON."""

    content: Manifest
    sha256: Sha256


@dataclass(frozen=True, slots=True)
class Bundle:
    """A written bundle: its path, its own SHA-256, its manifest, and what is said of the record in it."""

    path: Path
    sha256: str
    manifest: Manifest
    said: tuple[str, ...] = ()


def write_bundle(
    incident: Incident,
    output: Path,
    redactor: Redactor,
    *,
    with_records: bool = False,
    with_work: bool = False,
    anyway: bool = False,
    signing: Signing | None = None,
) -> Bundle:
    """Write the bundle of `incident` as `output`, whole or not at all.

    A record that does not hold is refused, unless it is wanted `anyway`. What people have written into the
    post-mortem is sealed first, by the key of `signing`.

    Raises:
        UsageProblem: `output` exists or lies within the incident, or a file's name cannot be bundled.
        ActionFailed: a file holds a secret that `redactor` knows, was written to meanwhile, or `output`
            cannot be written; or the record does not hold.
        Problem: a file cannot be read.
    """
    _require_new(incident, output)
    seal_text_of_people(incident.folder, signing or Signing())
    try:
        left_out: dict[str, str] = {}
        apart = {
            **({} if with_records else {LOST_WINDOW: _RECORDS}),
            **({} if with_work else dict.fromkeys(_KEPT_WORK, _OF_WORK)),
        }
        files = list(_files(incident.folder, left_out, apart))
        _require_no_secret(incident, [path for path in files if not _of_users(incident, path)], redactor)
        manifest = _manifest(incident, files, left_out)
    except OSError as error:
        raise Problem(
            what="bundle",
            expected="files of the incident that can be read",
            observed=reason_of(error),
            source=str(error.filename or incident.folder),
            hint="correct the permissions, or run this as the user who owns the incident",
        ) from None
    temporary = output.with_name(f".{output.name}.part")
    try:
        text = sealed(manifest)
        _write(temporary, incident, manifest, text)
        _require_verifiable(incident, manifest, len(text), temporary.stat().st_size)
        checked = check_record(temporary, signing.allowed_signers if signing else None)
        _require_holding(incident, checked, anyway=anyway)
        digest = sha256_of(temporary)
        temporary.replace(output)
    except OSError as error:
        raise ActionFailed(
            what="bundle",
            expected="a file that can be written",
            observed=reason_of(error),
            source=str(output),
            hint="make room there, or name another place: --output=…",
        ) from None
    finally:
        # Where it cannot be removed, as on a disk that can only be read, the reason is told already.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return Bundle(output, digest, manifest, checked.lines)


def _require_holding(incident: Incident, checked: Checked, *, anyway: bool) -> None:
    if not checked.holds and not anyway:
        raise ActionFailed(
            what="record of the incident",
            expected="one that holds",
            observed="; ".join(checked.lines),
            source=str(incident.folder),
            hint=f"put back what was changed; pages are rebuilt by {typed('report ID')}; or add --anyway",
        )


def most_bytes(packed: int) -> int:
    """Return the most bytes that `packed` bytes may unpack to: a small file must not cost minutes."""
    return 64 * 1024**2 + 64 * packed


def sealed(manifest: Manifest) -> bytes:
    """Return the manifest's bytes in the bundle, with the SHA-256 of its content."""
    digest = hashlib.sha256(canonical_json(as_json(manifest))).hexdigest()
    return canonical_json(as_json(SealedManifest(manifest, digest)))


def _require_verifiable(incident: Incident, manifest: Manifest, names: int, packed: int) -> None:
    """Refuse a bundle that its own check would refuse."""
    most, size = most_bytes(packed), manifest.size
    if len(manifest.files) > MOST_FILES or size > most or names > LARGEST_MANIFEST:
        raise ActionFailed(
            what="bundle",
            expected=f"{MOST_FILES:,} files, {most:,} bytes and {LARGEST_MANIFEST:,} of names at most",
            observed=f"{len(manifest.files):,} files, {size:,} bytes and {names:,}",
            source=str(incident.folder),
            hint="move what is large out of the incident, or hand the folder itself on",
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


def _files(folder: Path, left_out: dict[str, str], apart: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files to bundle, sorted by name; add the others to `left_out`.

    `apart` has the beginnings of names that are left out, with the reasons.
    """
    for path in sorted(folder.iterdir(), key=lambda one: one.name):
        why = next((why for beginning, why in apart.items() if path.name.startswith(beginning)), "")
        if why:
            left_out[path.name] = why
        elif path.is_symlink() or not (path.is_file() or path.is_dir()):
            left_out[path.name] = _NO_FILE
        elif path.name in {MANIFEST, CHECKER.name}:
            # Of a bundle that was unpacked: this one has its own.
            continue
        elif path.name.startswith("."):
            left_out[path.name] = _REMAINS
        elif path.is_file():
            yield path
        else:
            below: dict[str, str] = {}
            yield from _files(path, below, {})
            left_out |= {f"{path.name}/{name}": reason for name, reason in below.items()}


def _of_users(incident: Incident, path: Path) -> bool:
    """Return True for a file of records that a restore overwrote, which include users' sessions."""
    return path.relative_to(incident.folder).parts[0].startswith(LOST_WINDOW)


def _require_no_secret(incident: Incident, files: list[Path], redactor: Redactor) -> None:
    found = next((finding for path in files for finding in redactor.scan(path)), None)
    if found is not None:
        raise ActionFailed(
            what="secret in the record",
            expected="none",
            observed=f"one ({found.kind}) at byte {found.offset}",
            source=f"{incident.folder / found.file}:{found.line}",
            hint="take it out of that file, and replace the secret in the target; nothing is bundled",
        )


def _manifest(incident: Incident, files: list[Path], left_out: dict[str, str]) -> Manifest:
    held = {}
    for path in files:
        name = path.relative_to(incident.folder).as_posix()
        if not _plain(name):
            raise UsageProblem(
                what="name of a file in the incident",
                expected="one that every machine can have",
                observed=ascii(name),
                source=str(incident.folder),
                hint="give that file another name",
            )
        held[name] = Held(size=path.stat().st_size, sha256=sha256_of(path))
    if same := alike(held):
        raise UsageProblem(
            what="names of the incident's files",
            expected="names that differ on every machine",
            observed=f"{same!a}, which another has but for its case",
            source=str(incident.folder),
            hint="give one of them another name",
        )
    held[CHECKER.name] = Held(size=CHECKER.stat().st_size, sha256=sha256_of(CHECKER))
    return Manifest(incident=_id(incident), target=incident.target, files=held, left_out=left_out)


def alike(names: Iterable[str]) -> str:
    """Return a name that is one with another where case makes no difference, as on many machines, or ""."""
    first = dict[str, str]()
    # Folders of a record have folders in them, and no more than that.
    paths = {path for name in names for path in (name, *("/".join(name.split("/", 2)[:n]) for n in (1, 2)))}
    return next((path for path in sorted(paths) if first.setdefault(path.casefold(), path) != path), "")


def _plain(name: str) -> bool:
    return name.isprintable() and "\\" not in name and name == name.encode(errors="replace").decode()


def _id(incident: Incident) -> str:
    if ID.fullmatch(incident.id):
        return incident.id
    raise UsageProblem(
        what="name of the incident's folder",
        expected="letters, digits, '.', '_' and '-', 80 at most",
        observed=repr(incident.id),
        source=str(incident.folder),
        hint="copy the folder under the id of the incident",
    )


def _write(path: Path, incident: Incident, manifest: Manifest, text: bytes) -> None:
    # Like the folder, it may hold users' data: only this account may read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with (
        os.fdopen(descriptor, "wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        archive.addfile(member_of(manifest, MANIFEST, len(text)), BytesIO(text))
        for name, held in manifest.files.items():
            source = CHECKER if name == CHECKER.name else incident.folder / name
            with source.open("rb") as stream:
                hashed = _Hashed(stream)
                archive.addfile(member_of(manifest, name, held.size), hashed)
                if hashed.digest() != held.sha256 or stream.read(1):
                    raise ActionFailed(
                        what="file of the incident",
                        expected="one that nobody writes",
                        observed="other bytes than a moment ago",
                        source=str(incident.folder / name),
                        hint="wait until what runs in the incident has ended, then bundle it again",
                    )


def member_of(manifest: Manifest, name: str, size: int) -> tarfile.TarInfo:
    """Return the archive's header for a file of that name and size."""
    member = tarfile.TarInfo(f"{manifest.incident}/{name}")
    member.size, member.mode = size, MODE
    return member


class _Hashed:
    """A stream that hashes the bytes read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def digest(self) -> str:
        return self._hash.hexdigest()
