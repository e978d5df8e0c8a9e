"""The number of records that were written since a backup, as a plan shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollproof.backups.index import StoreIndex, every_field, read_index, standing_collections
from rollproof.backups.sets import BackupSet
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem
from rollproof.losses.changes import Written, aligned, difference, indexed_of, live_parts
from rollproof.profile.profile import Target
from rollproof.stores.contract import ContentView, Pace
from rollproof.stores.policy import pace_of
from rollproof.stores.registry import open_content
from rollproof.system.side_by_side import each, every


def written_since(
    target: Target, engine: ContainerEngine, backup: BackupSet, names: Iterable[str]
) -> Mapping[str, Written | str]:
    """Return the counts of records written to the stores `names` since `backup`, or the reason as text."""

    def counted(name: str) -> Written | str:
        try:
            return _count(target, engine, backup, name)
        except Problem as problem:
            return problem.summary

    return every(counted, names, name="count")


def _count(target: Target, engine: ContainerEngine, backup: BackupSet, name: str) -> Written:
    profile = every_field(target.stores[name])
    # A store that a restore empties loses all its records, whenever they were written.
    index = None if profile.emptied else read_index(backup.folder, name, backup.index)

    def counted(collection: str) -> Written:
        try:
            with open_content(name, profile, engine) as content:
                return count_written(content, collection, index, pace_of(profile))
        except Problem as problem:
            return Written(unknown={collection: problem.summary})

    there = standing_collections(name, profile, engine)
    total = Written()
    for written in each(counted, there, workers=profile.load.connections, name="count").values():
        total += written
    for collection, indexed in (index.collections if index else {}).items():
        if collection not in there:
            total.gone += sum(part.records for part in indexed.parts)
    return total


def count_written(content: ContentView, collection: str, index: StoreIndex | None, pace: Pace) -> Written:
    """Count the records of `collection` written since `index` was made.

    Raises:
        Unverifiable: the store does not answer, or the index cannot be read.
    """
    written = Written()
    indexed, digests = indexed_of(content, collection, index, pace)
    differing = [part for part, digest in enumerate(digests) if digest != indexed.digests[part]]
    for part, records in live_parts(content, indexed, differing, pace):
        size = max(digests[part].records, indexed.digests[part].records)
        for before, now in aligned(size, indexed.before(part), records):
            written.add(difference(before, now))
    return written
