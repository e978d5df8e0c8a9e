"""What the tests of exports share: records that are wanted, as a caller names them, and what came of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from fixtures.stores.content import ContentView, Pace
from rollback_actions.stores.export import ExportedRecord, RecordExport, Wanted
from tests.stack.content_reading import recorded

SECONDS = 60


def wanted_of(
    content: ContentView,
    collection: str,
    division: Sequence[str] = ("",),
    keys: Collection[str] | None = None,
) -> dict[int, Wanted]:
    """Return the records of `keys`, or all, by part."""
    found: dict[int, set[tuple[str, int]]] = {}
    for part, record in recorded(content, collection, division):
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
    """Export `wanted`: each record at most once, nothing else, in lines that JSON can hold."""
    found = list(export.export(collection, division, wanted, folder, Pace()))
    pairs = [(record.key, record.hash) for record in found]
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) <= {pair for pairs in wanted.values() for pair in pairs}
    for record in found:
        assert record.replay
        assert not {"\n", "\r"} & set(record.replay)
        json.dumps(record.content, allow_nan=False)
    return found


def expect_all_exported(
    export: RecordExport, content: ContentView, collection: str, folder: Path, size: int
) -> list[ExportedRecord]:
    """Export every record, in parts of `size`: what comes is what `content` tells of."""
    division = content.divide(collection, size)
    wanted = wanted_of(content, collection, division)
    found = exported(export, collection, wanted, folder, division)
    assert {(r.key, r.hash) for r in found} == {pair for pairs in wanted.values() for pair in pairs}
    return found


def expect_only_what_is_wanted(
    export: RecordExport,
    content: ContentView,
    collection: str,
    folder: Path,
    keys: Sequence[str],
    spoil: Callable[[], object],
) -> None:
    """Want `keys`, of which `spoil` removes the first and changes the second: the others alone are exported.

    The parts are large, so that they hold records that nobody wants.
    """
    division = content.divide(collection, 5)
    wanted = wanted_of(content, collection, division, keys)
    assert sum(len(pairs) for pairs in wanted.values()) == len(keys)
    found = exported(export, collection, wanted, folder, division)
    assert {record.key for record in found} == set(keys)
    spoil()
    found = exported(export, collection, wanted, folder, division)
    assert {record.key for record in found} == set(keys[2:])


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
