"""S3's export: current objects, with their contents in files that are named by them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from minio.error import S3Error

from rollproof.collection import Json
from rollproof.stores.canonical import packed
from rollproof.stores.contract import ExportedRecord, Pace, Selection, Wanted
from rollproof.stores.policy import excluded_of
from rollproof.stores.s3.content import (
    GONE,
    IN_FLIGHT,
    USER_HEADER,
    Content,
    ReadObject,
    read_contents,
)
from rollproof.stores.s3.view import translated
from rollproof.system.side_by_side import Workers, batched

OBJECTS = "objects"


class Export(Content):
    """Reads whole current objects. See `RecordExport`.

    It acts as the operator, like backups, and writes nothing to the store: a server may hide an object's tags
    from a reader.
    """

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted objects; their contents are in ``objects`` below `folder`."""
        collection = selection.collection
        objects = folder / OBJECTS
        with translated(self._reach):
            objects.mkdir(mode=0o700, exist_ok=True)
        excluded = excluded_of(self._profile, collection)

        def read(key: str) -> ExportedRecord | None:
            return self._read_whole(collection, key, selection.pairs, excluded, objects)

        # Requested by key, so that the bucket need not be listed.
        keys = sorted({key for key, _ in selection.pairs})
        with Workers(pace.connections * IN_FLIGHT, "s3") as workers:
            for batch in batched(keys, Pace.SMALLEST):
                yield from (record for record in workers.in_order(read, batch) if record is not None)

    def _read_whole(
        self, bucket: str, key: str, wanted: Wanted, excluded: frozenset[str], objects: Path
    ) -> ExportedRecord | None:
        """Read an object into a file, and keep the file, named by its SHA-256, if the object is wanted."""
        self._expect_askable(bucket, key)
        # Each attempt uses the same name, so that a file left by a kill is overwritten.
        place = packed([bucket.encode(), key.encode()])
        part = objects / f".{hashlib.sha256(place).hexdigest()}.part"
        with translated(self._reach):
            client = self._open()
            try:
                descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "wb") as sink:
                    headers, size, sha256 = read_contents(client, self._reach, bucket, key, None, sink)
                    sink.flush()
                    # Several at once, here: the folder is synced when all is there.
                    os.fsync(sink.fileno())
                found = ReadObject(key, headers, size, sha256, self._tags(client, bucket, key, headers))
                known = next((one for one in hashes(found, excluded) if (key, one) in wanted), None)
                if known is None:
                    return None
                part.replace(objects / sha256.hex())
            except S3Error as error:
                if error.code in GONE:
                    return None
                raise
            finally:
                part.unlink(missing_ok=True)
        return ExportedRecord(key, known, shown(bucket, found))


def hashes(found: ReadObject, excluded: frozenset[str]) -> set[int]:
    """Return an object's possible hashes: with its tags, and without, for a reader that cannot see them."""
    return {each.record(excluded).hash for each in (found, replace(found, tags={}))}


def shown(bucket: str, found: ReadObject) -> dict[str, Json]:
    """Return an object's description for people; its bytes are in a file."""
    return {
        "bucket": bucket,
        "key": found.key,
        "version": found.headers.get("x-amz-version-id"),
        "modified": found.headers.get("last-modified"),
        "size": found.size,
        "etag": found.headers.get("etag", "").strip('"'),
        "file": f"{OBJECTS}/{found.sha256.hex()}",
        "content_type": found.headers.get("content-type"),
        "headers": dict(found.own_headers()),
        "metadata": {name.removeprefix(USER_HEADER): value for name, value in found.metadata().items()},
        "tags": dict(found.tags),
    }
