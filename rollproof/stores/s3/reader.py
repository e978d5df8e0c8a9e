"""S3, read side: the current objects in the profile's buckets, counted by listing them, each read whole."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Any

from minio import Minio
from minio.error import S3Error
from minio.versioningconfig import OFF

from rollproof.collection import Json
from rollproof.stores.canonical import packed, record_of
from rollproof.stores.contract import (
    Answer,
    Beside,
    ExportedRecord,
    Pace,
    RecordHash,
    Selection,
    Wanted,
)
from rollproof.stores.listed import Listed
from rollproof.stores.names import Name
from rollproof.stores.policy import excluded_of
from rollproof.stores.reach import Countdown, Reach, Readable
from rollproof.stores.s3.client import (
    ASKED_BYTES,
    ASKED_OBJECTS,
    S3,
    WORKERS,
)
from rollproof.stores.s3.descriptor import VERSIONS, S3Profile
from rollproof.stores.s3.settings import DENIED, SETTINGS, settings_of
from rollproof.system.side_by_side import Workers, batched, each

# Requests under way at a time, for each allowed connection: most of their time is spent waiting for the
# server. More than 8 in all were no faster.
IN_FLIGHT = 4
PAGE = 1000
# Objects read as one request at most.
BATCH = 2000
# A large object counts as one additional record for each so many bytes.
UNIT_BYTES = 64 << 10
PIECE_BYTES = 1 << 20
# The deadline starts again after so many bytes of a large object.
STRETCH_BYTES = 16 << 20
# Headers that belong to an object and are restored with it. The content type is a separate field.
HEADERS = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")
USER_HEADER = "x-amz-meta-"
GONE = frozenset({"NoSuchKey", "NoSuchVersion", "MethodNotAllowed"})  # the last: a delete marker
_EXPIRY = re.compile(r'expiry-date="([^"]+)"')
OBJECTS = "objects"


@dataclass(frozen=True, slots=True)
class ListedObject:
    """A listing's entry for one object or version."""

    key: str
    version: str
    size: int
    etag: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class ReadObject:
    """One object as read: the names in `headers` are in lower case, `sha256` covers the stored bytes."""

    key: str
    headers: Mapping[str, str]
    size: int
    sha256: bytes
    tags: Mapping[str, str]

    def own_headers(self) -> dict[str, str]:
        """Return its headers among `HEADERS`."""
        return {name: self.headers[name] for name in HEADERS if name in self.headers}

    def metadata(self) -> dict[str, str]:
        """Return its user-defined headers, by their whole names: ``x-amz-meta-…``."""
        return {name: value for name, value in self.headers.items() if name.startswith(USER_HEADER)}

    def record(self, excluded: frozenset[str]) -> RecordHash:
        """Return its record without the `excluded` fields."""
        fields = {
            "size": b"%d" % self.size,
            "content": self.sha256,
            "content_type": _encoded(self.headers.get("content-type")),
            "headers": _pairs(self.own_headers()),
            "metadata": _pairs(self.metadata()),
            "tags": _pairs(self.tags),
        }
        return record_of(
            self.key,
            self.key.encode(),
            {name: value for name, value in fields.items() if name not in excluded},
            expires_at(self.headers.get("x-amz-expiration", "")),
        )


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
        "access lists, retention, legal holds and encryption of single objects are not compared",
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

    def ask(self) -> Answer:
        """List up to `ASKED_OBJECTS` objects in the first non-empty bucket, and read from the first."""
        countdown = self._reach.start()
        with self._server.asked("a list of objects") as client:
            for bucket in self._profile.buckets:
                names = []
                for item in client.list_objects(bucket, recursive=True):
                    countdown.left()
                    names.append(str(item.object_name))
                    if len(names) == ASKED_OBJECTS:
                        break
                if names:
                    response = client.get_object(bucket, names[0])
                    with closing(response):
                        response.read(ASKED_BYTES)
                        server = response.headers.get("Server", "not named")
                    query = f"list of up to {ASKED_OBJECTS} objects and the first bytes of one"
                    return Answer(query=query, collection=bucket, records=len(names), server=server)
        return Answer("list of objects", self._profile.buckets[0], 0, "not asked")

    def counts(self) -> Mapping[str, int]:
        """Return the number of current objects by bucket, without older versions and deleted objects."""
        countdown = self._reach.start()
        return {bucket: self._count(bucket, countdown) for bucket in sorted(self._profile.buckets)}

    def collections(self) -> Sequence[str]:
        """Return the profile's buckets, there or not, once the server answers."""
        # To list buckets takes a right that nothing else needs; any answer about one shows a server.
        with self._server.asked() as client, suppress(S3Error):
            client.bucket_exists(self._profile.buckets[0])
        return sorted(self._profile.buckets)

    def count(self, collection: str) -> int:
        """Return the number of current objects of one bucket."""
        return self._count(collection, self._reach.start())

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield the keys of the bucket's current objects, their only names."""
        self._only_keys(fields, where)
        with self._server.asked("a list of objects") as client:
            for item in client.list_objects(collection, recursive=True):
                yield (str(item.object_name),)

    def held(self, collection: str, fields: Sequence[str], names: Sequence[Name]) -> set[Name]:
        """Return the `names` that are keys of current objects."""
        self._only_keys(fields, {})
        countdown = self._reach.start()

        def there(name: Name) -> bool:
            return self._is_there(collection, name[0], countdown)

        return {name for name, found in each(there, names, workers=WORKERS, name="s3").items() if found}

    def _count(self, bucket: str, countdown: Countdown) -> int:
        found = 0
        with self._server.asked("a list of objects") as client:
            for _ in client.list_objects(bucket, recursive=True):
                countdown.left()
                found += 1
        return found

    def _is_there(self, bucket: str, key: str, countdown: Countdown) -> bool:
        countdown.left()
        with self._server.asked("an object") as client:
            try:
                client.stat_object(bucket, key)
            except S3Error as error:
                if error.code in {"NoSuchKey", "MethodNotAllowed"}:  # MethodNotAllowed: it is a delete marker
                    return False
                raise
        return True

    def _only_keys(self, fields: Sequence[str], where: Mapping[str, str]) -> None:
        if tuple(fields) != ("key",) or where:
            raise self._reach.failed(
                f"{', '.join(fields)}" + (f" where {', '.join(where)}" if where else ""),
                expected="a reference at the field key, without a condition",
                hint="an object is known by its key alone: correct the reference in the profile",
            )

    def beside(self) -> Beside:
        """Return the buckets that the profile does not list."""
        with self._server.asked("a list of buckets") as client:
            try:
                found = {bucket.name for bucket in client.list_buckets()}
            except S3Error:  # it answers, and refuses
                return Beside(unread=("buckets of others: s3:ListAllMyBuckets",))
        return Beside(outside=tuple(f"bucket {name}" for name in sorted(found - {*self._profile.buckets})))

    def schemas(self) -> Mapping[str, Json]:
        """Return each bucket's settings, without missing buckets; a versioned bucket has a second entry."""
        found: dict[str, Json] = {}
        for bucket in sorted(self._profile.buckets):
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

    def _read(self, collection: str, names: Sequence[ListedObject], pace: Pace) -> Iterator[RecordHash]:
        excluded = excluded_of(self._profile, collection)
        if collection.startswith(VERSIONS):
            yield from (version_record(item, excluded) for item in names)
            return

        def read(item: ListedObject) -> RecordHash | None:
            return self._object(collection, item.key, excluded)

        begin, size = 0, Pace.SMALLEST
        with Workers(pace.connections * IN_FLIGHT, "s3") as workers:
            while begin < len(names):
                end, units = begin, 0
                while end < len(names) and units < size and end - begin < BATCH:
                    units += 1 + names[end].size // UNIT_BYTES
                    end += 1
                started = time.monotonic()
                found = list(workers.in_order(read, names[begin:end]))
                seconds = time.monotonic() - started
                yield from (record for record in found if record is not None)
                begin = end
                # One object larger than the whole request takes longer in proportion, without any load.
                share = min(1.0, size / units)
                size = pace.next_size(int(units * share), seconds * share)

    def _listed(self, collection: str, pace: Pace) -> Iterator[ListedObject]:
        """Yield the server's listing, in its own order; each request has the deadline."""
        bucket = collection.removeprefix(VERSIONS)
        with self._server.asked("a list of objects") as client:
            listing = client.list_objects(
                bucket, recursive=True, include_version=collection.startswith(VERSIONS)
            )
        spent, count = 0.0, 0
        while True:
            started = time.monotonic()
            countdown = self._reach.start()
            with self._server.asked("a list of objects"):
                item = next(listing, None)
            countdown.left()
            spent += time.monotonic() - started
            if item is None:
                return
            count += 1
            yield ListedObject(
                key=str(item.object_name),
                version=item.version_id or "null",
                size=item.size or 0,
                etag=item.etag or "",
                deleted=item.is_delete_marker,
            )
            if count == PAGE:
                pace.next_size(count, spent)
                spent, count = 0.0, 0

    def _object(self, bucket: str, key: str, excluded: frozenset[str]) -> RecordHash | None:
        """Read one object; return None if it is gone."""
        with self._server.asked("an object") as client:
            try:
                if "content" in excluded:
                    found = client.stat_object(bucket, key)
                    headers = lowered(found.metadata or {})
                    size, content = found.size or 0, b""
                else:
                    headers, size, content = read_contents(client, self._reach, bucket, key)
            except S3Error as error:
                if error.code in GONE:
                    return None
                raise
            tags = {} if "tags" in excluded else self._tags(client, bucket, key, headers)
        return ReadObject(key, headers, size, content, tags).record(excluded)

    def seen(self, bucket: str, found: ReadObject, version: str | None) -> ReadObject:
        """Return an object that the operator has read as this account sees it: some tags may be hidden."""
        if not found.tags:
            return found
        with self._server.asked("the tags of an object") as client:
            there = client.stat_object(bucket, found.key, version_id=version)
            tags = self._tags(client, bucket, found.key, lowered(there.metadata or {}), version)
        return replace(found, tags=tags)

    def _tags(
        self, client: Minio, bucket: str, key: str, headers: Mapping[str, str], version: str | None = None
    ) -> dict[str, str]:
        try:
            return read_tags(client, bucket, key, headers, version)
        except S3Error as error:
            if error.code == "AccessDenied":
                raise self._reach.failed(
                    self._server.words(error),
                    expected=f"the tags of every object of bucket {bucket}",
                    hint="grant the reader s3:GetObjectTagging, or exclude the field tags in the profile",
                ) from None
            if error.code in GONE:  # deleted since its content was read
                return {}
            raise

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted objects; their contents are in ``objects`` below `folder`."""
        collection = selection.collection
        objects = folder / OBJECTS
        with self._server.asked("objects"):
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
        # Each attempt uses the same name, so that a file left by a kill is overwritten.
        place = packed([bucket.encode(), key.encode()])
        part = objects / f".{hashlib.sha256(place).hexdigest()}.part"
        with self._server.asked("an object") as client:
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


def name_of_version(item: ListedObject) -> str:
    """Return the record key for a version: ``KEY?versionId=VERSION``."""
    return f"{item.key}?versionId={item.version}"


def version_record(item: ListedObject, excluded: frozenset[str]) -> RecordHash:
    """Return the record of a version or delete marker."""
    fields = {
        "size": b"%d" % item.size,
        "etag": item.etag.encode(),
        "delete_marker": b"%d" % item.deleted,
    }
    return record_of(
        name_of_version(item),
        packed([item.key.encode(), item.version.encode()]),
        {name: value for name, value in fields.items() if name not in excluded},
    )


def expires_at(header: str) -> float | None:
    """Return an object's expiry time by its bucket's rules, from the server's header, or None.

    An unreadable date counts as None: a missing object is then lost, which is the stricter reading.
    """
    found = _EXPIRY.search(header)
    if found is None:
        return None
    try:
        date = parsedate_to_datetime(found[1])
    except (ValueError, TypeError, OverflowError):
        return None
    # Without a zone it is UTC, like all dates in HTTP.
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def read_contents(
    client: Minio,
    reach: Reach,
    bucket: str,
    key: str,
    version: str | None = None,
    sink: IO[bytes] | None = None,
) -> tuple[dict[str, str], int, bytes]:
    """Return headers, size and SHA-256 of an object's stored bytes; write the bytes to any `sink`."""
    countdown = reach.start()
    response = client.get_object(bucket, key, version_id=version)
    digest, size, stretch = hashlib.sha256(), 0, 0
    with closing(response):
        # By default the HTTP library would decompress objects stored as gzip.
        for piece in response.stream(PIECE_BYTES, decode_content=False):
            countdown.left()
            digest.update(piece)
            if sink is not None:
                sink.write(piece)
            size += len(piece)
            stretch += len(piece)
            if stretch >= STRETCH_BYTES:
                countdown, stretch = reach.start(), 0
        headers = lowered(response.headers)
        response.release_conn()
    return headers, size, digest.digest()


def read_tags(
    client: Minio, bucket: str, key: str, headers: Mapping[str, str], version: str | None = None
) -> dict[str, str]:
    """Return an object's tags; its `headers` tell whether it has any, and another request which."""
    if headers.get("x-amz-tagging-count", "0") == "0":
        return {}
    return dict(client.get_object_tags(bucket, key, version_id=version) or {})


def lowered(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with their names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _pairs(values: Mapping[str, str]) -> bytes:
    return packed(text.encode() for pair in sorted(values.items()) for text in pair)


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
