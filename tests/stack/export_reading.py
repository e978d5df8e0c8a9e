"""What the tests of exports share: which records are wanted, and what an export says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from fixtures.stores.content import ContentView, Pace
from rollback_actions.stores.export import ExportedRecord, RecordExport, Wanted


def hashes_of(view: ContentView, collection: str) -> Counter[tuple[str, int]]:
    """Return key and hash of every record, and how often each is there."""
    return Counter((record.key, record.hash) for _, record in view.records(collection, ("",), [0], Pace()))


def wanted_of(
    view: ContentView,
    collection: str,
    division: Sequence[str] = ("",),
    keys: Collection[str] | None = None,
) -> dict[int, Wanted]:
    """Return the records with `keys`, or all, by part, as a caller of an export has them."""
    found: dict[int, set[tuple[str, int]]] = {}
    for part, record in view.records(collection, division, range(len(division)), Pace()):
        if keys is None or record.key in keys:
            found.setdefault(part, set()).add((record.key, record.hash))
    return {part: frozenset(records) for part, records in found.items()}


def exported(
    export: RecordExport,
    collection: str,
    wanted: Mapping[int, Wanted],
    folder: Path,
    division: Sequence[str] = ("",),
) -> list[ExportedRecord]:
    """Return what is exported of the records that `wanted` names."""
    return list(export.export(collection, division, wanted, folder, Pace()))
