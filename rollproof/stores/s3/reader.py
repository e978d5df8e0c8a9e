"""S3, read side: the current objects in the profile's buckets, counted by listing them, each read whole."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from minio.datatypes import Object
from minio.error import S3Error
from minio.versioningconfig import OFF

from rollproof.collection import Json
from rollproof.stores.canonical import packed, record_of
from rollproof.stores.contract import ExportedRecord, Pace, QueryAnswer, RecordHash, Selection, Unlisted
from rollproof.stores.listed import Listed
from rollproof.stores.names import Name
from rollproof.stores.policy import excluded_of
from rollproof.stores.reach import Readable
from rollproof.stores.s3.client import DENIED, S3, SETTINGS, settings_of
from rollproof.stores.s3.descriptor import VERSIONS, S3Profile
from rollproof.stores.s3.objects import NO_VERSION, StoredObject, link, look_at, read_object
from rollproof.system.side_by_side import Workers, batched, each

# Limits for `ask`: objects to list, and bytes to read from the first.
ASKED_OBJECTS = 1000
ASKED_BYTES = 1024
# Objects looked for side by side.
WORKERS = 8
# Requests under way at a time, for each allowed connection: most of their time is spent waiting for the
# server. More than 8 in all were no faster.
IN_FLIGHT = 4
PAGE = 1000
# Objects read as one request at most.
BATCH = 2000
# A large object counts as one additional record for each so many bytes.
UNIT_BYTES = 64 << 10
GONE = frozenset({"NoSuchKey", "NoSuchVersion", "MethodNotAllowed"})  # the last: a delete marker
OBJECTS = "objects"


class S3Reader(Listed):
    """Reads the profile's buckets: every current object whole, every version as the server lists it.

    A part begins at a key, compared by code points. An object has the fields size, content, content_type,
    headers, metadata and tags; a version has size, etag and delete_marker. Whole objects are read as the
    operator: a server may hide an object's tags from a reader.
    """

    _profile: S3Profile

    blind_spots: tuple[str, ...] = (
        "version id, time and ETag of a current object are not compared: a restore makes a new version",
        "of a noncurrent version, the ETag is compared and the content is not read",
        "access lists, retention, legal holds, encryption and the header Expires of single objects",
        "access lists, notifications, replication and storage class of buckets and objects are not compared",
        "tags of objects are not seen where the server hides their number from the reader",
        "a setting of a bucket that the reader may not read is recorded as denied: no change of it is seen",
        "what a server leaves out of its listing is not seen: SeaweedFS may where a key is a folder too",
    )

    def __init__(self, readable: Readable[S3Profile]) -> None:
        """Keep the access data; the first question connects."""
        super().__init__(readable)
        connections = max(WORKERS, self._profile.load.connections * IN_FLIGHT)
        self._server = S3(self._reach, self._profile.region, connections)

    def close(self) -> None:
        """Close the connections, if there are any."""
        self._server.close()

    def holdings(self) -> Mapping[str, Any]:
        """Return the buckets that the account sees."""
        with self._server.asked("its buckets") as client:
            return {"buckets": sorted(bucket.name for bucket in client.list_buckets())}

    def ask(self) -> QueryAnswer:
        """List up to `ASKED_OBJECTS` objects in the first non-empty bucket, and read from the first."""
        with self._server.asked("a list of objects") as client:
            for bucket in self._profile.buckets:
                listed = list(islice(client.list_objects(bucket, recursive=True), ASKED_OBJECTS))
                if listed:
                    with closing(client.get_object(bucket, str(listed[0].object_name))) as response:
                        response.read(ASKED_BYTES)
                        server = response.headers.get("Server", "not named")
                    query = f"list of up to {ASKED_OBJECTS} objects and the first bytes of one"
                    return QueryAnswer(query=query, collection=bucket, records=len(listed), server=server)
        return QueryAnswer("list of objects", self._profile.buckets[0], 0, "not asked")

    def collections(self) -> Sequence[str]:
        """Return the profile's buckets, there or not, once the server answers."""
        # To list buckets takes a right that nothing else needs; any answer about one shows a server.
        with self._server.asked() as client, suppress(S3Error):
            client.bucket_exists(self._profile.buckets[0])
        return sorted(self._profile.buckets)

    def count(self, collection: str) -> int:
        """Return the number of current objects of one bucket, without older versions and deleted objects."""
        countdown, found = self._reach.start(), 0
        with self._server.asked("a list of objects") as client:
            for _ in client.list_objects(collection, recursive=True):
                countdown.left()
                found += 1
        return found

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield the keys of the bucket's current objects, their only names."""
        for item in self._listed(collection, Pace()):
            yield (str(item.object_name),)

    def held(self, collection: str, fields: Sequence[str], names: Sequence[Name]) -> set[Name]:
        """Return the `names` that are keys of current objects."""
        countdown = self._reach.start()

        def there(name: Name) -> bool:
            countdown.left()
            with self._server.asked("an object") as client:
                try:
                    client.stat_object(collection, name[0])
                except S3Error as error:
                    if error.code in GONE:
                        return False
                    raise
            return True

        return {name for name, found in each(there, names, workers=WORKERS, name="s3").items() if found}

    def unlisted(self) -> Unlisted:
        """Return the buckets that the profile does not list."""
        with self._server.asked("a list of buckets") as client:
            try:
                found = {bucket.name for bucket in client.list_buckets()}
            except S3Error:  # it answers, and refuses
                return Unlisted(unread=("buckets of others: s3:ListAllMyBuckets",))
        return Unlisted(outside=tuple(f"bucket {name}" for name in sorted(found - {*self._profile.buckets})))

    def schemas(self) -> Mapping[str, Json]:
        """Return each bucket's settings, without missing buckets; a versioned bucket has a second entry."""
        found: dict[str, Json] = {}
        for bucket in self._profile.buckets:
            with self._server.asked(f"the settings of bucket {bucket}") as client:
                try:
                    settings = settings_of(client, bucket)
                except S3Error as error:
                    if error.code == "NoSuchBucket":
                        continue
                    raise
            found[bucket] = settings
            if settings["versioning"] != OFF:
                found[VERSIONS + bucket] = {"versioning": settings["versioning"]}
        return dict(sorted(found.items()))

    def sight(self, schemas: Mapping[str, Json]) -> Mapping[str, str]:
        """Return each bucket's settings that the reader may read.

        One that it may not read is left out: a blind spot as long as it never could. A bucket that is gone
        hides nothing.
        """
        seen: dict[str, str] = {}
        for bucket in sorted(self._profile.buckets):
            settings = schemas.get(bucket)
            denied = settings if isinstance(settings, dict) else {}
            seen |= {f"{name} of {bucket}": "" for name in SETTINGS if denied.get(name) != DENIED}
        return seen

    def place(self, name: Object) -> str:
        """Return the key."""
        return str(name.object_name)

    def _listed(self, collection: str, pace: Pace) -> Iterator[Object]:
        """Yield the server's listing, in its own order; each request has the deadline."""
        versions = collection.startswith(VERSIONS)
        with self._server.asked("a list of objects") as client:
            bucket = collection.removeprefix(VERSIONS)
            listing = client.list_objects(bucket, recursive=True, include_version=versions)
        while True:
            started = time.monotonic()
            with self._server.asked("a list of objects"):
                page = list(islice(listing, PAGE))
            if not page:
                return
            pace.next_size(len(page), time.monotonic() - started)
            yield from page

    def _read(self, collection: str, names: Sequence[Object], pace: Pace) -> Iterator[RecordHash]:
        excluded = excluded_of(self._profile, collection)
        if collection.startswith(VERSIONS):
            yield from (version_record(item, excluded) for item in names)
            return

        def read(item: Object) -> RecordHash | None:
            found = self._object(collection, self.place(item), excluded)
            return None if found is None else found.record(excluded)

        begin, size = 0, Pace.SMALLEST
        with Workers(pace.connections * IN_FLIGHT, "s3") as workers:
            while begin < len(names):
                end, units = begin, 0
                while end < len(names) and units < size and end - begin < BATCH:
                    units += 1 + (names[end].size or 0) // UNIT_BYTES
                    end += 1
                started = time.monotonic()
                found = list(workers.in_order(read, names[begin:end]))
                seconds = time.monotonic() - started
                yield from (record for record in found if record is not None)
                begin = end
                # One object larger than the whole request takes longer in proportion, without any load.
                share = min(1.0, size / units)
                size = pace.next_size(int(units * share), seconds * share)

    def _object(
        self,
        bucket: str,
        key: str,
        excluded: frozenset[str],
        sink: Any = None,  # noqa: ANN401 - a file
    ) -> StoredObject | None:
        """Read one object, into `sink` if there is one; return None if it is gone."""
        tags = "tags" not in excluded
        with self._server.asked("an object") as client:
            try:
                if "content" in excluded and sink is None:
                    return look_at(client, bucket, key, tags=tags)
                return read_object(client, self._reach, bucket, key, sink=sink, tags=tags)
            except S3Error as error:
                if error.code in GONE:
                    return None
                raise

    def seen(self, found: StoredObject, version: str | None) -> StoredObject:
        """Return an object that the operator has read as this account sees it: some tags may be hidden."""
        if not found.tags:
            return found
        with self._server.asked("the tags of an object") as client:
            return replace(found, tags=look_at(client, found.bucket, found.key, version).tags)

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted objects; their contents are in ``objects`` below `folder`, named by SHA-256."""
        collection, wanted = selection.collection, selection.pairs
        objects = folder / OBJECTS
        with self._server.asked("objects"):
            objects.mkdir(mode=0o700, exist_ok=True)
        excluded = excluded_of(self._profile, collection)

        def read(key: str) -> ExportedRecord | None:
            with self._server.asked("an object"), tempfile.NamedTemporaryFile(dir=objects) as sink:
                found = self._object(collection, key, frozenset(), sink)
                if found is None:
                    return None
                known = next((one for one in hashes(found, excluded) if (key, one) in wanted), None)
                if known is None:
                    return None
                sink.flush()
                # Several at once, here: the folder is synced when all is there.
                os.fsync(sink.fileno())
                link(Path(sink.name), objects / found.sha256)
            return ExportedRecord(key, known, found.shown(f"{OBJECTS}/{found.sha256}"))

        # Requested by key, so that the bucket need not be listed.
        keys = sorted({key for key, _ in wanted})
        with Workers(pace.connections * IN_FLIGHT, "s3") as workers:
            for batch in batched(keys, Pace.SMALLEST):
                yield from (record for record in workers.in_order(read, batch) if record is not None)


def version_record(item: Object, excluded: frozenset[str]) -> RecordHash:
    """Return the record of a version or delete marker, with the key ``KEY?versionId=VERSION``."""
    key, version = str(item.object_name), item.version_id or NO_VERSION
    fields = {
        "size": b"%d" % (item.size or 0),
        "etag": (item.etag or "").encode(),
        "delete_marker": b"%d" % item.is_delete_marker,
    }
    return record_of(
        f"{key}?versionId={version}",
        packed([key.encode(), version.encode()]),
        {name: value for name, value in fields.items() if name not in excluded},
    )


def hashes(found: StoredObject, excluded: frozenset[str]) -> set[int]:
    """Return an object's possible hashes: with its tags, and without, for a reader that cannot see them."""
    return {each.record(excluded).hash for each in (found, replace(found, tags={}))}
