"""A backup set: one package for each store of a target, of one commit, whole or absent."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from fixtures.errors import ActionFailed, Problem, UsageProblem, listed, reason_of
from fixtures.incident.journal_steps import Step
from fixtures.losses.index import FOLDER
from fixtures.system.clock import Moment
from fixtures.system.files import canonical_json, read_regular, sha256_of, strict_json, write_whole
from fixtures.system.record_files import WrongRecord, as_json, record_of
from fixtures.system.side_by_side import every
from rollback_actions.stores.contract import BacksUp, Kept
from rollback_actions.stores.package import MANIFEST as PACKAGE

MANIFEST = "set.json"
_SEAL = "sha256"
NEWEST = "*"


class StepResult(Protocol):
    """The object that `Steps` gives to a step's body: the body sets its result."""

    result: str


class Steps(Protocol):
    """Opens a step that is shown and recorded."""

    def __call__(self, step: Step, of: str = "", /) -> AbstractContextManager[StepResult]:
        """Return `step` of a store."""
        ...


@dataclass(frozen=True, slots=True)
class BackupSet:
    """A complete backup set: `folder` holds a package for each store; its manifest was written last.

    `index` are the SHA-256 of its index files; a safety copy has none. `sealed` are the SHA-256 of its
    packages' manifests, by store. `taken` is the beginning and the end of each store's backup.
    `index_seconds` is the duration of the indexing. `passed_over` names newer sets that are damaged.
    """

    folder: Path
    commit: str
    finished: Moment
    stores: Mapping[str, Kept]
    index: Mapping[str, str] = field(default_factory=dict)
    sealed: Mapping[str, str] = field(default_factory=dict)
    taken: Mapping[str, tuple[Moment, Moment]] = field(default_factory=dict)
    index_seconds: float = 0.0
    passed_over: tuple[str, ...] = ()

    @property
    def seconds(self) -> Mapping[str, float]:
        """The duration of each store's backup, in seconds."""
        return {name: round(done.seconds_since(began), 3) for name, (began, done) in self.taken.items()}


@dataclass(frozen=True, slots=True)
class SetManifest:
    """The content of a backup set's manifest, `set.json`, without the SHA-256 that seals it."""

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


@contextmanager
def backup_written(folder: Path) -> Iterator[None]:
    """Turn an `OSError` of the body into an `ActionFailed` about space or permissions of `folder`."""
    try:
        yield
    except OSError as error:
        raise ActionFailed(
            what="backup",
            expected="a folder that it can be written into, and fits",
            observed=reason_of(error),
            source=str(error.filename or folder),
            hint="make room there, or correct folders.backups in the profile, or the folder's permissions",
        ) from None


def take_backup(
    folder: Path,
    target: str,
    commit: str,
    keepers: Mapping[str, BacksUp],
    steps: Steps,
    index: Callable[[str, Path], int] | None = None,
) -> BackupSet:
    """Back up every store side by side into `folder`, which must not exist.

    `index` writes the index of a store, by name, into a folder and returns its number of records. All indexes
    are made before the first backup begins. Records written after that are in the backup, or count as written
    since, or both.

    Raises:
        Problem: a store could not be backed up, or the backup not written; the unfinished folder is removed.
    """
    with backup_written(folder):
        return _take(folder, target, commit, keepers, steps, index)


def _take(
    folder: Path,
    target: str,
    commit: str,
    keepers: Mapping[str, BacksUp],
    steps: Steps,
    index: Callable[[str, Path], int] | None,
) -> BackupSet:
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True, mode=0o700)
    started = Moment.now()

    taken: dict[str, tuple[Moment, Moment]] = {}

    def keep(name: str) -> Kept:
        began, store = Moment.now(), temporary / name
        store.mkdir(mode=0o700)
        with steps(Step.BACK_UP, name) as step:
            kept = keepers[name].back_up(store)
            step.result = f"{sum(kept.records.values()):,} records, {kept.size / 1e6:.1f} MB, {kept.method}"
        taken[name] = began, Moment.now()
        return kept

    try:
        indexed = _index(temporary, keepers, steps, index) if index is not None else {}
        index_seconds = round(Moment.now().seconds_since(started), 3)
        stores = every(keep, keepers, name="backup")
        finished = Moment.now()
        sealed = {name: sha256_of(temporary / name / PACKAGE) for name in stores}
        manifest = SetManifest(
            version=1,
            target=target,
            commit=commit,
            started=started,
            finished=finished,
            index=indexed,
            sealed=sealed,
            taken=taken,
            index_seconds=index_seconds,
            stores=stores,
        )
        write_whole(temporary / MANIFEST, manifest_text(as_json(manifest)))
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return _set_in(folder, manifest)


def manifest_text(manifest: Mapping[str, Any]) -> bytes:
    """Return the content of a manifest's file: the manifest, sealed with its SHA-256."""
    return canonical_json({**manifest, _SEAL: _seal_of(manifest)})


def _seal_of(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest without its seal, in hexadecimal."""
    content = {key: value for key, value in manifest.items() if key != _SEAL}
    return hashlib.sha256(canonical_json(content)).hexdigest()


def _index(
    folder: Path, names: Iterable[str], steps: Steps, index: Callable[[str, Path], int]
) -> dict[str, str]:
    """Make the index of every store; return the SHA-256 of each index file, by its path in the set."""
    below = folder / FOLDER
    below.mkdir(mode=0o700)

    def make(name: str) -> None:
        with steps(Step.INDEX, name) as step:
            step.result = f"{index(name, below):,} records"

    every(make, names, name="index")
    return {
        str(path.relative_to(folder)): sha256_of(path) for path in sorted(below.rglob("*")) if path.is_file()
    }


def new_backup_folder(backups: Path, target: str) -> Path:
    """Return the path of a new backup set; names sort by age."""
    now = datetime.now(UTC)
    return backups / f"{now.strftime('%Y%m%dT%H%M%S')}{now.microsecond // 1000:03d}Z-{target}"


def find_backup(backups: Path, target: str, commit: str, name: str = NEWEST) -> BackupSet:
    """Return the newest complete backup set of `target` at `commit`, or the one in the folder `name`.

    A damaged set does not count: `passed_over` names the skipped ones.

    Raises:
        UsageProblem: there is none.
    """
    seen, damaged = [], []
    for path in sorted(backups.glob(f"*/{MANIFEST}"), reverse=True):
        if name not in {NEWEST, path.parent.name}:
            continue
        try:
            of, found = read_backup(path)
        except Problem as problem:
            seen.append(f"{path.parent.name}, which is damaged ({problem.observed})")
            damaged.append(path.parent.name)
            continue
        if (of, found.commit) == (target, commit):
            return replace(found, passed_over=tuple(damaged))
        seen.append(f"{of} at {found.commit[:12]}")
    raise UsageProblem(
        what="backup",
        expected=f"a complete backup set of commit {commit[:12]}{'' if name == NEWEST else f' in {name!r}'}",
        observed=f"sets of {listed(seen)}" if seen else "no complete set",
        source=str(backups),
        hint="without a backup of that commit its data cannot be restored; choose a commit that has one",
    )


def _unsealed(manifest: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    """Return a manifest whose content matches its seal; raises `WrongRecord` if it does not."""
    if not isinstance(manifest, dict) or manifest.get(_SEAL) != _seal_of(manifest):
        raise WrongRecord("another content than it was sealed with")
    return manifest


def read_backup(path: Path) -> tuple[str, BackupSet]:
    """Return the target of the backup set with the manifest `path`, and the set.

    Raises:
        Problem: the manifest is damaged.
    """
    try:
        # Fields that a later version adds are ignored.
        said = record_of(SetManifest, _unsealed(strict_json(read_regular(path))), more=True)
    except (OSError, ValueError) as error:
        raise Problem(
            what="manifest of a backup set",
            expected="readable JSON with its stores",
            observed=reason_of(error) if isinstance(error, OSError) else error,
            source=str(path),
            hint="the set is damaged: move it out of the backups folder",
        ) from None
    return said.target, _set_in(path.parent, said)


def _set_in(folder: Path, said: SetManifest) -> BackupSet:
    """Return the set in `folder`, by its manifest."""
    return BackupSet(
        folder=folder,
        commit=said.commit,
        finished=said.finished,
        stores=said.stores,
        index=said.index,
        sealed=said.sealed,
        taken=said.taken,
        index_seconds=said.index_seconds,
    )
