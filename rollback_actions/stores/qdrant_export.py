"""Qdrant, its export: points as the server gives them, each in a request that writes it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shlex import join, quote
from typing import Any

import orjson

from fixtures.stores.content import Pace
from fixtures.stores.qdrant import path_of
from fixtures.stores.qdrant_content import Content
from rollback_actions.stores.export import ExportedRecord, Wanted
from rollback_actions.stores.vector_export import exported_by_key

# The file, with a mode of 600, that holds the header with the key: on a command line everybody could read it.
HEADER_FILE = "QDRANT_HEADER_FILE"


class Export(Content):
    """Reads whole points, as the reader: it sees what was hashed, vectors and all, and can change nothing.

    See `RecordExport`. Where the distance is Cosine, a vector is the normalised one that Qdrant stores: it
    takes that again as it is.
    """

    def how_to_replay(self, collection: str) -> str:
        """Return a loop over the lines that stops at the first one which is refused."""
        endpoint = self._rest.reach.endpoint
        url = f"{'https' if endpoint.tls else 'http'}://{self._rest.reach.address}{path_of(collection)}"
        request = ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "60"]
        request += ["--request", "PUT", "--header", "Content-Type: application/json", "--data-binary", "@-"]
        if endpoint.ca:
            request += ["--cacert", str(endpoint.ca)]
        command = join([*request, f"{url}/points?wait=true"])
        if self._profile.operator is not None:
            command += f' --header "@${{{HEADER_FILE}:?a file with the line api-key: KEY of the operator}}"'
        return f"split --lines=1 --filter={quote(command)}"

    def export(
        self,
        collection: str,
        division: Sequence[str],
        wanted: Mapping[int, Wanted],
        folder: Path,
        pace: Pace,
    ) -> Iterator[ExportedRecord]:
        """Yield the points of `wanted`, asked for by their ids."""
        points = self._points(collection)

        def read(keys: Sequence[str]) -> list[ExportedRecord]:
            rows = self._rest.call(
                "POST",
                f"{path_of(collection)}/points",
                {
                    "ids": [int(key) if key.isdecimal() else key for key in keys],
                    "with_payload": True,
                    "with_vector": True,
                },
            )
            return [_exported(row, points.hashed(row).hash) for row in rows]

        yield from exported_by_key(wanted, read, pace)


def _exported(row: Mapping[str, Any], hashed: int) -> ExportedRecord:
    # A point need not have a vector, but a request has to say so.
    point = {"id": row["id"], "vector": row.get("vector") or {}, "payload": row.get("payload") or {}}
    return ExportedRecord(str(row["id"]), hashed, point, orjson.dumps({"points": [point]}).decode())
