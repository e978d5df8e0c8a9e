"""Snapshots of collections: archives with a checksum, in a folder a collection."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
import uuid
from datetime import UTC, datetime
from pathlib import Path

from .collection import Collection
from .convert import Json
from .refusal import Refusal


class Snapshots:
    """The snapshots under `root`."""

    def __init__(self, root: Path) -> None:
        """Keep them in `root`."""
        self.root = root

    def create(self, collection: Collection) -> Json:
        """Write a snapshot of the collection as it is now, and describe it."""
        folder = self._folder(collection.name)
        folder.mkdir(parents=True, exist_ok=True)
        moment = datetime.now(tz=UTC).strftime("%Y-%m-%d-%H-%M-%S")
        prefix = re.sub(r"[^\w.-]", "_", collection.name, flags=re.ASCII)
        path = folder / f"{prefix}-{uuid.uuid4().int % 10**16}-{moment}.snapshot"
        staged = path.with_suffix(".new")
        collection.archive(staged)
        path.with_suffix(".checksum").write_text(checksum(staged))
        staged.rename(path)
        return self._describe(path)

    def names(self, collection: str) -> list[Json]:
        """Describe the snapshots of a collection, oldest first."""
        found = self._folder(collection).glob("*.snapshot")
        return [self._describe(path) for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]

    def path(self, collection: str, name: str) -> Path:
        """Return the file of a snapshot, else refuse with 404."""
        path = self._folder(collection) / name
        if path.suffix != ".snapshot" or path.name != name or not path.is_file():
            raise Refusal(404, f"Not found: Snapshot {name} not found")
        return path

    def delete(self, collection: str, name: str) -> None:
        """Delete one snapshot."""
        path = self.path(collection, name)
        path.unlink()
        path.with_suffix(".checksum").unlink()

    def _folder(self, collection: str) -> Path:
        return self.root / urllib.parse.quote(collection, safe="")

    def _describe(self, path: Path) -> Json:
        status = path.stat()
        return {
            "name": path.name,
            "size": status.st_size,
            "creation_time": datetime.fromtimestamp(status.st_mtime, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "checksum": path.with_suffix(".checksum").read_text(),
        }


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, expected: str | None) -> None:
    """Refuse a snapshot whose checksum is not the expected one; None expects nothing."""
    if expected is None:
        return
    observed = checksum(path)
    if observed != expected:
        raise Refusal(400, f"Wrong input: Snapshot checksum mismatch: expected {expected}, got {observed}")
