"""The possible loss of a restore: records written to each store since a backup, counted; changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import Problem
from fixtures.losses.changes import Written, count_written
from fixtures.losses.index import every_field, pace_of, read_index, standing_collections
from fixtures.stores.registry import open_content
from fixtures.system.side_by_side import each, every
from fixtures.target.profile import Target
from rollback_actions.backup.sets import BackupSet


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
        with open_content(name, profile, engine) as content:
            return count_written(content, collection, index, pace_of(profile))

    there = standing_collections(name, profile, engine)
    total = Written()
    for written in each(counted, there, workers=profile.load.connections, name="count").values():
        total += written
    for collection, indexed in (index.collections if index else {}).items():
        if collection not in there:
            total.gone += sum(part.records for part in indexed.parts)
    return total
