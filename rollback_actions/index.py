"""The index of a backup set: key and hash of every record that its stores held just before the backup began.

A record that is there with the same hash later has not been written since, so the backup holds it as it is.
What is not in the index was written after it was made: before a restore overwrites that, it is exported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ActionFailed
from fixtures.files import sha256_of, write_whole
from fixtures.record_blocks import new_blocks, read_block, write_block
from fixtures.stores.content import ContentView, DatabasesContent, Digest, Pace, RecordHash
from fixtures.stores.factory import open_content, open_view
from fixtures.stores.profiles import AnyStore
from fixtures.target import Target
from rollback_actions.contents import Counted

FOLDER = "index"
RECORDS = "records"
PART = 10_000
"""Records a part: what was written since is looked for, and held in memory, part by part."""

Natural = Annotated[int, Field(ge=0)]
Block = tuple[Natural, Natural]
"""Offset and length of one part's records in a file of `fixtures.record_blocks`."""


class Frozen(BaseModel):
    """Part of a record on disk: frozen, and refused when it is not exactly as it was written."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(Frozen):
    """One part of a collection: where it begins, how many records it had, the sum of their hashes."""

    bound: str
    records: Natural
    total: Annotated[str, Field(pattern=r"^[0-9a-f]+$")]
    block: Block

    @property
    def digest(self) -> Digest:
        """Its digest."""
        return Digest(self.records, int(self.total, 16))


class IndexedCollection(Frozen):
    """A collection as it was; its records are in the file `records` below the index."""

    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    records: str

    @property
    def division(self) -> tuple[str, ...]:
        """Where its parts begin."""
        return tuple(part.bound for part in self.parts)


class StoreIndex(Frozen):
    """The collections of one store; `folder` is where it was read from."""

    collections: dict[str, IndexedCollection]
    folder: Annotated[Path, Field(exclude=True)] = Path()

    def read(self, collection: str, part: int) -> Iterator[RecordHash]:
        """Yield the records of one part; raises `Unverifiable` when they cannot be read."""
        found = self.collections[collection]
        return read_block(self.folder / found.records, *found.parts[part].block)

    @model_validator(mode="after")
    def _inside(self) -> Self:
        for name, collection in self.collections.items():
            path = Path(collection.records)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"records of {name} outside of the index")
        return self


def every_field(profile: AnyStore) -> AnyStore:
    """Return `profile` without exclusions: what a digest may leave out is lost all the same."""
    return profile.model_copy(update={"exclude": {}})


def pace_of(profile: AnyStore) -> Pace:
    """Return how hard the store may be asked."""
    return Pace(connections=profile.load.connections, chunk_seconds=profile.load.chunk_seconds)


def counted_collections(name: str, profile: AnyStore, engine: ContainerEngine) -> list[str]:
    """Return the collections of a store that records are counted in, whatever their policy."""
    with closing(open_view(name, profile, engine)) as view:
        return list(view.counts())


def standing_collections(name: str, profile: AnyStore, engine: ContainerEngine) -> list[str]:
    """Return the collections of a store, of which a migration may have dropped whole databases."""
    with open_content(name, profile, engine) as content:
        if not isinstance(content, DatabasesContent):
            return counted_collections(name, profile, engine)
        left = content.standing()
    return counted_collections(name, profile.model_copy(update={"databases": left}), engine) if left else []


def write_index(target: Target, engine: ContainerEngine, name: str, folder: Path) -> int:
    """Write the index of store `name` into `folder`, which is there; return how many records it has.

    Raises:
        Problem: the store does not answer, or holds a collection that its reader cannot read.
    """
    profile = every_field(target.stores[name])
    names = counted_collections(name, profile, engine)

    def indexed(number: int, collection: str) -> IndexedCollection:
        # A reader of its own: readers share no connection.
        with open_content(name, profile, engine) as content:
            records = f"{RECORDS}/{name}/{number:04d}.blocks"
            return _index_collection(content, collection, folder, records, pace_of(profile))

    with ThreadPoolExecutor(profile.load.connections) as pool:
        found = dict(zip(names, pool.map(indexed, range(len(names)), names), strict=True))
    index = StoreIndex(collections=found)
    write_whole(folder / f"{name}.json", index.model_dump_json(indent=1).encode())
    return sum(part.records for collection in found.values() for part in collection.parts)


def read_index(folder: Path, name: str, hashes: Mapping[str, str]) -> StoreIndex:
    """Return the index of store `name` in the backup set `folder`, whose files must have these SHA-256.

    Raises:
        ActionFailed: it is not there, or not as it was written.
    """
    index = folder / FOLDER
    try:
        found = StoreIndex.model_validate_json((index / f"{name}.json").read_bytes())
        files = [f"{name}.json", *{collection.records for collection in found.collections.values()}]
        changed = [file for file in files if hashes.get(f"{FOLDER}/{file}") != sha256_of(index / file)]
    except (OSError, ValidationError) as error:
        raise _refused(index, f"{type(error).__name__} in {name}.json") from None
    if changed:
        raise _refused(index, f"another content of {changed[0]}")
    return found.model_copy(update={"folder": index})


def read_parts(
    content: ContentView, collection: str, division: tuple[str, ...], parts: range | list[int], pace: Pace
) -> Iterator[tuple[int, Iterator[RecordHash]]]:
    """Yield each of `parts` that has records, with these; they are to be read before the next part."""
    found = content.records(collection, division, parts, pace)
    for part, records in groupby(found, key=lambda pair: pair[0]):
        yield part, (record for _, record in records)


def _index_collection(
    content: ContentView, collection: str, folder: Path, records: str, pace: Pace
) -> IndexedCollection:
    division = content.divide(collection, PART)
    every = range(len(division))
    parts = {part: Part(bound=division[part], records=0, total="0", block=(0, 0)) for part in every}
    with new_blocks(folder / records) as stream:
        for part, found in read_parts(content, collection, division, every, pace):
            counted = Counted(found)
            block = write_block(stream, counted)
            digest = counted.digest
            parts[part] = Part(
                bound=division[part], records=digest.records, total=f"{digest.total:x}", block=block
            )
        for part in every:
            if not parts[part].records:
                parts[part] = parts[part].model_copy(update={"block": write_block(stream, ())})
    return IndexedCollection(parts=tuple(parts[part] for part in every), records=records)


def _refused(folder: Path, observed: str) -> ActionFailed:
    return ActionFailed(
        what="index of a backup set",
        expected="the files that the backup wrote",
        observed=observed,
        source=str(folder),
        hint="without it every record counts as written since the backup, and is exported before a restore",
    )
