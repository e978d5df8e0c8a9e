"""Qdrant's export: points as the server gives them, which it takes again unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rollproof.stores.contract import ExportedRecord, Pace, Selection
from rollproof.stores.qdrant.content import Content
from rollproof.stores.qdrant.view import path_of
from rollproof.stores.vectors import exported_by_key


class Export(Content):
    """Reads whole points as the reader, who sees all hashed data, vectors included, and can change nothing.

    See `RecordExport`. For the distance Cosine, vectors are normalised, as Qdrant stores them; written again,
    they stay the same.
    """

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted points, requested by id."""
        points = self._table(selection.collection)

        def read(keys: Sequence[str]) -> list[ExportedRecord]:
            rows = self._rest.call(
                "POST",
                f"{path_of(selection.collection)}/points",
                {
                    "ids": [int(key) if key.isdecimal() else key for key in keys],
                    "with_payload": True,
                    "with_vector": True,
                },
            )
            return [_exported(row, points.hashed(row).hash) for row in rows]

        yield from exported_by_key(selection, read, pace)


def _exported(row: Mapping[str, Any], hashed: int) -> ExportedRecord:
    # A point need not have a vector, but a request must have the field.
    point = {"id": row["id"], "vector": row.get("vector") or {}, "payload": row.get("payload") or {}}
    return ExportedRecord(str(row["id"]), hashed, point)
