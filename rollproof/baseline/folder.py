"""The baseline: the target's state before the migration, on disk, and refused when one byte differs.

A baseline is a folder. Its `manifest.json` names every other file with size and SHA-256, and is signed by an
HMAC if the profile has a `baseline_key`. Any other entry in the folder, even a link, is refused.
`release.json`, `containers.json`, `stores.json`, `canary.json`, `milliseconds.json`, `surroundings.json`,
`profile.json` and `content/<store>.json` hold the facts, `records/` the hashes of single records.
"""

from __future__ import annotations

import hmac
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self, TypeVar

from pydantic import SecretStr

from rollproof.baseline.facts import (
    SUMMARISED,
    Facts,
    RecordedCollection,
    RecordedContent,
    Summary,
    from_files,
    summary_of,
    to_files,
)
from rollproof.errors import Unverifiable, UsageProblem, listed, reason_of, shown
from rollproof.home import typed
from rollproof.profile.profile import Target
from rollproof.reading import read_regular
from rollproof.stores.policy import excluded_of, policy_of
from rollproof.system.files import (
    canonical_json,
    finish_parts,
    make_folders,
    part_of,
    rename_whole,
    sha256_of,
    strict_json,
    sync_folder,
    sync_tree,
    write_whole,
)
from rollproof.system.record_files import (
    LEFT_OUT,
    Must,
    Natural,
    WrongRecord,
    as_json,
    record_of,
    write_record,
)

T = TypeVar("T")

_PRIVATE = 0o700
# They name every block of records.
_LARGEST_FACTS = 256 * 1024 * 1024
# Baselines that a hint names.
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Baseline:
    """A loaded, and therefore whole, baseline."""

    folder: Path
    target: str
    created: str
    facts: Facts

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.folder.name


class BaselineDraft:
    """A baseline being written: once whole, it gets its name and becomes the current one."""

    def __init__(self, baselines: Path, target: str) -> None:
        """Make its folder, under a name that nothing takes for a baseline."""
        self._created = datetime.now(UTC)
        stamp = f"{self._created.strftime('%Y%m%dT%H%M%S')}{self._created.microsecond // 1000:03d}Z"
        self._baselines, self._target, self._name = baselines, target, f"{stamp}-{target}"
        self.folder = part_of(baselines / self._name)
        # None becomes the current baseline: its capture was not said to have succeeded.
        finish_parts(baselines, lambda part: _is_whole(part, target))
        make_folders(self.folder, _PRIVATE, exist_ok=False)

    def __enter__(self) -> Self:
        """Return the draft itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Remove the draft's folder, if it did not become a baseline, and lacks more than the name of one."""
        if not _is_whole(self.folder, self._target):
            shutil.rmtree(self.folder, ignore_errors=True)

    def finish(self, facts: Facts, key: SecretStr | None = None) -> Path:
        """Write `facts` into the draft, make it the current baseline, and return its folder.

        Raises:
            ActionFailed: the facts hold a value with which the baseline could not be loaded.
        """
        files = to_files(facts)
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(mode=_PRIVATE, exist_ok=True)
            write_whole(path, canonical_json(content))
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        sealed = {
            str(path.relative_to(self.folder)): BaselineFile(path.stat().st_size, sha256_of(path))
            for path in paths
        }
        created = self._created.isoformat(timespec="milliseconds")
        # Before the manifest: where that is after a crash of the machine, all that it names is there.
        sync_tree(self.folder)
        write_record(self.folder / MANIFEST, signed_manifest(self._target, created, sealed, key))
        folder = self._baselines / self._name
        rename_whole(self.folder, folder)
        link = self._baselines / f".current.{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(folder.name)
        link.replace(self._baselines / CURRENT)
        sync_folder(self._baselines)
        return folder


def named_baseline(named: Path, baselines: Path) -> Path:
    """Return the baseline that a person has `named`: by its folder, or by its name in `baselines`.

    Raises:
        UsageProblem: there is none.
    """
    for folder in (named, baselines / named):
        # A name may be longer than a file system takes.
        with suppress(OSError):
            if (folder / MANIFEST).exists():
                return folder
    known = sorted((path.parent.name for path in baselines.glob(f"*/{MANIFEST}")), reverse=True)
    raise UsageProblem(
        what="baseline",
        expected="the folder of one, or its name",
        observed=shown(str(named)),
        source=str(baselines),
        hint=f"there are: {listed(known, _SHOWN)}" if known else f"capture one: {typed('capture')}",
    )


def load_baseline(folder: Path, target: str, key: SecretStr | None = None) -> Baseline:
    """Load the baseline in `folder` if it is whole, belongs to `target`, and is signed with `key`.

    Without a `key` it must be unsigned.

    Raises:
        Unverifiable: it is missing, changed, truncated, wrongly signed, has an extra file, or belongs to
            another target.
    """
    folder, manifest = _opened(folder, target, key)
    files = manifest.files
    # Checked before any file is read: reading a pipe, for example, may never end.
    _require_nothing_else(folder, files)
    for name, entry in files.items():
        _require_whole(folder / name, entry)
    facts = _read(folder, [name for name in files if name.endswith(".json")], from_files)
    _require_blocks(folder, facts, files)
    return Baseline(folder=folder, target=target, created=manifest.created, facts=facts)


def read_summary(folder: Path, target: str, key: SecretStr | None = None) -> Summary:
    """Return the summary of the baseline in `folder`: its records, which may be gigabytes, are not read.

    Raises:
        Unverifiable: as `load_baseline`, of the manifest and the files that the summary is in.
    """
    folder, manifest = _opened(folder, target, key)
    names = [name for name in SUMMARISED if name in manifest.files]
    for name in names:
        _require_whole(folder / name, manifest.files[name])
    return _read(folder, names, summary_of)


def _opened(folder: Path, target: str, key: SecretStr | None) -> tuple[Path, Manifest]:
    """Return the folder without links, and its manifest, if that is signed with `key` and of `target`."""
    try:
        folder = folder.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise refused(folder, "a folder", str(error)) from None
    manifest = read_manifest(folder)
    manifest.require_signature(folder / MANIFEST, key)
    if manifest.target != target:
        raise refused(folder / MANIFEST, f"target {target}", manifest.target, "name another with --baseline")
    return folder, manifest


def _is_whole(folder: Path, target: str) -> bool:
    """Return True if `folder` holds everything that the manifest of a baseline of `target` names.

    Its signature is checked when it is loaded.
    """
    try:
        manifest = read_manifest(folder)
        _require_nothing_else(folder, manifest.files)
        for name, entry in manifest.files.items():
            _require_whole(folder / name, entry)
    except (OSError, ValueError, Unverifiable):
        return False
    return manifest.target == target


def _require_nothing_else(folder: Path, files: Mapping[str, BaselineFile]) -> None:
    """Refuse entries that the manifest does not name, and links: their targets can be changed elsewhere."""
    parents = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    extra, folders = [], [""]
    while folders:
        prefix = folders.pop()
        try:
            entries = list(os.scandir(folder / prefix))
        except OSError as error:
            raise refused(folder / prefix, "a folder of the baseline", reason_of(error)) from None
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if entry.is_dir(follow_symlinks=False) and name in parents:
                folders.append(f"{name}/")
            elif not entry.is_file(follow_symlinks=False) and (name in files or name in parents):
                extra.append(f"{name}, which is {'a link' if entry.is_symlink() else 'no file'}")
            elif name not in {MANIFEST, *files}:
                extra.append(name)
    if extra:
        raise refused(folder, "only the files of its manifest", f"also {listed(sorted(extra))}")


def _require_whole(path: Path, entry: BaselineFile) -> None:
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise refused(path, "a file", "something else")
        size = found.st_size
        digest = sha256_of(path) if size == entry.size else ""
    except OSError as error:
        raise refused(path, f"{entry.size} bytes", reason_of(error)) from None
    if size != entry.size:
        raise refused(path, f"{entry.size} bytes", f"{size} bytes")
    if digest != entry.sha256:
        raise refused(path, f"SHA-256 {entry.sha256}", digest)


def _read(folder: Path, names: Iterable[str], facts_of: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        return facts_of({name: strict_json(read_regular(folder / name, _LARGEST_FACTS)) for name in names})
    except KeyError as error:
        raise refused(folder, f"facts of version {VERSION}", f"no file {error}") from None
    except (OSError, ValueError) as error:
        raise refused(folder, f"facts of version {VERSION}", f"{type(error).__name__}: {error}") from None


def _require_blocks(folder: Path, facts: Facts, files: Mapping[str, BaselineFile]) -> None:
    """Refuse collections whose records are in no file of the manifest, or beyond their file's end."""
    for store, content in facts.contents.items():
        for name, collection in content.collections.items():
            entry = files.get(collection.records)
            ends = [offset + length for offset, length in collection.blocks]
            if entry is None or max(ends) > entry.size:
                observed = f"those of {name} of {store} in {collection.records!r}, up to byte {max(ends)}"
                raise refused(folder, "records of every collection in a file of the manifest", observed)


def recorded_collection(
    baseline: Baseline, target: Target, store: str, collection: str
) -> RecordedCollection:
    """Return a collection's recorded content, if the current profile can be compared with it.

    Raises:
        Unverifiable: it was not recorded, or the profile now excludes other fields from digests.
    """
    collections = recorded_content_of(baseline, store).collections
    if collection not in collections:
        raise Unverifiable(
            what=f"content of {collection} of {store}",
            expected=f"in the baseline, policy {policy_of(target.stores[store], collection)}",
            observed="none",
            source=str(baseline.folder),
            hint="it was volatile, or not read, at the capture. In a good state, capture a new baseline:"
            f" {typed('capture')}",
        )
    recorded = collections[collection]
    excluded = tuple(sorted(excluded_of(target.stores[store], collection)))
    if excluded != recorded.excluded:
        raise Unverifiable(
            what=f"fields of {collection} of {store} that are left out of its digest",
            expected=", ".join(recorded.excluded) or "none",
            observed=", ".join(excluded) or "none",
            source="the profile, against the baseline",
            hint="the profile was changed since the baseline was captured: change it back",
        )
    return recorded


def recorded_content_of(baseline: Baseline, store: str) -> RecordedContent:
    """Return a store's content as the baseline recorded it.

    Raises:
        Unverifiable: it was not recorded.
    """
    if store not in baseline.facts.contents:
        raise Unverifiable(
            what=f"content of {store}",
            expected="recorded in the baseline",
            observed="none",
            source=str(baseline.folder),
            hint=f"capture a baseline with this version: {typed('capture')}",
        )
    return baseline.facts.contents[store]


VERSION = 2
MANIFEST = "manifest.json"
CURRENT = "current"
"""The link in the folder of baselines that names the newest."""


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    plain = str(path) == name and "\0" not in name and name != MANIFEST
    return plain and not path.is_absolute() and ".." not in path.parts


@dataclass(frozen=True, slots=True)
class BaselineFile:
    """The expected state of a file: its bytes on disk and their SHA-256 in hexadecimal."""

    size: Natural
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of the baseline of `target`, by their paths; `created` is ISO 8601, in UTC.

    `signature` is the HMAC-SHA256 of the others' canonical JSON with the profile's key, or None without one.
    """

    version: Annotated[int, Must(f"version {VERSION}", VERSION.__eq__)]
    target: str
    created: str
    files: Mapping[Annotated[str, Must("a path below the folder of the baseline", _is_below)], BaselineFile]
    signature: str | None = field(default=None, metadata=LEFT_OUT)

    def require_signature(self, path: Path, key: SecretStr | None) -> None:
        """Refuse it without the signature of `key`; without a `key`, with any.

        Raises:
            Unverifiable: as said; `path` is its file.
        """
        if key is None:
            if self.signature is not None:
                raise refused(
                    path,
                    "an unsigned baseline, as the profile names no key",
                    "a signature, which nothing can check",
                    "name the key that it was signed with in the profile: baseline_key",
                )
            return
        expected = signature_of(as_json(self), key).encode()
        if self.signature is None or not hmac.compare_digest(self.signature.encode(), expected):
            raise refused(
                path,
                "a signature with this profile's baseline_key",
                "no signature" if self.signature is None else "another signature",
                "someone without the key wrote it, or the key was changed: capture again",
            )


def signed_manifest(
    target: str, created: str, files: Mapping[str, BaselineFile], key: SecretStr | None
) -> Manifest:
    """Return the manifest of these files, with a `key` signed."""
    unsigned = Manifest(VERSION, target, created, files)
    return unsigned if key is None else replace(unsigned, signature=signature_of(as_json(unsigned), key))


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest in `folder`.

    Raises:
        Unverifiable: there is none, or another one than a capture writes.
    """
    path = folder / MANIFEST
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise refused(path, "a file", "something else")
        content = strict_json(read_regular(path))
    except OSError as error:
        raise refused(path, "a baseline", reason_of(error)) from None
    except ValueError:
        raise refused(path, "a manifest", "something else, or a part of one") from None
    try:
        return record_of(Manifest, content)
    except WrongRecord as wrong:
        raise refused(path, f"a manifest of version {VERSION}", str(wrong)) from None


def signature_of(manifest: Mapping[str, Any], key: SecretStr) -> str:
    """Return the signature of a manifest's JSON, of all in it but the signature."""
    signed = canonical_json({name: value for name, value in manifest.items() if name != "signature"})
    return hmac.new(key.get_secret_value().encode(), signed, "sha256").hexdigest()


def refused(
    path: Path,
    expected: str,
    observed: str | None,
    hint: str = "",
) -> Unverifiable:
    """Return the error of a baseline that cannot be trusted."""
    hint = hint or f"capture one before the next migration: {typed('capture')}"
    return Unverifiable(what="baseline", expected=expected, observed=observed, source=str(path), hint=hint)
