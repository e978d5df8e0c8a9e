"""Recording a store: what it says of itself, and its content.

The content is its schemas, and each collection's division, digests and records.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rollproof.baseline.facts import RecordedCollection, RecordedContent, RecordedStore
from rollproof.baseline.sight import require_whole_sight
from rollproof.collection import Json
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, listed
from rollproof.profile.profile import Target
from rollproof.profile.sections import StoreProfile
from rollproof.stores.contract import LOAD_STATE, LOADED
from rollproof.stores.policy import compared_of, excluded_of, pace_of, policy_of
from rollproof.stores.reader import Reader
from rollproof.stores.registry import ReaderOpener, open_reader
from rollproof.stores.snapshot import PART, Snapshot, read_parts
from rollproof.system.side_by_side import each

QUERIES = 3


def record_store(
    target: Target, engine: ContainerEngine, name: str, open_reader: ReaderOpener = open_reader
) -> RecordedStore:
    """Return what the store `name` says of itself; raises `Problem` if it does not answer."""
    with open_reader(name, target.stores[name], engine) as view:
        server = view.ask().server
        return RecordedStore(view.kind, server, dict(view.counts()), view.marks())


def record_content(
    target: Target,
    engine: ContainerEngine,
    store: str,
    counts: Mapping[str, int],
    folder: Path,
    open_reader: ReaderOpener = open_reader,
) -> RecordedContent:
    """Read the content of `store`, write its records below `folder`, and return its description.

    `counts` names its collections. Derived ones, such as a bucket's versions, are found by their schemas.

    Raises:
        Problem: the store does not answer, hides a part from the account, or a counted collection cannot be
            read. Or a collection with policy exact changed while it was read.
    """
    profile = target.stores[store]
    with open_reader(store, profile, engine) as content:
        schemas = content.schemas()
        sight = require_whole_sight(content, lambda: schemas)
        names = compared_of(profile, counts, schemas)
        _require_readable(store, names, schemas)
        file = f"records/{store}.db"

        with Snapshot(folder / file, new=True) as snapshot:

            def recorded(name: str) -> RecordedCollection:
                # Each collection has its own reader: readers share no connection.
                with open_reader(store, profile, engine) as reader:
                    return record_collection(reader, profile, name, snapshot, file)

            found = each(recorded, names, workers=profile.load.connections, name="recording")
        if not all(_is_loaded(schema) for schema in schemas.values()):
            # A collection that was still loading has been read to its end since.
            schemas = content.schemas()
        return RecordedContent(
            schemas=schemas,
            collections=found,
            positions=content.positions(),
            blind_spots=content.blind_spots,
            sight=sight,
            beside=content.beside(),
        )


def _is_loaded(schema: Json) -> bool:
    return not isinstance(schema, dict) or schema.get(LOAD_STATE, LOADED) == LOADED


def _require_readable(store: str, names: Sequence[str], schemas: Mapping[str, Json]) -> None:
    """Refuse a baseline that would hold a collection's record count without its content."""
    unread = [name for name in names if name not in schemas]
    if unread:
        raise ActionFailed(
            what=f"content of {store}",
            expected="every collection that was counted, unless its policy is volatile",
            observed=f"no schema of {listed(unread)}",
            source=store,
            hint="dropped since it was counted: capture again. Else the reader may not see it: grant it that",
        )


def record_collection(
    content: Reader, profile: StoreProfile, name: str, snapshot: Snapshot, file: str
) -> RecordedCollection:
    """Write one collection's records to `snapshot`, the baseline's `file`, and return its description.

    Raises:
        Problem: the store does not answer, or a collection with policy exact changed while it was read.
    """
    pace = pace_of(profile)
    division = content.divide(name, PART)
    every = range(len(division))
    parts = read_parts(content, name, division, every, pace)
    digests = [snapshot.add(name, part, division[part], records) for part, records in parts]
    started = time.monotonic()
    again = dict(content.digest(name, division, every, pace))
    seconds = time.monotonic() - started
    differing = [part for part in every if again[part] != digests[part]]
    if differing and not policy_of(profile, name).allows_added:
        raise ActionFailed(
            what=f"content of {name}",
            expected="the same digest twice, policy exact",
            observed=f"{len(differing)} of {len(division)} parts changed while they were read",
            source=content.name,
            hint="stop what writes to it, or give it the policy grows or volatile in the profile",
        )
    queries = content.vectors(name, QUERIES)
    return RecordedCollection(
        division=division,
        digests=tuple(digests),
        records=file,
        excluded=tuple(sorted(excluded_of(profile, name))),
        seconds=seconds,
        queries=queries,
        recall=content.recall(name, queries),
    )
