"""Recording the content of a store: schemas, and of each collection its division, digests and records."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ActionFailed, listed
from fixtures.policy import compared_of, excluded_of, policy_of
from fixtures.record_blocks import new_blocks, write_block
from fixtures.recorded import RecordedCollection, RecordedContent
from fixtures.stores.content import (
    ContentView,
    Digest,
    Json,
    MovingContent,
    Neighbours,
    Pace,
    RecordHash,
    SearchableContent,
)
from fixtures.stores.factory import open_content
from fixtures.stores.profiles import StoreProfile
from fixtures.target import Target

PART = 10_000
"""Records a part: few enough to name what differs in one quickly, many enough that parts cost nothing."""
GOLDEN_QUERIES, GOLDEN_NEIGHBOURS = 3, 5


def record_content(
    target: Target, engine: ContainerEngine, store: str, counts: Mapping[str, int], folder: Path
) -> RecordedContent:
    """Read the content of `store`, write its records below `folder`, and return what describes it.

    `counts` names its collections; what follows from one, such as the versions of a bucket, has a schema too.

    Raises:
        Problem: the store does not answer, a collection that was counted cannot be read, or what must not
            change changed while it was read.
    """
    profile = target.stores[store]
    with open_content(store, profile, engine) as content:
        schemas = content.schemas()
        names = compared_of(profile, counts, schemas)
        _require_readable(store, names, schemas)
        records = folder / "records" / store

        def recorded(number: int, name: str) -> RecordedCollection:
            # A reader of its own: readers share no connection.
            with open_content(store, profile, engine) as reader:
                return record_collection(reader, profile, name, records / f"{number:04d}.blocks", folder)

        with ThreadPoolExecutor(profile.load.connections) as pool:
            found = list(pool.map(recorded, range(len(names)), names))
        return RecordedContent(
            schemas=schemas,
            collections=dict(zip(names, found, strict=True)),
            positions=content.positions() if isinstance(content, MovingContent) else {},
            blind_spots=content.blind_spots,
        )


def _require_readable(store: str, names: Sequence[str], schemas: Mapping[str, Json]) -> None:
    """Refuse a baseline that would know the number of a collection's records and not their content."""
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
    content: ContentView, profile: StoreProfile, name: str, path: Path, folder: Path
) -> RecordedCollection:
    """Write the records of one collection to `path`, which is below `folder`, and return what describes it.

    Raises:
        Problem: the store does not answer, or what must not change changed while it was read.
    """
    pace = Pace(connections=profile.load.connections, chunk_seconds=profile.load.chunk_seconds)
    division = content.divide(name, PART)
    every = range(len(division))
    digests, blocks = [Digest(0, 0)] * len(division), [(0, 0)] * len(division)
    with new_blocks(path) as stream:
        for part, records in groupby(content.records(name, division, every, pace), key=lambda pair: pair[0]):
            counted = Counted(record for _, record in records)
            blocks[part] = write_block(stream, counted)
            digests[part] = counted.digest
    started = time.monotonic()
    again = dict(content.digest(name, division, every, pace))
    seconds = time.monotonic() - started
    differing = [part for part in every if again[part] != digests[part]]
    if differing and policy_of(profile, name) == "exact":
        raise ActionFailed(
            what=f"content of {name}",
            expected="the same digest twice, policy exact",
            observed=f"{len(differing)} of {len(division)} parts changed while they were read",
            source=content.name,
            hint="stop what writes to it, or give it the policy grows or volatile in the profile",
        )
    return RecordedCollection(
        division=division,
        digests=tuple(digests),
        records=str(path.relative_to(folder)),
        blocks=tuple(blocks),
        excluded=tuple(sorted(excluded_of(profile, name))),
        seconds=seconds,
        golden=_golden(content, name),
    )


def _golden(content: ContentView, name: str) -> tuple[Neighbours, ...]:
    if not isinstance(content, SearchableContent):
        return ()
    return content.golden(name, GOLDEN_QUERIES, GOLDEN_NEIGHBOURS)


class Counted(Iterator[RecordHash]):
    """Records that are digested as they pass by."""

    def __init__(self, records: Iterator[RecordHash]) -> None:
        """Take the records."""
        self._records = records
        self.digest = Digest(0, 0)

    def __next__(self) -> RecordHash:
        """Return the next record."""
        record = next(self._records)
        self.digest += Digest(1, record.hash)
        return record
