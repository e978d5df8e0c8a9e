"""How much a restore would lose: what was written to each store since a backup, counted; changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import Problem
from fixtures.stores.factory import open_content
from fixtures.target import Target
from rollback_actions.backup import BackupSet, each_store
from rollback_actions.changes import Written, count_written
from rollback_actions.index import every_field, pace_of, read_index, standing_collections


def written_since(
    target: Target, engine: ContainerEngine, backup: BackupSet, names: Iterable[str]
) -> Mapping[str, Written | str]:
    """Return what was written to each of the stores `names` since `backup`; why it is not known, as text."""

    def counted(name: str) -> Written | str:
        try:
            return _count(target, engine, backup, name)
        except Problem as problem:
            return problem.summary

    return each_store(names, counted)


def _count(target: Target, engine: ContainerEngine, backup: BackupSet, name: str) -> Written:
    profile = every_field(target.stores[name])
    # Of a store that a restore empties, all is lost, whenever it was written.
    index = None if profile.emptied else read_index(backup.folder, name, backup.index)

    def counted(collection: str) -> Written:
        with open_content(name, profile, engine) as content:
            return count_written(content, collection, index, pace_of(profile))

    there = standing_collections(name, profile, engine)
    total = Written()
    with ThreadPoolExecutor(profile.load.connections) as pool:
        for written in pool.map(counted, there):
            total += written
    for collection, indexed in (index.collections if index else {}).items():
        if collection not in there:
            total.gone += sum(part.records for part in indexed.parts)
    return total
