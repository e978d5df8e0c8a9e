"""One collection: a shard of the engine, its configuration, and a lock that serialises its users."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path

import qdrant_edge as edge

from .configuration import engine_configuration, index_name, indexing_threshold, reported
from .convert import Json
from .refusal import wrong_input

ARCHIVE_SECONDS = 120


class Collection:
    """An open collection. Its folder holds `collection.json` and the engine's `shard`."""

    def __init__(self, folder: Path) -> None:
        """Open the collection that `folder` holds."""
        description = json.loads((folder / "collection.json").read_text())
        self.name: str = description["name"]
        self.request: Json = description["request"]
        self.folder = folder
        self.lock = threading.RLock()
        self.changed = False
        self.shard = edge.EdgeShard.load(str(folder / "shard"))

    @classmethod
    def create(cls, folder: Path, name: str, request: Json) -> Collection:
        """Create an empty collection in `folder`, which must not exist yet."""
        with wrong_input():
            configuration = engine_configuration(request)
            folder.mkdir(parents=True)
            edge.EdgeShard.create(str(folder / "shard"), configuration).close()
        describe(folder, name, request)
        return cls(folder)

    def update(self, operation: edge.UpdateOperation) -> None:
        """Apply one change; the engine's write-ahead log holds it before this returns."""
        with self.lock, wrong_input():
            self.shard.update(operation)
            self.changed = True
            if indexing_threshold(self.request):
                self.shard.optimize()

    def flush(self) -> None:
        """Write what changed to the segments, so that the write-ahead log can be cut."""
        with self.lock:
            if self.changed:
                self.shard.flush()
                self.changed = False

    def info(self) -> Json:
        """Return what a server reports about a collection."""
        with self.lock:
            shard = self.shard.info()
        return {
            "status": "green",
            "optimizer_status": "ok",
            "points_count": shard.points_count,
            "indexed_vectors_count": shard.indexed_vectors_count,
            "segments_count": shard.segments_count,
            "config": reported(self.request),
            "payload_schema": {
                field: {"data_type": index_name(index.data_type), "points": index.points}
                for field, index in shard.payload_schema.items()
            },
        }

    def archive(self, destination: Path) -> None:
        """Write the collection's folder to the archive `destination`.

        The engine has no way to write a snapshot, and its open files may be ahead of their index. So the
        shard is closed for as long as that takes. GNU tar keeps the holes of its preallocated files.
        """
        with self.lock:
            self.shard.flush()
            self.shard.close()
            try:
                subprocess.run(
                    ["tar", "--sparse", "--create", "--file", str(destination), "."],
                    cwd=self.folder,
                    check=True,
                    timeout=ARCHIVE_SECONDS,
                )
            finally:
                self.shard = edge.EdgeShard.load(str(self.folder / "shard"))

    def close(self) -> None:
        """Flush and release the engine's files."""
        with self.lock:
            self.shard.flush()
            self.shard.close()


def describe(folder: Path, name: str, request: Json) -> None:
    """Write `collection.json`, durably."""
    with (folder / "collection.json").open("w") as file:
        json.dump({"name": name, "request": request}, file)
        file.flush()
        os.fsync(file.fileno())
