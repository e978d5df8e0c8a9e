"""A backup set: one package for each store of a target, of one commit, whole or absent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fixtures.clock import Moment
from fixtures.errors import Problem, UsageProblem
from fixtures.files import canonical_json, write_whole
from rollback_actions.index import FOLDER, sha256
from rollback_actions.stores.keeper import Kept, StoppedKeeper, StoreKeeper

_MANIFEST = "set.json"
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

    `index` are the SHA-256 of the files of its index; a safety copy has none. `seconds` is how long the
    backup of each store took, and `index_seconds` the index of all.
    """

    folder: Path
    commit: str
    finished: Moment
    stores: Mapping[str, Kept]
    index: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    index_seconds: float = 0.0


def take_backup(
    folder: Path,
    target: str,
    commit: str,
    keepers: Mapping[str, StoreKeeper],
    steps: Steps,
    index: Callable[[str, Path], int] | None = None,
    *,
    restored_next: bool = False,
) -> BackupSet:
    """Back up every store side by side into `folder`, which must not exist.

    Stores that are `restored_next` need not run again before that.

    `index` writes the index of a store, by name, into a folder and returns how many records it has. All are
    made before the first backup begins: what is written after that is in the backup or counts as written
    since, or both.

    Raises:
        Problem: a store could not be backed up; the unfinished folder is removed.
    """
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True, mode=0o700)
    started = Moment.now()

    seconds: dict[str, float] = {}

    def keep(name: str) -> Kept:
        begun, store = Moment.now(), temporary / name
        store.mkdir(mode=0o700)
        with steps(f"back up {name}") as step:
            keeper = keepers[name]
            if restored_next and isinstance(keeper, StoppedKeeper):
                kept = keeper.keep_aside(store)
            else:
                kept = keeper.back_up(store)
            step.result = f"{sum(kept.records.values()):,} records, {kept.size / 1e6:.1f} MB, {kept.method}"
        seconds[name] = round(Moment.now().seconds_since(begun), 3)
        return kept

    try:
        indexed = _index(temporary, keepers, steps, index) if index is not None else {}
        index_seconds = round(Moment.now().seconds_since(started), 3)
        stores = each_store(keepers, keep)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finished = Moment.now()
    manifest = {
        "version": 1,
        "target": target,
        "commit": commit,
        "started": started.record(),
        "finished": finished.record(),
        "index": indexed,
        "seconds": seconds,
        "index_seconds": index_seconds,
        "stores": {name: {**asdict(kept), "records": dict(kept.records)} for name, kept in stores.items()},
    }
    write_whole(temporary / _MANIFEST, canonical_json(manifest))
    temporary.rename(folder)
    return BackupSet(folder, commit, finished, stores, indexed, seconds, index_seconds)


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
        str(path.relative_to(folder)): sha256(path) for path in sorted(below.rglob("*")) if path.is_file()
    }


def new_backup_folder(backups: Path, target: str) -> Path:
    """Return the path of a new backup set; names sort by age."""
    now = datetime.now(UTC)
    return backups / f"{now.strftime('%Y%m%dT%H%M%S')}{now.microsecond // 1000:03d}Z-{target}"


def find_backup(backups: Path, target: str, commit: str) -> BackupSet:
    """Return the newest complete backup set of `target` at `commit`.

    Raises:
        UsageProblem: there is none.
    """
    seen = []
    for path in sorted(backups.glob(f"*/{_MANIFEST}"), reverse=True):
        record = _read(path)
        if (record.get("target"), record.get("commit")) == (target, commit):
            stores = {name: Kept(**kept) for name, kept in record["stores"].items()}
            finished = Moment.from_record(record["finished"])
            index, seconds = dict(record["index"]), dict(record["seconds"])
            took = float(record["index_seconds"])
            return BackupSet(path.parent, commit, finished, stores, index, seconds, took)
        seen.append(f"{record.get('target')} at {str(record.get('commit'))[:12]}")
    raise UsageProblem(
        what="backup",
        expected=f"a complete backup set of commit {commit[:12]}",
        observed=f"sets of {', '.join(seen)}" if seen else "no complete set",
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


def _read(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        for table in ("stores", "index", "seconds"):
            record[table].items()
        float(record["index_seconds"])
        Moment.from_record(record["finished"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Problem(
            what="manifest of a backup set",
            expected="readable JSON with its stores",
            observed=type(error).__name__,
            source=str(path),
            hint="the set is damaged: move it out of the backups folder",
        ) from None
    return record
