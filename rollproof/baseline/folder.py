"""The baseline: the target's state before the migration, on disk, and refused when one byte differs.

A baseline is a folder. Its `manifest.json` has the SHA-256 of every other file, and is signed by an HMAC if
the profile has a `baseline_key`. Any other file in the folder, and any link, is refused. `facts.json` and
`content/STORE.json` hold the facts, `records/` the hashes of single records.
"""

from __future__ import annotations

import hmac
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Self, TypeVar

from pydantic import SecretStr

from rollproof.baseline.facts import Facts, RecordedCollection, RecordedContent
from rollproof.errors import Unverifiable, UsageProblem, listed, reason_of, shown
from rollproof.home import typed
from rollproof.profile.profile import CURRENT, Target
from rollproof.profile.sections import StoreProfile
from rollproof.reading import read_regular
from rollproof.stores.policy import deletable, excluded_of, policy_of
from rollproof.system.clock import WallTime
from rollproof.system.files import (
    canonical_json,
    make_folders,
    part_of,
    rename_whole,
    sha256_of,
    sync_folder,
    sync_tree,
)
from rollproof.system.record_files import Must, WrongRecord, as_json, parse_record, write_record

T = TypeVar("T")

VERSION = 4
MANIFEST = "manifest.json"
_FACTS, _CONTENT = "facts.json", "content"
_PRIVATE = 0o700
# Bytes: the facts name every block of records.
_LARGEST_FACTS = 256 * 1024 * 1024
# Baselines that a hint names.
_SHOWN = 5


def _may_be_listed(name: str) -> bool:
    path = PurePosixPath(name)
    plain = str(path) == name and "\0" not in name and name != MANIFEST
    return plain and not path.is_absolute() and ".." not in path.parts


@dataclass(frozen=True, slots=True)
class Manifest:
    """The SHA-256 of each file of the baseline of `target`, by its path; `created` is ISO 8601, in UTC.

    `signature` is the HMAC-SHA256 of the others' canonical JSON with the profile's key, "" without one.
    """

    version: Annotated[int, Must(f"version {VERSION}", VERSION.__eq__)]
    target: str
    created: WallTime
    files: Mapping[Annotated[str, Must("a path below the folder of the baseline", _may_be_listed)], str]
    signature: str = ""

    def signed(self, key: SecretStr | None) -> Manifest:
        """Return the manifest with its signature, "" without a `key`."""
        unsigned = replace(self, signature="")
        if key is None:
            return unsigned
        data = canonical_json(as_json(unsigned))
        return replace(self, signature=hmac.new(key.get_secret_value().encode(), data, "sha256").hexdigest())


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

    @property
    def seconds_ago(self) -> float:
        """The seconds since it was captured, by the wall clock."""
        return max((datetime.now(UTC) - datetime.fromisoformat(self.created)).total_seconds(), 0.0)

    def deletable(self, profile: StoreProfile, collection: str, records: int) -> int:
        """Return how many of a collection's `records` users may have deleted since the capture."""
        return deletable(profile, collection, records, self.seconds_ago)


class BaselineDraft:
    """A baseline being written: once whole, it gets its name and becomes the current one."""

    def __init__(self, baselines: Path, target: str) -> None:
        """Make its folder, under a name that nothing takes for a baseline."""
        self._created = datetime.now(UTC)
        stamp = f"{self._created.strftime('%Y%m%dT%H%M%S')}{self._created.microsecond // 1000:03d}Z"
        self._baselines, self._target, self._name = baselines, target, f"{stamp}-{target}"
        self.folder = part_of(baselines / self._name)
        make_folders(self.folder, _PRIVATE, exist_ok=False)

    def __enter__(self) -> Self:
        """Return the draft itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Remove the draft's folder, if it did not become a baseline."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def finish(self, facts: Facts, key: SecretStr | None = None) -> Path:
        """Write `facts` into the draft, make it the current baseline, and return its folder."""
        if facts.contents:
            (self.folder / _CONTENT).mkdir(mode=_PRIVATE, exist_ok=True)
        write_record(self.folder / _FACTS, replace(facts, contents={}))
        for store, content in facts.contents.items():
            write_record(self.folder / _CONTENT / f"{store}.json", content)
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        files = {str(path.relative_to(self.folder)): sha256_of(path) for path in paths}
        # Synced before the manifest is written: after a crash of the machine, a manifest names whole files.
        sync_tree(self.folder)
        created = self._created.isoformat(timespec="milliseconds")
        write_record(self.folder / MANIFEST, Manifest(VERSION, self._target, created, files).signed(key))
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
    found = {path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
    if extra := {str(path.relative_to(folder)) for path in found} - {MANIFEST, *manifest.files}:
        raise refused(folder, "only the files of its manifest", f"also {listed(sorted(extra))}")
    for name in manifest.files:
        _require_whole(folder, name, manifest)
    facts = _read(Facts, folder, _FACTS, manifest)
    names = [name for name in manifest.files if name.startswith(f"{_CONTENT}/")]
    contents = {PurePosixPath(name).stem: _read(RecordedContent, folder, name, manifest) for name in names}
    return Baseline(folder, target, manifest.created, replace(facts, contents=contents))


def read_facts(folder: Path, target: str, key: SecretStr | None = None) -> Facts:
    """Return the facts of a baseline without its contents and records, which may be gigabytes.

    Raises:
        Unverifiable: as `load_baseline`, of the manifest and the file of the facts.
    """
    folder, manifest = _opened(folder, target, key)
    if _FACTS in manifest.files:
        _require_whole(folder, _FACTS, manifest)
    return _read(Facts, folder, _FACTS, manifest)


def _opened(folder: Path, target: str, key: SecretStr | None) -> tuple[Path, Manifest]:
    """Return the folder without links, and its manifest, if that is signed with `key` and of `target`."""
    try:
        folder = folder.resolve()
        manifest = parse_record(Manifest, read_regular(folder / MANIFEST))
    except WrongRecord as wrong:
        raise refused(folder / MANIFEST, f"a manifest of version {VERSION}", str(wrong)) from None
    except (OSError, RuntimeError, ValueError) as error:
        raise refused(folder / MANIFEST, "a baseline", reason_of(error)) from None
    if not hmac.compare_digest(manifest.signature.encode(), manifest.signed(key).signature.encode()):
        expected = f"{'a' if key else 'no'} signature with the baseline_key of the profile"
        another = "another one" if key else "one"
        observed = another if manifest.signature else "none"
        hint = "name the key that signed it in the profile: baseline_key; or capture again"
        raise refused(folder / MANIFEST, expected, observed, hint)
    if manifest.target != target:
        raise refused(folder / MANIFEST, f"target {target}", manifest.target, "name another with --baseline")
    return folder, manifest


def _require_whole(folder: Path, name: str, manifest: Manifest) -> None:
    """Refuse a file that is not as the manifest has it, or a link: its target can be changed elsewhere."""
    path = folder / name
    try:
        observed = "a link" if path.resolve() != path else sha256_of(path)
    except OSError as error:
        observed = reason_of(error)
    if observed != manifest.files[name]:
        raise refused(path, f"SHA-256 {manifest.files[name]}", observed)


def _read(kind: type[T], folder: Path, name: str, manifest: Manifest) -> T:
    if name not in manifest.files:
        raise refused(folder / MANIFEST, f"the file {name}", "none of this name")
    try:
        return parse_record(kind, read_regular(folder / name, _LARGEST_FACTS))
    except (OSError, WrongRecord) as error:
        observed = reason_of(error) if isinstance(error, OSError) else str(error)
        raise refused(folder / name, f"facts of version {VERSION}", observed) from None


def refused(path: Path, expected: str, observed: str, hint: str = "") -> Unverifiable:
    """Return the error of a baseline that cannot be trusted."""
    hint = hint or f"capture one before the next migration: {typed('capture')}"
    return Unverifiable(what="baseline", expected=expected, observed=observed, source=str(path), hint=hint)


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
            hint=f"in a good state, capture a new baseline: {typed('capture')}",
        )
    return baseline.facts.contents[store]


def recorded_collection(
    baseline: Baseline, target: Target, store: str, collection: str
) -> RecordedCollection:
    """Return a collection's recorded content, if the profile excludes the same fields now as then.

    Raises:
        Unverifiable: it was not recorded, or the profile now excludes other fields from digests.
    """
    profile, recorded = target.stores[store], recorded_content_of(baseline, store).collections.get(collection)
    excluded = tuple(sorted(excluded_of(profile, collection)))
    if recorded is None or recorded.excluded != excluded:
        without = "" if recorded is None else listed(recorded.excluded) or "(none)"
        policy = f"policy {policy_of(profile, collection)}"
        raise Unverifiable(
            what=f"content of {collection} of {store}",
            expected=f"in the baseline, {policy}, without the fields {listed(excluded) or '(none)'}",
            observed=f"without the fields {without}" if without else "not recorded",
            source=str(baseline.folder),
            hint="change the profile back if it was changed; else, in a good state, capture a new baseline:"
            f" {typed('capture')}",
        )
    return recorded
