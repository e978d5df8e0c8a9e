"""The index of a backup set: key and hash of every record, as it was copied or just before.

A record that later has the same hash has not been written since, so the backup holds it unchanged. Records
missing from the index were written after it was made; they are exported before a restore overwrites them.
A `RecordKeeper` makes the index while it copies. Of other stores, whose backups are files of another kind,
`write_index` makes it before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, Unverifiable, reason_of
from rollproof.profile.profile import Target
from rollproof.profile.sections import StoreProfile
from rollproof.stores.keeper import add_part
from rollproof.stores.policy import pace_of
from rollproof.stores.registry import ReaderOpener, open_reader
from rollproof.stores.snapshot import PART, Snapshot, read_parts
from rollproof.system.files import sha256_of
from rollproof.system.side_by_side import each

FOLDER = "index"


def every_field(profile: StoreProfile) -> StoreProfile:
    """Return `profile` without exclusions: a restore overwrites excluded fields too."""
    return profile.model_copy(update={"exclude": {}})


def standing_collections(
    name: str, profile: StoreProfile, engine: ContainerEngine, open_reader: ReaderOpener = open_reader
) -> Sequence[str]:
    """Return the store's collections, whatever their policy, leaving out those that were dropped.

    None is read, so one that cannot be read does not hide its neighbours.
    """
    with open_reader(name, profile, engine) as reader:
        return reader.standing()


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
