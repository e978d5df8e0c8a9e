"""What the tests of exports share: records that are wanted, as a caller names them, and what came of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rollproof.stores.contract import ExportedRecord, Pace, Selection, Wanted
from rollproof.stores.reader import Reader
from tests.stack.stores.place import Place


def wanted_of(
    content: Reader,
    collection: str,
    division: Sequence[str] = ("",),
    keys: Collection[str] | None = None,
) -> dict[int, Wanted]:
    """Return the records of `keys`, or all, by part."""
    found: dict[int, set[tuple[str, int]]] = {}
    for part, record in content.records(collection, division, range(len(division)), Pace()):
        if keys is None or record.key in keys:
            found.setdefault(part, set()).add((record.key, record.hash))
    return {part: frozenset(pairs) for part, pairs in found.items()}


def exported(
    export: Reader,
    collection: str,
    wanted: Mapping[int, Wanted],
    folder: Path,
    division: Sequence[str] = ("",),
) -> list[ExportedRecord]:
    """Export `wanted`: nothing else comes, and as JSON can hold it."""
    selection = Selection(collection, division, wanted)
    found = list(export.export(selection, folder, Pace()))
    assert {(record.key, record.hash) for record in found} <= selection.pairs
    for record in found:
        json.dumps([record.content, record.replay], allow_nan=False)
    return found


def put_back(
    place: Place, collection: str, records: Sequence[ExportedRecord], folder: Path, *, overwrite: bool = True
) -> set[str]:
    """Write the records again as the keeper does, by their lines of JSON; return what is left out."""
    with place.keeper().putting(collection, folder, overwrite=overwrite) as put:
        for record in records:
            put.write(ExportedRecord(**json.loads(json.dumps(asdict(record)))))
    return put.left_out
