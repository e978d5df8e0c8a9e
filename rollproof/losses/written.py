"""The number of records that were written since a backup, as a plan shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollproof.backups.index import every_field, read_index, standing_collections
from rollproof.backups.sets import BackupSet
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem
from rollproof.losses.changes import Written, divided
from rollproof.profile.profile import Target
from rollproof.stores.contract import Pace
from rollproof.stores.policy import pace_of
from rollproof.stores.reader import Reader
from rollproof.stores.registry import open_reader
from rollproof.stores.snapshot import Snapshot, differences
from rollproof.system.side_by_side import each, every


def written_since(
    target: Target, engine: ContainerEngine, backup: BackupSet, names: Iterable[str]
) -> Mapping[str, Written | str]:
    """Return the counts of records written to the stores `names` since `backup`, or the reason as text."""

    def counted(name: str) -> Written | str:
        try:
            # A store that a restore empties loses all its records, whenever they were written.
            if target.stores[name].emptied:
                return _count(target, engine, name, None)
            with read_index(backup.folder, name, backup.index) as index:
                return _count(target, engine, name, index)
        except Problem as problem:
            return problem.summary

    return every(counted, names, name="count")


def _count(target: Target, engine: ContainerEngine, name: str, index: Snapshot | None) -> Written:
    profile = every_field(target.stores[name])

    def counted(collection: str) -> Written:
        try:
            with open_reader(name, profile, engine) as content:
                return count_written(content, collection, index, pace_of(profile))
        except Problem as problem:
            return Written(unknown={collection: problem.summary})

    there = standing_collections(name, profile, engine)
    total = Written()
    for written in each(counted, there, workers=profile.load.connections, name="count").values():
        total += written
    if index is not None:
        for collection in set(index.collections()) - set(there):
            total.gone += sum(part.digest.records for part in index.parts(collection))
    return total


def count_written(content: Reader, collection: str, index: Snapshot | None, pace: Pace) -> Written:
    """Count the records of `collection` written since `index` was made.

    Raises:
        Unverifiable: the store does not answer, or the index cannot be read.
    """
    written, found = Written(), divided(content, collection, index, pace)
    for part, records in found.written():
        for difference in differences(found.before(part), records):
            written.add(difference)
    return written
