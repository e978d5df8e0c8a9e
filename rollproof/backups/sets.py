"""A backup set: one package for each store of a target, of one commit, whole or absent."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from rollproof.backups.images import kept_image
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, Mismatch, Problem, Unverifiable, UsageProblem, listed, reason_of
from rollproof.home import typed
from rollproof.profile.profile import Target
from rollproof.profile.sections import StoreProfile
from rollproof.reading import read_regular
from rollproof.stores.keeper import add_part
from rollproof.stores.package import MANIFEST as PACKAGE
from rollproof.stores.package import Kept, Package, read_package
from rollproof.stores.policy import in_proportion, pace_of, policy_of
from rollproof.stores.registry import ReaderOpener, open_reader
from rollproof.stores.snapshot import PART, Snapshot, read_parts
from rollproof.system.clock import Moment
from rollproof.system.files import sha256_of
from rollproof.system.record_files import Must, WrongRecord, read_sealed
from rollproof.system.side_by_side import each

FOLDER = "index"


def every_field(profile: StoreProfile) -> StoreProfile:
    """Return `profile` without exclusions: a restore overwrites excluded fields too."""
    return profile.model_copy(update={"exclude": {}})


def existing_collections(
    name: str, profile: StoreProfile, engine: ContainerEngine, open_reader: ReaderOpener = open_reader
) -> Sequence[str]:
    """Return the store's collections, whatever their policy, leaving out those that were dropped.

    None is read, so one that cannot be read does not hide its neighbours.
    """
    with open_reader(name, profile, engine) as reader:
        return reader.existing_collections()


def write_index(
    target: Target,
    engine: ContainerEngine,
    name: str,
    folder: Path,
    open_reader: ReaderOpener = open_reader,
) -> int:
    """Write the index of store `name` into `folder`; return its number of records.

    Raises:
        Problem: the store does not answer, or holds a collection that its reader cannot read.
    """
    profile = every_field(target.stores[name])

    with new_index(folder, name) as index:

        def indexed(collection: str) -> int:
            # Each collection has its own reader: readers share no connection.
            with open_reader(name, profile, engine) as content:
                division, count = content.divide(collection, PART), 0
                every, pace = range(len(division)), pace_of(profile)
                for part, found in read_parts(content, collection, division, every, pace):
                    count += add_part(index, collection, part, division[part], found)
                return count

        with open_reader(name, profile, engine) as reader:
            names = reader.collections()
        return sum(each(indexed, names, workers=profile.load.connections, name="index").values())


def new_index(folder: Path, name: str) -> Snapshot:
    """Make the file of the index of store `name` in `folder`."""
    return Snapshot(folder / _file(name), new=True)


def read_index(folder: Path, name: str, hashes: Mapping[str, str]) -> Snapshot:
    """Return the index of store `name` in the backup set `folder`; `hashes` has the SHA-256 of its file.

    Raises:
        ActionFailed: it is missing, or changed since it was written.
    """
    path = folder / FOLDER / _file(name)
    try:
        if hashes.get(f"{FOLDER}/{path.name}") != sha256_of(path):
            raise _refused(path, "another content")
        return Snapshot(path)
    except (OSError, Unverifiable) as error:
        raise _refused(path, reason_of(error) if isinstance(error, OSError) else error.observed) from None


def _file(store: str) -> str:
    return f"{store}.db"


def _refused(path: Path, observed: object) -> ActionFailed:
    return ActionFailed(
        what="index of a backup set",
        expected="the file that the backup wrote",
        observed=observed,
        source=str(path),
        hint="without it every record counts as written since the backup, and is exported before a restore",
    )


MANIFEST = "set.json"
NEWEST = "*"
# A safety copy may be larger than the backup: the stores have grown since, and the growth is exported too.
_ROOM_FACTOR = 1.5
# A set's name has the time of its beginning; an unfinished set is hidden among the others.
_NAME = re.compile(r"\.?(?P<stamp>\d{8}T\d{9}Z)-(?P<target>.+?)(?:\.part)?")
Digest = Annotated[str, Must("16 hexadecimal digits", re.compile(r"[0-9a-f]{16}").fullmatch)]


@dataclass(frozen=True, slots=True)
class SetManifest:
    """The content of a backup set's manifest, `set.json`.

    `index` are the SHA-256 of its index files; a safety copy has none. `sealed` are the SHA-256 of its
    packages' manifests, by store. `taken` is the beginning and the end of each store's backup.
    `index_seconds` is how long it took to read all records. `images` are the ids of the application's images,
    by service; their copies lie next to the sets. `revisions` are those that alembic had recorded, by the
    service that has its migrations; what was not read, or changed while the set was taken, is left out.
    `moved` are names that came or went while the set was taken, by the reference in words: 64 bits of a hash
    of each name, in hexadecimal. A reference that could not be read twice is left out. See `moved_names`.
    """

    version: Literal[1]
    target: str
    commit: str
    started: Moment
    finished: Moment
    index: Mapping[str, str]
    sealed: Mapping[str, str]
    taken: Mapping[str, tuple[Moment, Moment]]
    index_seconds: float
    stores: Mapping[str, Kept]
    images: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    moved: Mapping[str, tuple[Digest, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BackupSet(SetManifest):
    """A complete backup set: `folder` holds a package for each store; its manifest was written last.

    `passed_over` names newer, damaged sets.
    """

    folder: Path = field(kw_only=True)
    passed_over: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def seconds(self) -> Mapping[str, float]:
        """The duration of each store's backup, in seconds."""
        return {name: round(done.seconds_since(began), 3) for name, (began, done) in self.taken.items()}

    def moments(self, name: str) -> tuple[Moment, Moment]:
        """Return the beginning and the end of a store's backup.

        Raises:
            Mismatch: the store is not in the set.
        """
        if name not in self.taken:
            raise wrong_backup(name, "a backup in the set", f"those of {listed([*self.stores])}", self.folder)
        return self.taken[name]


def backup_hint() -> str:
    """Return what to do about a backup that cannot be used."""
    return f"take another one: {typed('backup')}"


def wrong_backup(of: str, expected: object, observed: object, source: object) -> Mismatch:
    """Return the error of a check, for a backup that cannot be used."""
    return Mismatch(
        what=f"backup of {of}", expected=expected, observed=observed, source=str(source), hint=backup_hint()
    )


def stamp_of(time: datetime) -> str:
    """Return `time` in UTC, to the millisecond, as the names of sets begin with theirs: they sort by age."""
    utc = time.astimezone(UTC)
    return f"{utc.strftime('%Y%m%dT%H%M%S')}{utc.microsecond // 1000:03d}Z"


def sets_in(backups: Path, target: str) -> list[tuple[str, Path, BackupSet | str]]:
    """Return when each backup set of `target` finished, its folder, and the set, or its fault in words.

    The newest is the last. A set with a fault has only its name to say whose it is, and when it began: of one
    that was renamed, the time is "". The folder of a whole set may have any name.

    Raises:
        Unverifiable: the folder cannot be read.
    """
    try:
        found = [_set_in(folder, target) for folder in (backups.iterdir() if backups.exists() else ())]
    except OSError as error:
        raise Unverifiable(
            what=f"backups of {target}",
            expected="a folder that can be read",
            observed=reason_of(error),
            source=str(backups),
            hint="correct folders.backups in the profile, or the folder's permissions",
        ) from None
    return sorted(filter(None, found), key=lambda one: (one[0], one[1].name))


def _set_in(folder: Path, target: str) -> tuple[str, Path, BackupSet | str] | None:
    """Return the set in `folder` as for `sets_in`; None if it is no set, or one of another target."""
    name = _NAME.fullmatch(folder.name)
    began = name["stamp"] if name is not None and name["target"] == target else ""
    sealed = (folder / MANIFEST).is_file()
    if not began and not sealed:
        return None
    if folder.name.startswith("."):
        return began, folder, "one that was begun and is not finished: it was cut, or it runs"
    if not sealed:
        return began, folder, f"one without {MANIFEST}: it was cut"
    try:
        backup = read_backup(folder / MANIFEST)
    except Problem as problem:
        return began, folder, f"a damaged one: {problem.observed} in its manifest"
    if backup.target == target:
        return stamp_of(datetime.fromisoformat(backup.finished.wall)), folder, backup
    return (began, folder, f"one of target {backup.target}") if began else None


def find_backup(backups: Path, target: str, commit: str, name: str = NEWEST) -> BackupSet:
    """Return the newest complete backup set of `target` at `commit`, or the one in the folder `name`.

    A set with a fault does not count: `passed_over` names it. Data files are not read. See `newest_backup`,
    which never passes a set over.

    Raises:
        UsageProblem: there is none. Unverifiable: the folder cannot be read.
    """
    found = [one for one in sets_in(backups, target) if name in {NEWEST, one[1].name}]
    good = [(stamp, one) for stamp, _, one in found if isinstance(one, BackupSet) and one.commit == commit]
    if good:
        newest, backup = good[-1]
        later = [folder.name for stamp, folder, one in found if isinstance(one, str) and stamp > newest]
        return replace(backup, passed_over=tuple(later))
    seen = [
        f"{folder.name}, which is {one}" if isinstance(one, str) else f"commit {one.commit[:12]}"
        for _, folder, one in reversed(found)
    ]
    raise UsageProblem(
        what="backup",
        expected=f"a complete backup set of commit {commit[:12]}{'' if name == NEWEST else f' in {name!r}'}",
        observed=f"sets of {listed(seen)}" if seen else "no complete set",
        source=str(backups),
        hint="only a backup of that commit can restore its data; choose a commit that has one",
    )


def whole_package(backup: BackupSet, name: str, profile: StoreProfile, *, index: bool = True) -> Package:
    """Return the package of store `name`, after reading and comparing every byte, and those of its `index`.

    Raises:
        ActionFailed: it is missing, damaged, of another kind, or not the package that the set names.
    """
    folder = backup.folder / name
    package = read_package(folder, kind=profile.kind)
    if backup.sealed.get(name) != sha256_of(folder / PACKAGE):
        raise ActionFailed(
            what=f"backup of {name}",
            expected=f"the {PACKAGE} that the set was sealed with",
            observed="another one" if name in backup.sealed else f"a set without {name}",
            source=str(folder),
            hint="it is whole, and of another moment than the set says: put back what was moved",
        )
    if index:
        read_index(backup.folder, name, backup.index).close()
    return package


def read_backup(path: Path) -> BackupSet:
    """Return the backup set with the manifest `path`.

    Raises:
        Problem: the manifest is damaged.
    """
    try:
        manifest = read_sealed(SetManifest, read_regular(path))
    except (OSError, WrongRecord) as error:
        raise Problem(
            what="manifest of a backup set",
            expected="readable JSON with its stores",
            observed=reason_of(error) if isinstance(error, OSError) else error,
            source=str(path),
            hint="the set is damaged: move it out of the backups folder",
        ) from None
    content = {one.name: getattr(manifest, one.name) for one in fields(manifest)}
    return BackupSet(**content, folder=path.parent)


def no_room(folders: Sequence[Path], backup: BackupSet, stores: Iterable[str]) -> Iterator[UsageProblem]:
    """Yield a problem for each disk of `folders` without room for `stores`, of which `backup` tells.

    Each folder takes all that they hold: one the safety copy, another the export.
    """
    size = sum(backup.stores[name].size for name in stores)
    disks = dict[int, list[Path]]()
    for folder in folders:
        disks.setdefault(existing(folder).stat().st_dev, []).append(folder)
    for together in disks.values():
        if problem := _no_room(together, len(together) * _ROOM_FACTOR * size):
            yield problem


def _no_room(folders: Sequence[Path], needed: float) -> UsageProblem | None:
    free = shutil.disk_usage(existing(folders[0])).free
    if free >= needed:
        return None
    return UsageProblem(
        what="room for what the stores hold now",
        expected=f"{needed / 1e6:,.0f} MB",
        observed=f"{free / 1e6:,.0f} MB",
        source=" and ".join(map(str, folders)),
        hint="make room there, or name another folder in the profile: nothing is overwritten unkept",
    )


def existing(folder: Path) -> Path:
    """Return `folder`, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


KeptStoreOf = Callable[[str], Package]
"""Reads a store's backup, by name; raises `Mismatch` if it is incomplete."""


def newest_backup(backups: Path, target: str) -> BackupSet:
    """Return the backup set of `target` below the folder `backups` that finished last.

    Its folder may have been renamed, as for `find_backup`, which passes a damaged set over: this does not.

    Raises:
        Mismatch: there is none, or the newest set is truncated, damaged, or another target's.
        Unverifiable: the folder cannot be read.
    """
    found = sets_in(backups, target)
    if not found:
        raise wrong_backup(target, "a complete set", "none", backups)
    _, folder, backup = found[-1]
    if isinstance(backup, str):
        raise wrong_backup(target, "a complete newest set", backup, folder)
    return backup


def read_store(backup: BackupSet, name: str, profile: StoreProfile) -> Package:
    """Return the backup of store `name`, after reading and comparing every byte, and those of its index.

    Raises:
        Mismatch: it is not whole.
    """
    try:
        return whole_package(backup, name, profile)
    except ActionFailed as problem:
        raise wrong_backup(name, problem.expected, problem.observed, problem.source) from None


def read_image(backups: Path, image: str) -> int:
    """Return the bytes of the kept copy of the image with the id `image`, after reading and comparing them.

    Raises:
        Mismatch: it is missing or damaged.
    """
    try:
        return kept_image(backups, image).stat().st_size
    except ActionFailed as problem:
        raise wrong_backup(f"image {image}", problem.expected, problem.observed, problem.source) from None


@dataclass(frozen=True, slots=True)
class Proportion:
    """One row per live collection, the rows that are out of proportion, and the totals in words."""

    rows: tuple[str, ...]
    wrong: tuple[str, ...]
    said: str


def proportion_of(
    kept: Package,
    live: Mapping[str, int],
    recorded: Mapping[str, int],
    profile: StoreProfile,
    percent: float,
) -> Proportion:
    """Compare a backup with the records that are there now, which may differ by `percent`.

    `recorded` are those of the baseline: a collection may have grown or shrunk since as its policy allows.
    """
    rows = {name: f"{name}: {kept.records.get(name, 'none')} of {count}" for name, count in live.items()}
    wrong = [
        rows[name]
        for name, count in live.items()
        if not in_proportion(
            kept.records.get(name), count, percent, policy_of(profile, name), recorded.get(name)
        )
    ]
    if any(kept.records.values()) and not kept.size:
        wrong.append(f"{sum(kept.records.values())} records in 0 bytes")
    held = sum(kept.records.get(name, 0) for name in live)
    said = f"{held:,} of {sum(live.values()):,} records in {len(live)} collections"
    return Proportion(tuple(rows.values()), tuple(wrong), said)
