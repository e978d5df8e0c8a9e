"""S3's content: every current object is read whole, every version as the server lists it."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import IO

from minio import Minio
from minio.error import S3Error
from minio.versioningconfig import OFF

from rollproof.collection import Json
from rollproof.stores.canonical import packed, record_of
from rollproof.stores.contract import Beside, Digest, Pace, RecordHash
from rollproof.stores.policy import excluded_of, pace_of
from rollproof.stores.reach import Reach, Readable
from rollproof.stores.s3.descriptor import VERSIONS, S3Profile
from rollproof.stores.s3.listing import Listed, PartItem, batch_of, divided, in_parts
from rollproof.stores.s3.settings import DENIED, SETTINGS, settings_of
from rollproof.stores.s3.view import S3Reader, translated, without_key
from rollproof.system.side_by_side import Workers

# Requests under way at a time, for each allowed connection: most of their time is spent waiting for the
# server. More than 8 in all were no faster.
IN_FLIGHT = 4
PAGE = 1000
PIECE_BYTES = 1 << 20
# The deadline starts again after so many bytes of a large object.
STRETCH_BYTES = 16 << 20
# Headers that belong to an object and are restored with it. The content type is a separate field.
HEADERS = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")
USER_HEADER = "x-amz-meta-"
GONE = frozenset({"NoSuchKey", "NoSuchVersion", "MethodNotAllowed"})  # the last: a delete marker
_EXPIRY = re.compile(r'expiry-date="([^"]+)"')


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


class Content(S3Reader):
    """Reads the content of the profile's buckets. See `ContentView`.

    A part begins at a key, compared by code points. An object has the fields size, content, content_type,
    headers, metadata and tags; a version has size, etag and delete_marker.
    """

    kind = "s3"
    blind_spots: tuple[str, ...] = (
        "version id, time and ETag of a current object are not compared: a restore makes a new version",
        "of a noncurrent version, the ETag is compared and the content is not read",
        "access lists, retention, legal holds and encryption of single objects are not compared",
        "access lists, notifications, replication and storage class of buckets and objects are not compared",
        "tags of objects are not seen where the server hides their number from the reader",
        "a setting of a bucket that the reader may not read is recorded as denied: no change of it is seen",
        "what a server leaves out of its listing is not seen: SeaweedFS may where a key is a folder too",
    )

    def beside(self) -> Beside:
        """Return the buckets that the profile does not list. See `SharedContent`."""
        with translated(self._reach):
            try:
                found = {bucket.name for bucket in self._open().list_buckets()}
            except S3Error:  # it answers, and refuses
                return Beside(unread=("buckets of others: s3:ListAllMyBuckets",))
        return Beside(outside=tuple(f"bucket {name}" for name in sorted(found - {*self._profile.buckets})))

    def __init__(self, readable: Readable[S3Profile]) -> None:
        """Keep the access data; the first question connects."""
        super().__init__(readable)
        self.connections = self._profile.load.connections * IN_FLIGHT

    def schemas(self) -> Mapping[str, Json]:
        """Return each bucket's settings, without missing buckets; a versioned bucket has a second entry."""
        found: dict[str, Json] = {}
        for bucket in sorted(self._profile.buckets):
            with translated(self._reach):
                try:
                    settings = settings_of(self._open(), bucket)
                except S3Error as error:
                    if error.code == "NoSuchBucket":
                        continue
                    raise
            found[bucket] = settings
            if settings["versioning"] != OFF:
                found[VERSIONS + bucket] = {"versioning": settings["versioning"]}
        return dict(sorted(found.items()))

    def sight(self, schemas: Mapping[str, Json]) -> Mapping[str, str]:
        """Return each bucket's settings that the reader may read. See `SightedContent`.

        One that it may not read is left out: a blind spot as long as it never could. A bucket that is gone
        hides nothing.
        """
        seen: dict[str, str] = {}
        for bucket in sorted(self._profile.buckets):
            settings = schemas.get(bucket)
            denied = settings if isinstance(settings, dict) else {}
            seen |= {f"{name} of {bucket}": "" for name in SETTINGS if denied.get(name) != DENIED}
        return seen

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return keys, evenly spread over the listed ones."""
        return divided(self._listed(collection, pace_of(self._profile)), records)

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each part, in the order given."""
        digest = Digest(0, 0)
        for part, record in self._read(collection, division, parts, pace):
            if record is None:
                yield part, digest
                digest = Digest(0, 0)
            else:
                digest += Digest(1, record.hash)

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        """Yield each record of `parts`."""
        for part, record in self._read(collection, division, parts, pace):
            if record is not None:
                yield part, record

    def _read(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash | None]]:
        """Yield the records part by part, and None at each part's end."""
        excluded = excluded_of(self._profile, collection)
        items = in_parts(lambda: self._listed(collection, pace), division, parts)
        if collection.startswith(VERSIONS):
            for part, item in items:
                yield part, None if item is None else version_record(item, excluded)
            return

        def read(entry: PartItem) -> tuple[int, RecordHash | None, bool]:
            part, item = entry
            if item is None:
                return part, None, True
            return part, self._object(collection, item.key, excluded), False

        size = Pace.SMALLEST
        with Workers(pace.connections * IN_FLIGHT, "s3") as workers:
            while True:
                batch, units = batch_of(items, size)
                if not batch:
                    return
                started = time.monotonic()
                found = list(workers.in_order(read, batch))
                seconds = time.monotonic() - started
                for part, record, is_end in found:
                    if is_end or record is not None:  # otherwise it was removed since it was listed
                        yield part, record
                # One object larger than the whole request takes longer in proportion, without any load.
                share = min(1.0, size / units)
                size = pace.next_size(int(units * share), seconds * share)

    def _listed(self, collection: str, pace: Pace) -> Iterator[Listed]:
        """Yield the server's listing, in its own order; each request has the deadline."""
        bucket = collection.removeprefix(VERSIONS)
        with translated(self._reach):
            listing = self._open().list_objects(
                bucket, recursive=True, include_version=collection.startswith(VERSIONS)
            )
        spent, count = 0.0, 0
        while True:
            started = time.monotonic()
            countdown = self._reach.start()
            with translated(self._reach):
                item = next(listing, None)
            countdown.left()
            spent += time.monotonic() - started
            if item is None:
                return
            count += 1
            yield Listed(
                key=str(item.object_name),
                version=item.version_id or "null",
                size=item.size or 0,
                etag=item.etag or "",
                deleted=item.is_delete_marker,
                # The library gives text, not a bool.
                latest=str(item.is_latest).lower() == "true",
                modified=item.last_modified,
            )
            if count == PAGE:
                pace.next_size(count, spent)
                spent, count = 0.0, 0

    def _object(self, bucket: str, key: str, excluded: frozenset[str]) -> RecordHash | None:
        """Read one object; return None if it is gone."""
        self._expect_askable(bucket, key)
        with translated(self._reach):
            client = self._open()
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

    def _expect_askable(self, bucket: str, key: str) -> None:
        if not {".", ".."}.isdisjoint(key.split("/")):
            raise self._reach.failed(
                "one with them",
                expected=f"keys of bucket {bucket} without the segments . and ..",
                hint="the library reads no such object: rename it, or see to that bucket by another tool",
            )

    def _tags(self, client: Minio, bucket: str, key: str, headers: Mapping[str, str]) -> dict[str, str]:
        try:
            return read_tags(client, bucket, key, headers)
        except S3Error as error:
            if error.code == "AccessDenied":
                raise self._reach.failed(
                    without_key(error),
                    expected=f"the tags of every object of bucket {bucket}",
                    hint="grant the reader s3:GetObjectTagging, or exclude the field tags in the profile",
                ) from None
            if error.code in GONE:  # deleted since its content was read
                return {}
            raise


def name_of_version(item: Listed) -> str:
    """Return the record key for a version: ``KEY?versionId=VERSION``."""
    return f"{item.key}?versionId={item.version}"


def version_record(item: Listed, excluded: frozenset[str]) -> RecordHash:
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
