"""A backup set: one package for each store of a target, of one commit, whole or absent."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fixtures.clock import Moment
from fixtures.errors import ActionFailed, Problem, UsageProblem, listed
from fixtures.files import canonical_json, sha256_of, write_whole
from rollback_actions.index import FOLDER
from rollback_actions.stores.keeper import BacksUp, Kept
from rollback_actions.stores.package import MANIFEST as PACKAGE

MANIFEST = "set.json"
_SEAL = "sha256"
NEWEST = "*"
Value = TypeVar("Value")


class StepResult(Protocol):
    """What `Steps` gives the body of a step: it says how it went."""

    result: str


class Steps(Protocol):
    """Opens a step that is shown and recorded."""

    def __call__(self, name: str, /) -> AbstractContextManager[StepResult]:
        """Return the step called `name`."""
        ...


@dataclass(frozen=True, slots=True)
class BackupSet:
    """A complete backup set: `folder` holds a package a store, and its manifest was written last.

    `index` are the SHA-256 of the files of its index; a safety copy has none. `sealed` are those of the
    manifests of its packages, by store. `taken` is when the backup of each store began and when it was done;
    `index_seconds` is how long the index of all took. `passed_over` names newer sets that are damaged.
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
        """How long the backup of each store took."""
        return {name: round(done.seconds_since(began), 3) for name, (began, done) in self.taken.items()}


@contextmanager
def backup_written(folder: Path) -> Iterator[None]:
    """Say that a backup does not fit into `folder` or may not be written there, when that is so."""
    try:
        yield
    except OSError as error:
        raise ActionFailed(
            what="backup",
            expected="a folder that it can be written into, and fits",
            observed=error.strerror or type(error).__name__,
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

    `index` writes the index of a store, by name, into a folder and returns how many records it has. All are
    made before the first backup begins: what is written after that is in the backup or counts as written
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
        with steps(f"back up {name}") as step:
            kept = keepers[name].back_up(store)
            step.result = f"{sum(kept.records.values()):,} records, {kept.size / 1e6:.1f} MB, {kept.method}"
        taken[name] = began, Moment.now()
        return kept

    try:
        indexed = _index(temporary, keepers, steps, index) if index is not None else {}
        index_seconds = round(Moment.now().seconds_since(started), 3)
        stores = each_store(keepers, keep)
        finished = Moment.now()
        sealed = {name: sha256_of(temporary / name / PACKAGE) for name in stores}
        manifest = {
            "version": 1,
            "target": target,
            "commit": commit,
            "started": started.record(),
            "finished": finished.record(),
            "index": indexed,
            "sealed": sealed,
            "taken": {name: [moment.record() for moment in moments] for name, moments in taken.items()},
            "index_seconds": index_seconds,
            "stores": {
                name: {**asdict(kept), "records": dict(kept.records)} for name, kept in stores.items()
            },
        }
        write_whole(temporary / MANIFEST, manifest_text(manifest))
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return BackupSet(folder, commit, finished, stores, indexed, sealed, taken, index_seconds)


def manifest_text(manifest: Mapping[str, Any]) -> bytes:
    """Return what the file of a manifest holds: what it says, sealed with a SHA-256 of that."""
    return canonical_json({**manifest, _SEAL: _seal_of(manifest)})


def _seal_of(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all that a manifest says besides that, in hexadecimal."""
    content = {key: value for key, value in manifest.items() if key != _SEAL}
    return hashlib.sha256(canonical_json(content)).hexdigest()


def _index(
    folder: Path, names: Iterable[str], steps: Steps, index: Callable[[str, Path], int]
) -> dict[str, str]:
    """Make the index of every store; return the SHA-256 of each of its files, by their paths in the set."""
    below = folder / FOLDER
    below.mkdir(mode=0o700)

    def make(name: str) -> None:
        with steps(f"index {name}") as step:
            step.result = f"{index(name, below):,} records"

    each_store(names, make)
    return {
        str(path.relative_to(folder)): sha256_of(path) for path in sorted(below.rglob("*")) if path.is_file()
    }


def new_backup_folder(backups: Path, target: str) -> Path:
    """Return the path of a new backup set; names sort by age."""
    now = datetime.now(UTC)
    return backups / f"{now.strftime('%Y%m%dT%H%M%S')}{now.microsecond // 1000:03d}Z-{target}"


def find_backup(backups: Path, target: str, commit: str, name: str = NEWEST) -> BackupSet:
    """Return the newest complete backup set of `target` at `commit`, or the one in the folder `name`.

    A damaged one is none: the set says which were passed over.

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


def each_store(names: Iterable[str], do: Callable[[str], Value]) -> dict[str, Value]:
    """Do `do` for every store at once, by its name; wait for all of them before raising the first error.

    Raises:
        Problem: the first error in the order of the stores; the others are in its notes.
    """
    names = tuple(names)
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        futures = {name: pool.submit(do, name) for name in names}
    errors = list(_errors(futures))
    if errors:
        first, *rest = errors
        for other in rest:
            first.add_note(str(other))
        raise first
    return {name: future.result() for name, future in futures.items()}


def _errors(futures: Mapping[str, Future[Any]]) -> Iterator[BaseException]:
    for future in futures.values():
        error = future.exception()
        if error is not None:
            yield error


def _unsealed(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest that says what it was sealed with; raises ValueError or KeyError when it does not."""
    if manifest[_SEAL] != _seal_of(manifest):
        raise ValueError("another content than it was sealed with")
    return manifest


def read_backup(path: Path) -> tuple[str, BackupSet]:
    """Return of which target the backup set with the manifest `path` is, and the set.

    Raises:
        Problem: the manifest is damaged.
    """
    try:
        record = _unsealed(json.loads(path.read_bytes()))
        return str(record["target"]), BackupSet(
            folder=path.parent,
            commit=str(record["commit"]),
            finished=Moment.from_record(record["finished"]),
            stores={str(name): _kept_of(kept) for name, kept in record["stores"].items()},
            index={str(name): str(digest) for name, digest in record["index"].items()},
            sealed={str(name): str(digest) for name, digest in record["sealed"].items()},
            taken={str(name): _moments(moments) for name, moments in record["taken"].items()},
            index_seconds=float(record["index_seconds"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Problem(
            what="manifest of a backup set",
            expected="readable JSON with its stores",
            observed=type(error).__name__,
            source=str(path),
            hint="the set is damaged: move it out of the backups folder",
        ) from None


def _moments(record: Sequence[dict[str, Any]]) -> tuple[Moment, Moment]:
    began, done = (Moment.from_record(moment) for moment in record)
    return began, done


def _kept_of(record: Mapping[str, Any]) -> Kept:
    # What a later version writes beside these is none of ours.
    records = {str(name): int(count) for name, count in record["records"].items()}
    return Kept(str(record["method"]), records, int(record["size"]))
