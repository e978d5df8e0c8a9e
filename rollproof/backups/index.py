"""The index of a backup set: key and hash of every record in its stores just before the backup began.

A record that later has the same hash has not been written since, so the backup holds it unchanged. Records
missing from the index were written after it was made; they are exported before a restore overwrites them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, reason_of
from rollproof.profile.profile import Target
from rollproof.profile.sections import StoreProfile
from rollproof.stores.blocks import Counted, new_blocks, read_block, read_parts, write_block
from rollproof.stores.contract import CollectionsView, ContentView, DatabasesContent, Digest, Pace, RecordHash
from rollproof.stores.policy import pace_of
from rollproof.stores.registry import open_content, open_view
from rollproof.system.files import sha256_of
from rollproof.system.record_files import Must, Natural, WrongRecord, load_record, write_record
from rollproof.system.side_by_side import each

FOLDER = "index"
RECORDS = "records"
PART = 10_000
"""Records a part: records written since are searched for, and held in memory, part by part."""

Hexadecimal = Annotated[str, Must("hexadecimal", re.compile(r"[0-9a-f]+").fullmatch)]
Block = tuple[Natural, Natural]
"""Offset and length of one part's records in a file of `rollproof.stores.blocks`."""


def _is_below(name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts


@dataclass(frozen=True, slots=True)
class DigestedPart:
    """One part of a collection: its first bound, its record count, and the sum of their hashes."""

    bound: str
    records: Natural
    total: Hexadecimal

    @property
    def digest(self) -> Digest:
        """The part's digest."""
        return Digest(self.records, int(self.total, 16))


def division_of(parts: Iterable[DigestedPart]) -> tuple[str, ...]:
    """Return the bounds at which `parts` begin."""
    return tuple(part.bound for part in parts)


@dataclass(frozen=True, slots=True)
class Part(DigestedPart):
    """One part of a collection in an index, and the block with its records."""

    block: Block


@dataclass(frozen=True, slots=True)
class IndexedCollection:
    """A collection at the time of the index; the file `records`, below the index, holds its records."""

    parts: Annotated[tuple[Part, ...], Must("at least one part", bool)]
    records: Annotated[str, Must("a file inside of the index", _is_below)]

    @property
    def division(self) -> tuple[str, ...]:
        """The bounds at which its parts begin."""
        return division_of(self.parts)


@dataclass(frozen=True, slots=True)
class IndexFile:
    """The index of one store: its collections, by name."""

    collections: Mapping[str, IndexedCollection]


@dataclass(frozen=True, slots=True)
class StoreIndex(IndexFile):
    """An index that was read; `folder` is the index's own folder."""

    folder: Path

    def read(self, collection: str, part: int) -> Iterator[RecordHash]:
        """Yield the records of one part; raises `Unverifiable` when they cannot be read."""
        found = self.collections[collection]
        return read_block(self.folder / found.records, *found.parts[part].block)


def every_field(profile: StoreProfile) -> StoreProfile:
    """Return `profile` without exclusions: a restore overwrites excluded fields too."""
    return profile.model_copy(update={"exclude": {}})


def listed_collections(name: str, profile: StoreProfile, engine: ContainerEngine) -> list[str]:
    """Return the store's collections, whatever their policy; where the kind can list them, none is read.

    So one that cannot be read does not hide its neighbours.
    """
    with closing(open_view(name, profile, engine)) as view:
        return list(view.collections() if isinstance(view, CollectionsView) else view.counts())


def standing_collections(name: str, profile: StoreProfile, engine: ContainerEngine) -> list[str]:
    """Return the store's collections, leaving out databases that a migration has dropped."""
    with open_content(name, profile, engine) as content:
        if not isinstance(content, DatabasesContent):
            return listed_collections(name, profile, engine)
        left = content.standing()
    return listed_collections(name, profile.model_copy(update={"databases": left}), engine) if left else []


def write_index(target: Target, engine: ContainerEngine, name: str, folder: Path) -> int:
    """Write the index of store `name` into the existing `folder`; return its number of records.

    Raises:
        Problem: the store does not answer, or holds a collection that its reader cannot read.
    """
    profile = every_field(target.stores[name])
    names = listed_collections(name, profile, engine)

    def indexed(numbered: tuple[int, str]) -> IndexedCollection:
        number, collection = numbered
        # Each collection has its own reader: readers share no connection.
        with open_content(name, profile, engine) as content:
            records = f"{RECORDS}/{name}/{number:04d}.blocks"
            return _index_collection(content, collection, folder, records, pace_of(profile))

    found = each(indexed, enumerate(names), workers=profile.load.connections, name="index")
    index = IndexFile({collection: one for (_, collection), one in found.items()})
    write_record(folder / f"{name}.json", index)
    return sum(part.records for collection in found.values() for part in collection.parts)


def read_index(folder: Path, name: str, hashes: Mapping[str, str]) -> StoreIndex:
    """Return the index of store `name` in the backup set `folder`; its files must match these SHA-256.

    Raises:
        ActionFailed: it is missing, or changed since it was written.
    """
    index = folder / FOLDER
    try:
        found = load_record(IndexFile, index / f"{name}.json")
        files = [f"{name}.json", *{collection.records for collection in found.collections.values()}]
        changed = [file for file in files if hashes.get(f"{FOLDER}/{file}") != sha256_of(index / file)]
    except OSError as error:
        raise _refused(index, f"{reason_of(error)}: {name}.json") from None
    except WrongRecord as error:
        raise _refused(index, f"{error}, in {name}.json") from None
    if changed:
        raise _refused(index, f"another content of {changed[0]}")
    return StoreIndex(found.collections, index)


def _index_collection(
    content: ContentView, collection: str, folder: Path, records: str, pace: Pace
) -> IndexedCollection:
    division = content.divide(collection, PART)
    every = range(len(division))
    parts: list[Part] = []
    with new_blocks(folder / records) as stream:
        for part, found in read_parts(content, collection, division, every, pace):
            counted = Counted(found)
            block = write_block(stream, counted)
            digest = counted.digest
            parts.append(
                Part(bound=division[part], records=digest.records, total=f"{digest.total:x}", block=block)
            )
    return IndexedCollection(parts=tuple(parts), records=records)


def _refused(folder: Path, observed: str) -> ActionFailed:
    return ActionFailed(
        what="index of a backup set",
        expected="the files that the backup wrote",
        observed=observed,
        source=str(folder),
        hint="without it every record counts as written since the backup, and is exported before a restore",
    )
