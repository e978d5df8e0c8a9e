"""Qdrant's export: points as the server gives them, each in a request that writes it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shlex import join, quote
from typing import Any

import orjson

from rollproof.stores.contract import ExportedRecord, Pace, Selection
from rollproof.stores.qdrant.content import Content
from rollproof.stores.qdrant.view import path_of
from rollproof.stores.vectors import exported_by_key

# Names the file, of mode 600, with the key's header: on a command line everybody could read the key.
HEADER_FILE = "QDRANT_HEADER_FILE"


class Export(Content):
    """Reads whole points as the reader, who sees all hashed data, vectors included, and can change nothing.

    See `RecordExport`. For the distance Cosine, vectors are normalised, as Qdrant stores them; written again,
    they stay the same.
    """

    def how_to_replay(self, collection: str) -> str:
        """Return a loop over the lines that stops at the first refused line."""
        request = ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "60"]
        request += ["--request", "PUT", "--header", "Content-Type: application/json", "--data-binary", "@-"]
        if self._reach.endpoint.ca:
            request += ["--cacert", str(self._reach.endpoint.ca)]
        command = join([*request, f"{self._reach.url}{path_of(collection)}/points?wait=true"])
        if self._profile.operator is not None:
            command += f' --header "@${{{HEADER_FILE}:?a file with the line api-key: KEY of the operator}}"'
        return f"split --lines=1 --filter={quote(command)}"

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
    return ExportedRecord(str(row["id"]), hashed, point, orjson.dumps({"points": [point]}).decode())
