"""What the tests of exports share: records that are wanted, as a caller names them, and what came of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from rollproof.stores.contract import ContentView, ExportedRecord, Pace, RecordExport, Selection, Wanted

SECONDS = 240


def wanted_of(
    content: ContentView,
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
    export: RecordExport,
    collection: str,
    wanted: Mapping[int, Wanted],
    folder: Path,
    division: Sequence[str] = ("",),
) -> list[ExportedRecord]:
    """Export `wanted`: nothing else comes, in single lines, and as JSON can hold it."""
    selection = Selection(collection, division, wanted)
    found = list(export.export(selection, folder, Pace()))
    assert {(record.key, record.hash) for record in found} <= selection.pairs
    for record in found:
        assert not {"\n", "\r"} & set(record.replay)
        json.dumps(record.content, allow_nan=False)
    return found


def replayed(
    export: RecordExport,
    collection: str,
    records: Sequence[ExportedRecord],
    folder: Path,
    environment: Mapping[str, str],
) -> subprocess.CompletedProcess[str]:
    """Give the lines to the command that the export names, as a person would, and return how it ended."""
    return subprocess.run(
        ["sh", "-c", export.how_to_replay(collection)],
        input="".join(f"{record.replay}\n" for record in records),
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
