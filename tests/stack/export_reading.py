"""What the tests of exports share: which records are wanted, and what an export says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from fixtures.stores.content import ContentView, Pace
from rollback_actions.stores.export import ExportedRecord, RecordExport, Wanted


def hashes_of(view: ContentView, collection: str) -> Counter[tuple[str, int]]:
    """Return key and hash of every record, and how often each is there."""
    return Counter((record.key, record.hash) for _, record in view.records(collection, ("",), [0], Pace()))


def exported(
    export: RecordExport,
    collection: str,
    wanted: Mapping[int, Wanted],
    folder: Path,
    division: Sequence[str] = ("",),
) -> list[ExportedRecord]:
    """Return what is exported of the records that `wanted` names."""
    return list(export.export(collection, division, wanted, folder, Pace()))
